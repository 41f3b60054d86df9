"""How to train, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nasrec.errors import InputError
from nasrec.space import SAMPLING

PATH_WARMUPS = ("full-path", "per-block", "any-path")


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained: Adagrad under a linear warm-up and a cosine (`nasrec.schedule`).

    `epochs` passes over the data in batches of `batch_size`; `learning_rate` is the peak, `warmup` the fraction of
    steps that lead up to it; `eps` is Adagrad's, added outside the root; gradients are clipped to the norm
    `clip_norm`. With `patience`, training stops after that many epochs without a better validation log loss; with
    `stop_after`, after that many in all, though the learning rate falls as if all `epochs` came.
    Defaults are NASRec's for the supernet.

    Of a supernet only: `sampling` is the strategy by which `Space.sample` draws a step's network. The probability that
    a step belongs to the path warm-up instead falls from 1 to 0 over `full_path_steps`; `path_warmup` says what it
    trains then (see `nasrec.sampling.step_arch`).
    """

    epochs: int = 1
    batch_size: int = 512
    learning_rate: float = 0.12
    eps: float = 1e-2
    clip_norm: float = 5.0
    warmup: float = 0.1
    seed: int = 0
    patience: int | None = None
    stop_after: int | None = None
    full_path_steps: int = 0
    sampling: str = "single-operator"
    path_warmup: str = "full-path"

    def __post_init__(self) -> None:
        """Refuse values that cannot train anything; raises InputError naming the option."""
        for name, allowed, good in (
            ("epochs", "whole numbers from 1", self.epochs >= 1),
            ("batch_size", "whole numbers from 1", self.batch_size >= 1),
            ("learning_rate", "positive numbers", 0 < self.learning_rate < math.inf),
            ("eps", "positive numbers", 0 < self.eps < math.inf),
            ("clip_norm", "positive numbers", self.clip_norm > 0),
            ("warmup", "fractions from 0 to 1", 0 <= self.warmup <= 1),
            ("seed", "whole numbers from 0 to 2^63 - 1", 0 <= self.seed < 2**63),
            ("patience", "whole numbers from 1, or none", self.patience is None or self.patience >= 1),
            ("stop_after", "whole numbers from 1, or none", self.stop_after is None or self.stop_after >= 1),
            ("full_path_steps", "whole numbers from 0", self.full_path_steps >= 0),
            ("sampling", ", ".join(SAMPLING), self.sampling in SAMPLING),
            ("path_warmup", ", ".join(PATH_WARMUPS), self.path_warmup in PATH_WARMUPS),
        ):
            if not good:
                raise InputError(f"training option {name} is {getattr(self, name)!r}: allowed are {allowed}")

    @property
    def last_epoch(self) -> int:
        """The epoch (from 1) that training does not go beyond."""
        return self.epochs if self.stop_after is None else min(self.epochs, self.stop_after)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "training options") -> TrainOptions:
        """Rebuild from `to_json`; raises InputError naming `where` and the unknown, missing or bad field."""
        names = [field.name for field in fields(cls)]
        for name in [*data, *names]:
            if name not in names:
                raise InputError(f"{where}: unknown field {name!r}: allowed are {', '.join(names)}")
            if name not in data:
                raise InputError(f"{where}: field {name!r} is missing")
            default, value = getattr(cls, name), data[name]
            kinds: tuple[type, ...] = (int, float) if isinstance(default, float) else (int,)
            expected = "a number" if float in kinds else "a whole number"
            if isinstance(default, str):
                kinds, expected = (str,), "a word"
            absent = default is None and value is None
            if (isinstance(value, bool) or not isinstance(value, kinds)) and not absent:
                raise InputError(f"{where}.{name} is {value!r}: expected {expected}")
        return cls(**data)


@dataclass(frozen=True)
class EpochScore:
    """Validation after one epoch (counted from 1): mean log loss, and AUC (None where undefined)."""

    epoch: int
    log_loss: float
    auc: float | None


@dataclass(frozen=True)
class TrainLog:
    """What a training did: `losses` are (steps done, mean training log loss since the entry before),
    `scores` the validation after each epoch (none without validation rows).

    `best_epoch` names the epoch whose weights were kept (the last one without validation). Equal for a training that
    was interrupted and resumed and one that was not.
    """

    steps: int
    rows: int
    losses: tuple[tuple[int, float], ...]
    scores: tuple[EpochScore, ...]
    best_epoch: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
