"""The truth of a rank study: what each of its random architectures reaches when it is trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nasrec.arch import Arch
from nasrec.data.prepared import Prepared
from nasrec.errors import TrainingDiverged
from nasrec.metrics import auc, log_loss
from nasrec.model.subnet import Subnet
from nasrec.predict import predict
from nasrec.progress import Report
from nasrec.space import Space
from nasrec.train import TrainOptions, train_subnet


def draw(space: Space, seed: int, number: int) -> Arch:
    """Subnet `number` of the study with `seed`: single-operator any-connection, as a search draws its candidates."""
    return space.sample(np.random.default_rng([seed, number]))


def train_from_scratch(
    arch: Arch, data: Prepared, trainings: Sequence[TrainOptions], progress: Report | None = None
) -> dict[str, Any]:
    """Train `arch` standalone, without LayerNorm, once with each of `trainings`; what the best on validation reached.

    Returns plain values: `learning_rate`, `log_loss` and `auc` on validation at the best epoch, `test` with both at
    the same weights, and of every training in `tried` its learning rate and its validation log loss by epoch. A
    training that diverges says so in `tried`; where all do, `log_loss` is None.
    """
    train, validation, test = (data.split(name) for name in ("train", "validation", "test"))
    found: dict[str, Any] = {"learning_rate": None, "log_loss": None, "auc": None, "test": None}
    tried = []
    for options in trainings:
        model = Subnet(arch, data.features, generator=torch.Generator().manual_seed(options.seed))
        try:
            log = train_subnet(model, train, validation, options, progress=progress)
        except TrainingDiverged as error:
            tried.append({"learning_rate": options.learning_rate, "diverged": str(error)})
            continue
        losses = [score.log_loss for score in log.scores]
        tried.append({"learning_rate": options.learning_rate, "log_losses": losses})
        best = log.scores[log.best_epoch - 1]
        if found["log_loss"] is None or best.log_loss < found["log_loss"]:
            logits = predict(model, test)
            found = {
                "learning_rate": options.learning_rate,
                "log_loss": best.log_loss,
                "auc": best.auc,
                "test": {"log_loss": log_loss(logits, test.labels), "auc": auc(logits, test.labels)},
            }
    return {**found, "tried": tried}
