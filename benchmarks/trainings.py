"""The folder of trainings of a comparison: what has been trained stays, what is missing is trained."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants import Build, Contestant
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError, TrainingDiverged
from nasrec.files import atomic_path
from nasrec.metrics import auc, log_loss
from nasrec.predict import predict
from nasrec.train import TrainOptions, train_subnet

TUNING_SEED = 0


@dataclass(frozen=True)
class Point:
    """A point of the grid: whose steps, the peak of the learning rate, and after how many epochs it has fallen to 0."""

    optimizer: str
    learning_rate: float
    epochs: int


@dataclass(frozen=True)
class Entrant:
    """Who takes part: a name, whose model it is, how to build it, the group it is summed up with, its architecture."""

    name: str
    library: str
    build: Build
    group: str
    arch: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """Of the architecture, for a searched network."""
        return sha256(json.dumps(self.arch, sort_keys=True).encode()).hexdigest()[:16] if self.arch else ""


class Trainings:
    """The folder of trainings: what has been trained, and training what hasn't."""

    def __init__(self, folder: Path, data: Prepared, recipe: TrainOptions) -> None:
        """Read the trainings that are there; a line that a stop cut off does not count."""
        self.folder, self.data, self.recipe = folder, data, recipe
        self.file = folder / "trainings.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.done: dict[str, dict[str, Any]] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.done[record["key"]] = record

    def of(self, entrant: Entrant, point: Point, seed: int) -> dict[str, Any]:
        """The record of a training, which is done now if it has not been."""
        options = replace(self.recipe, learning_rate=point.learning_rate, epochs=point.epochs, seed=seed)
        about = {"model": entrant.name, "library": entrant.library, "optimizer": point.optimizer}
        about["options"] = options.to_json()
        key = json.dumps([about, entrant.digest, self.data.source, self.data.rows, self.data.seed], sort_keys=True)
        key = sha256(key.encode()).hexdigest()[:16]
        if key not in self.done:
            record = {"key": key, **about, **self._train(entrant, point.optimizer, options, key)}
            with self.file.open("a", encoding="utf-8") as file:
                file.write(("" if self._whole() else "\n") + json.dumps(record) + "\n")
            self.done[key] = record
            sys.stderr.write(_said(record) + "\n")
        return self.done[key]

    def logits(self, record: dict[str, Any]) -> NDArray[np.float32]:
        """The test logits of a training [rows]."""
        found: NDArray[np.float32] = np.load(self.folder / "logits" / f"{record['key']}.npy")
        return found

    def _train(self, entrant: Entrant, optimizer: str, options: TrainOptions, key: str) -> dict[str, Any]:
        model = Contestant(entrant.build(self.data.features, options.seed), optimizer)
        started = time.process_time()
        try:
            log = train_subnet(model, self.data.split("train"), self.data.split("validation"), options, device="cpu")
        except TrainingDiverged as error:
            return {"diverged": str(error), "validation_log_loss": None}
        seconds = time.process_time() - started
        test = self.data.split("test")
        logits, labels = predict(model, test, device="cpu"), test.labels
        with atomic_path(self.folder / "logits" / f"{key}.npy") as path, path.open("wb") as file:
            np.save(file, logits)
        return {
            "epochs": [asdict(score) for score in log.scores],
            "best_epoch": log.best_epoch,
            "validation_log_loss": min(score.log_loss for score in log.scores),
            "test_log_loss": log_loss(logits, labels),
            "test_auc": auc(logits, labels),
            "cpu_seconds": round(seconds, 1),
            "rows_per_cpu_s": round(log.rows / seconds),
        }

    def _whole(self) -> bool:
        """Whether the file ends with a line's end."""
        return not self.file.exists() or self.file.read_bytes()[-1:] in (b"", b"\n")


def tuned(trainings: Trainings, entrant: Entrant, grid: Sequence[Point], seeds: Sequence[int]) -> dict[str, Any]:
    """Train an entrant at every point of `grid`, then at the best with `seeds`: all records, and the best point.

    Best is the lowest validation log loss of any epoch. Raises InputError where every point diverges.
    """
    tries = [trainings.of(entrant, point, TUNING_SEED) for point in grid]
    fit = [at for at, record in enumerate(tries) if record["validation_log_loss"] is not None]
    if not fit:
        raise InputError(f"{entrant.name}: diverged at every point of the grid: {tries[0]['diverged']}")
    point = grid[min(fit, key=lambda at: float(tries[at]["validation_log_loss"]))]
    return {
        "name": entrant.name,
        "library": entrant.library,
        "group": entrant.group,
        "arch": entrant.arch,
        "tuning": tries,
        **asdict(point),
        "seeds": [trainings.of(entrant, point, seed) for seed in seeds],
    }


def _said(record: dict[str, Any]) -> str:
    what = f"{record['model']} ({record['library']}) {record['optimizer']} {record['options']['learning_rate']:g}"
    what += f" seed {record['options']['seed']}"
    if record["validation_log_loss"] is None:
        return f"{what}: {record['diverged']}"
    return (
        f"{what}: validation {record['validation_log_loss']:.5f} at epoch {record['best_epoch']} of "
        f"{len(record['epochs'])}, test {record['test_log_loss']:.5f}, {record['cpu_seconds']:.0f} s"
    )
