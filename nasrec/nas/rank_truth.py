"""The truth of a rank study: what each of its random architectures reaches when it is trained from scratch."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasrec.arch import Arch
from nasrec.data.prepared import Prepared
from nasrec.errors import TrainingDiverged
from nasrec.metrics import auc, log_loss
from nasrec.nas.untrained import untrained_subnet
from nasrec.predict import predict
from nasrec.progress import Report
from nasrec.space import Space
from nasrec.train import TrainOptions, train_subnet


def draw(space: Space, seed: int, number: int) -> Arch:
    """Subnet `number` of the study with `seed`: single-operator any-connection, as a search draws its candidates."""
    return space.sample(np.random.default_rng([seed, number]))


def train_from_scratch(
    arch: Arch,
    data: Prepared,
    options: TrainOptions,
    *,
    embedding_std: float | None = None,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Train `arch` standalone, without LayerNorm: what it reached, as plain values.

    `embedding_std`: see `nasrec.nas.untrained.untrained_subnet`.

    `log_loss` and `auc` on validation at the best epoch, `test` with both at the same weights, and `by_epoch`, the
    validation log losses. Where the training diverges, `diverged` says how, and all others are None.
    """
    train, validation, test = (data.split(name) for name in ("train", "validation", "test"))
    model = untrained_subnet(arch, data.features, options.seed, embedding_std)
    try:
        log = train_subnet(model, train, validation, options, progress=progress)
    except TrainingDiverged as error:
        return {"log_loss": None, "auc": None, "test": None, "by_epoch": None, "diverged": str(error)}
    best, logits = log.scores[log.best_epoch - 1], predict(model, test)
    return {
        "log_loss": best.log_loss,
        "auc": best.auc,
        "test": {"log_loss": log_loss(logits, test.labels), "auc": auc(logits, test.labels)},
        "by_epoch": [score.log_loss for score in log.scores],
        "diverged": None,
    }
