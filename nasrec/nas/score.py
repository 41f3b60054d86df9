"""How good an architecture is with a supernet's weights: inherit, fine-tune the last layer, judge on validation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasrec.arch import Arch
from nasrec.data.dataset import Dataset
from nasrec.errors import InputError
from nasrec.metrics import auc, log_loss
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasScoreOptions
from nasrec.score import batches_of_head_inputs, calibrate, head_inputs, tune_last


@dataclass(frozen=True)
class ArchScore:
    """Log loss (nats) and AUC (None if the rows hold one class only) on the judged validation rows after fine-tuning;
    `log_loss_before` is the log loss with the inherited last layer."""

    log_loss: float
    auc: float | None
    log_loss_before: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "score") -> ArchScore:
        """Rebuild from `to_json`; raises InputError naming `where`."""
        names = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping) or set(data) != set(names):
            raise InputError(f"{where}: expected the fields {', '.join(names)}")
        return cls(**data)


@dataclass(frozen=True)
class ArchCost:
    """CPU seconds that scoring one architecture took, stage by stage."""

    extract_s: float
    features_s: float
    fine_tune_s: float
    judge_s: float


class ArchScorer:
    """Scores architectures with the weights of one trained supernet; the same architecture gets the same score again.

    Inherit the weights, judge, fine-tune the last layer only (NASRec's post-training fine-tuning) on features computed
    once, judge again, in float.
    """

    def __init__(self, supernet: Supernet, train: Dataset, validation: Dataset, options: NasScoreOptions) -> None:
        """`validation` gives the rows for the score, `options.fine_tune_on` says which gives those for fine-tuning.

        Neither may be empty.
        """
        self.supernet = supernet.eval()
        self.options = options
        self._fine_tune = train.head(options.fine_tune_rows)
        self._calibration = train.head(options.calibration_rows)
        if options.fine_tune_on == "validation":
            taken = min(options.fine_tune_rows, len(validation) // 2)
            self._fine_tune = validation.head(taken)
            validation = validation.without_head(taken)
        self._validation = validation.head(options.rows)
        space = supernet.space
        self._quantised = (space.weight_bits, space.input_bits) != ((32,), (32,))

    def __call__(self, arch: Arch) -> ArchScore:
        """The score of `arch`; raises InputError where the supernet's space does not allow it."""
        return self.timed(arch)[0]

    def timed(self, arch: Arch) -> tuple[ArchScore, ArchCost]:
        """The score of `arch`, and what it cost."""
        clock = _Clock()
        subnet = self.supernet.extract(arch, share_embeddings=True).eval()
        if self._quantised:
            calibrate(subnet, self._calibration)
        clock.lap("extract_s")
        inherited = {name: value.detach().clone() for name, value in subnet.head.state_dict().items()}
        inputs = head_inputs(subnet, self._fine_tune)
        clock.lap("features_s")
        tune_last(subnet.head, inputs, torch.from_numpy(self._fine_tune.labels), self.options)
        clock.lap("fine_tune_s")
        tuned = {name: value.detach().clone() for name, value in subnet.head.state_dict().items()}
        logits = self._logits(subnet, (inherited, tuned))
        labels = self._validation.labels
        score = ArchScore(log_loss(logits[1], labels), auc(logits[1], labels), log_loss(logits[0], labels))
        clock.lap("judge_s")
        return score, clock.cost()

    @torch.no_grad()
    def _logits(self, subnet: Subnet, heads: tuple[dict[str, Tensor], ...]) -> list[NDArray[np.float32]]:
        """Logits of the validation rows with each of `heads`, over features computed once and never kept."""
        found: list[list[NDArray[np.float32]]] = [[] for _ in heads]
        for inputs in batches_of_head_inputs(subnet, self._validation):
            for logits, head in zip(found, heads, strict=True):
                subnet.head.load_state_dict(head)
                logits.append(subnet.head(inputs).squeeze(1).float().cpu().numpy())
        return [np.concatenate(logits) for logits in found]


class _Clock:
    """CPU seconds by stage: a lap goes from the lap before to now."""

    def __init__(self) -> None:
        self._last = time.process_time()
        self._spent = {field.name: 0.0 for field in fields(ArchCost)}

    def lap(self, name: str) -> None:
        now = time.process_time()
        self._spent[name] += now - self._last
        self._last = now

    def cost(self) -> ArchCost:
        return ArchCost(**self._spent)
