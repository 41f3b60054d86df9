"""The trainer: batches in a seeded order, log loss, Adagrad; resumes bit for bit from its last checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.best_epoch import BestEpoch
from nasrec.checkpoint import SaveClock, read_facts, restore_file, save_checkpoint
from nasrec.distributed import ALONE, ranges_of_all, share_gradients, team
from nasrec.errors import InputError, TrainingDiverged
from nasrec.metrics import auc, log_loss
from nasrec.predict import Inputs, inputs_of, pick_device, predict
from nasrec.sampling import step_arch
from nasrec.schedule import learning_rate
from nasrec.train_options import EpochScore, TrainLog, TrainOptions

if TYPE_CHECKING:
    from nasrec.data.batch import Batch
    from nasrec.data.dataset import Dataset
    from nasrec.data.keepsake import KeptEncoder
    from nasrec.model.supernet import Supernet
    from nasrec.progress import Report

CALIBRATION_ROWS = 4096
LOG_POINTS = 100  # training losses kept in the log

__all__ = [
    "EpochScore",
    "TrainLog",
    "TrainOptions",
    "TrainingDiverged",
    "predict",
    "train_subnet",
    "train_supernet",
]


def train_supernet(
    supernet: Supernet,
    dataset: Dataset,
    options: TrainOptions,
    *,
    checkpoint: Path | None = None,
    progress: Report | None = None,
    save_every_s: float = 60.0,
    device: str = "auto",
    encoder: KeptEncoder | None = None,
    start: Mapping[str, Any] | None = None,
) -> TrainLog:
    """Train the shared weights in place, each step on one architecture drawn from `supernet.space`.

    The architecture of a step depends on the seed and the step alone, the order of the rows on the seed and the epoch.
    With `checkpoint`, the state is saved there every `save_every_s` seconds (less often when saving is slow) and at
    the end; if the file exists, training goes on from it, and a finished one is only loaded. It names `encoder`, the
    kept one of the data, and is refused for another and for other data; likewise `start`, plain values that say how the
    weights began. Progress counts rows.

    Within `nasrec.distributed.joined_team` several processes take each step together, with the rows, the losses and
    (to rounding) the weights of a single one; the first alone reads and writes files and reports progress.
    Raises TrainingDiverged, and InputError when the checkpoint is damaged or belongs to another training.
    """

    def forward(step: int, inputs: Inputs) -> Tensor:
        return supernet(step_arch(supernet.space, options, step), *inputs)  # type: ignore[no-any-return]

    keeping = _Keeping(checkpoint, save_every_s, encoder, start or {})
    return _Training(supernet, dataset, None, options, forward, keeping, progress, device).run()


def train_subnet(
    model: nn.Module,
    train: Dataset,
    validation: Dataset | None,
    options: TrainOptions,
    *,
    checkpoint: Path | None = None,
    progress: Report | None = None,
    save_every_s: float = 60.0,
    device: str = "auto",
    encoder: KeptEncoder | None = None,
    start: Mapping[str, Any] | None = None,
) -> TrainLog:
    """Train a standalone model (subnet or baseline) in place and leave it with the weights of its best epoch.

    `model(dense, ids, offsets)` gives logits [B]; it offers `adagrad_step` and, if it quantises, `calibrate`, which is
    called after every epoch. Best is the lowest validation log loss; without `validation` the last epoch counts.
    Checkpoints, progress, processes and errors are those of `train_supernet`; between the best epoch and the end its
    weights lie in a file of their own beside the checkpoint.
    """

    def forward(step: int, inputs: Inputs) -> Tensor:
        return model(*inputs)  # type: ignore[no-any-return]

    keeping = _Keeping(checkpoint, save_every_s, encoder, start or {})
    return _Training(model, train, validation, options, forward, keeping, progress, device).run()


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of the row order of `epoch` (from 0)."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


@dataclass(frozen=True)
class _Keeping:
    """Where a training is saved, how often, and the encoder and the start that its checkpoint names."""

    checkpoint: Path | None
    every_s: float
    encoder: KeptEncoder | None
    start: Mapping[str, Any]


class _Training:
    """One training under way: the model's tensors and the few numbers that a checkpoint must hold."""

    def __init__(
        self,
        model: nn.Module,
        train: Dataset,
        validation: Dataset | None,
        options: TrainOptions,
        forward: Callable[[int, Inputs], Tensor],
        keeping: _Keeping,
        progress: Report | None,
        device: str,
    ) -> None:
        if len(train) == 0:
            raise InputError("training data have 0 rows: at least one is needed")
        self.model, self.data, self.validation, self.options = model, train, validation, options
        self.forward, self.checkpoint, self.encoder = forward, keeping.checkpoint, keeping.encoder
        self.start = keeping.start
        self.team = team()
        self.progress = progress if self.team.leads else None
        self.device_name, self.device = device, pick_device(device)
        self.steps_per_epoch = math.ceil(len(train) / options.batch_size)
        self.steps = self.steps_per_epoch * options.epochs
        self.clock = SaveClock(keeping.every_s)
        self.step = 0
        self.losses: list[tuple[int, float]] = []
        self.window = 0.0  # sum of the batch losses since the last entry of `losses`
        self.scores: list[EpochScore] = []
        self.best_epoch = 0
        self.best = BestEpoch(model, keeping.checkpoint, self.team)
        self.due = False  # what the best epoch's file holds is not known to the checkpoint yet
        self.finished = False

    def run(self) -> TrainLog:
        self.model.to(self.device)
        if self.checkpoint is not None and self.team.told(self.checkpoint.exists):
            self.resume(self.checkpoint)
        self.team.copy_from_leader(self.state().values())
        with ranges_of_all(self.model, self.team):
            while not self.finished:
                self.go_on()
        self.best.forget()
        return TrainLog(self.step, self.rows, tuple(self.losses), tuple(self.scores), self.best_epoch)

    def go_on(self) -> None:
        """Train to the end of the epoch."""
        epoch, start = divmod(self.step, self.steps_per_epoch)
        seed = epoch_seed(self.options.seed, epoch)
        for batch in self.team.batches(self.data, self.options.batch_size, seed=seed, start=start):
            self.train_step(batch)
            if self.step % self.steps_per_epoch == 0:
                self.end_epoch(epoch + 1)
            if self.finished or self.due or self.clock.due():
                self.save()

    def train_step(self, batch: Batch) -> None:
        self.model.train()
        rate = self.rate(self.step)
        logits = self.forward(self.step, inputs_of(batch, self.device)).reshape(-1)
        labels = torch.from_numpy(batch.labels).to(self.device, logits.dtype)
        loss = self.loss(logits, labels)
        value = self.team.sum(loss.item())
        if not math.isfinite(value):
            self.save_if_finite()  # the weights have not moved yet: this is the last good state
            raise TrainingDiverged(self.diagnosis("loss", value, rate))
        loss.backward()  # type: ignore[no-untyped-call]
        share_gradients(self.model, self.team)
        norm = self.model.adagrad_step(lr=rate, eps=self.options.eps, clip_norm=self.options.clip_norm)  # type: ignore[operator]
        if not math.isfinite(norm):
            self.save_if_finite()  # adagrad_step leaves the weights alone then
            raise TrainingDiverged(self.diagnosis("gradient norm", norm, rate))
        self.step += 1
        self.window += value
        self.log_loss()
        if self.progress is not None:
            self.progress(self.rows, len(self.data) * self.options.last_epoch)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean log loss of the batch; of a share, its part of that mean."""
        if self.team == ALONE:
            return binary_cross_entropy_with_logits(logits, labels)
        place = self.step % self.steps_per_epoch * self.options.batch_size
        rows = min(self.options.batch_size, len(self.data) - place)
        return binary_cross_entropy_with_logits(logits, labels, reduction="sum") / rows

    def rate(self, step: int) -> float:
        return learning_rate(step, self.steps, peak=self.options.learning_rate, warmup=self.options.warmup)

    def log_loss(self) -> None:
        since = self.losses[-1][0] if self.losses else 0
        if self.step - since >= self.steps / LOG_POINTS or self.step == self.steps:
            self.losses.append((self.step, self.window / (self.step - since)))
            self.window = 0.0

    def end_epoch(self, epoch: int) -> None:
        self.calibrate()
        better = True
        if self.validation is not None:
            logits = predict(self.model, self.validation, device=self.device_name, team=self.team)
            labels = self.validation.labels
            score = EpochScore(epoch, log_loss(logits, labels), auc(logits, labels))
            if not math.isfinite(score.log_loss):
                raise TrainingDiverged(self.diagnosis("validation log loss", score.log_loss, self.rate(self.step - 1)))
            better = all(score.log_loss < old.log_loss for old in self.scores)
            self.scores.append(score)
        patience = self.options.patience
        last = epoch == self.options.last_epoch
        if better:
            self.best_epoch = epoch
            if self.validation is not None and not last:
                self.best.keep(epoch)
                self.due = True
        elif last or (patience is not None and epoch - self.best_epoch >= patience):
            self.best.give_back(self.best_epoch)
            last = True
        self.finished = last

    def calibrate(self) -> None:
        calibrate = getattr(self.model, "calibrate", None)
        if calibrate is None:
            return
        rows = min(CALIBRATION_ROWS, len(self.data))
        batch = next(iter(self.data.batches(rows, seed=epoch_seed(self.options.seed, self.options.epochs))))
        self.model.eval()
        calibrate(*inputs_of(batch, self.device))

    def state(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.model.state_dict().items()}

    @property
    def rows(self) -> int:
        epochs, rest = divmod(self.step, self.steps_per_epoch)
        return epochs * len(self.data) + rest * self.options.batch_size

    @property
    def identity(self) -> dict[str, Any]:
        validation_rows = None if self.validation is None else len(self.validation)
        counts = {"rows": len(self.data), "validation_rows": validation_rows}
        facts = {**self.options.to_json(), **counts, **self.start}
        if self.encoder is None:
            return facts
        return {**facts, "vocabulary": self.encoder.digest, "data": self.encoder.data}

    def diagnosis(self, what: str, value: float, rate: float) -> str:
        kept = ""
        if self.checkpoint is not None and self.checkpoint.exists():
            kept = f"; the last good state is kept in {self.checkpoint}"
        return (
            f"training diverged at step {self.step} of {self.steps}: {what} is {value} at learning rate {rate:.3g} "
            f"(peak {self.options.learning_rate:.3g}); a lower learning rate may help{kept}"
        )

    def save(self) -> None:
        self.due = False
        if self.checkpoint is None or not self.team.leads:
            return
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in self.state().items()}
        facts = {
            "training": self.identity,
            "step": self.step,
            "losses": self.losses,
            "window": self.window,
            "scores": [asdict(score) for score in self.scores],
            "best_epoch": self.best_epoch,
            "finished": self.finished,
            **({} if self.encoder is None else self.encoder.facts(self.checkpoint)),
        }
        save_checkpoint(self.checkpoint, tensors, facts)
        self.best.forget(but=None if self.finished else self.best_epoch)
        self.clock.saved(started)

    def save_if_finite(self) -> None:
        """Save, unless the last step has left a weight that is no number: then the checkpoint before is good."""
        if all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            self.save()

    def resume(self, path: Path) -> None:
        facts = self.team.told(partial(self.read, path))
        self.step, self.window = int(facts["step"]), float(facts["window"])
        self.losses = [(int(step), float(loss)) for step, loss in facts["losses"]]
        self.scores = [EpochScore(**score) for score in facts["scores"]]
        self.best_epoch, self.finished = int(facts["best_epoch"]), bool(facts["finished"])
        if self.progress is not None:
            self.progress(self.rows, len(self.data) * self.options.last_epoch)

    def read(self, path: Path) -> dict[str, Any]:
        """The leader's part of `resume`: the model's tensors from the checkpoint, and its facts."""
        try:
            facts = read_facts(path)
            before: dict[str, Any] = facts["training"]
            for name, value in self.identity.items():
                if name == "data" and name not in before:
                    raise InputError(
                        f"{path}: from an older release, which did not note its data: remove it to train anew"
                    )
                if before.get(name) != value:
                    what = "data of digest" if name == "data" else name
                    raise InputError(
                        f"{path}: from a training with {what} {before.get(name)!r}, this one has {value!r}"
                    )
            for name, kind in (("step", int), ("window", float), ("losses", list), ("finished", bool)):
                kind(facts[name])
            if [EpochScore(**score) for score in facts["scores"]] and not facts["finished"]:
                self.best.check(int(facts["best_epoch"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not the checkpoint of a training: {error}") from None
        restore_file(path, self.state(), "model.")
        return facts
