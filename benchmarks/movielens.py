"""Hand-made and searched models on MovieLens-1M, or any prepared data: an equal tuning budget, paired differences.

    nasrec prepare table movielens1m.toml prepared
    FUXICTR=/path/to/FuxiCTR python -m benchmarks.movielens models --data prepared --work trainings --out results.json
    python -m benchmarks.movielens models --data prepared --work trainings --out results.json --searched winners/
    python -m benchmarks.movielens table results.json

Each model is trained once with every point of the grid (optimiser x learning rate), then with five other seeds at the
point whose best epoch had the lowest validation log loss. Nothing is chosen by test rows. A training is a line of
`trainings/trainings.jsonl` and a file of test logits: what is there is not trained again, so a run that was stopped
goes on. `results.json` sums up all that is there.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn

from benchmarks import process
from benchmarks.contestants import MODELS, Build, Contestant, build_searched, hand_made, macs, searched
from benchmarks.movielens_table import print_table, summarise
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError, TrainingDiverged
from nasrec.files import atomic_path, read_json, write_json
from nasrec.metrics import auc, log_loss
from nasrec.predict import predict
from nasrec.train import TrainOptions, train_subnet

GRID = (("adagrad", 0.05), ("adagrad", 0.12), ("adagrad", 0.3), ("adam", 3e-4), ("adam", 1e-3), ("adam", 3e-3))
TUNING_SEED, SEEDS = 0, (1, 2, 3, 4, 5)
RECIPE = TrainOptions(epochs=8, batch_size=512, patience=2)

app = typer.Typer(add_completion=False, no_args_is_help=True)


@dataclass(frozen=True)
class Entrant:
    """Who takes part: a name, whose model it is, how to build it, and what tells it from others of that name."""

    name: str
    library: str
    build: Build
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

    def of(self, entrant: Entrant, optimizer: str, rate: float, seed: int) -> dict[str, Any]:
        """The record of a training, which is done now if it has not been."""
        options = {**self.recipe.to_json(), "learning_rate": rate, "seed": seed}
        about = {"model": entrant.name, "library": entrant.library, "optimizer": optimizer, "options": options}
        key = json.dumps([about, entrant.digest, self.data.source, self.data.rows, self.data.seed], sort_keys=True)
        key = sha256(key.encode()).hexdigest()[:16]
        if key not in self.done:
            record = {"key": key, **about, **self._train(entrant, optimizer, TrainOptions(**options), key)}
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
        model: nn.Module = Contestant(entrant.build(self.data.features, options.seed), optimizer)
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


def tuned(trainings: Trainings, entrant: Entrant, grid: tuple[tuple[str, float], ...], seeds: tuple[int, ...]) -> Any:
    """Train an entrant at every point of the grid, then at the best with `seeds`: all records, and the best point."""
    tries = [trainings.of(entrant, optimizer, rate, TUNING_SEED) for optimizer, rate in grid]
    fit = [record for record in tries if record["validation_log_loss"] is not None]
    if not fit:
        raise InputError(f"{entrant.name}: diverged at every point of the grid: {tries[0]['diverged']}")
    best = min(fit, key=lambda record: record["validation_log_loss"])
    point = best["optimizer"], best["options"]["learning_rate"]
    return {
        "name": entrant.name,
        "library": entrant.library,
        "arch": entrant.arch,
        "tuning": tries,
        "optimizer": point[0],
        "learning_rate": point[1],
        "seeds": [trainings.of(entrant, *point, seed) for seed in seeds],
    }


@app.command()
def models(
    data: Annotated[Path, typer.Option(help="folder of `nasrec prepare`")],
    work: Annotated[Path, typer.Option(help="folder of trainings; what is there is not trained again")],
    out: Annotated[Path, typer.Option(help="results, as JSON")],
    model: Annotated[
        list[str] | None, typer.Option(help="only these: NAME or LIBRARY/NAME; default: all eight")
    ] = None,
    searched_at: Annotated[list[Path] | None, typer.Option("--searched", help="architectures: JSON or folder")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=5, help="trainings at the best point of the grid")] = 5,
) -> None:
    """Train what is missing, write `out`, print the table."""
    torch.set_num_threads(1)
    prepared = Prepared.open(data)
    entrants = [entrant for name in (model or MODELS) if (entrant := _hand_made(name)) is not None]
    for path in searched_at or ():
        entrants += [
            Entrant(f"{path.stem}:{name}", "nasrec", build_searched(arch), arch.to_json())
            for name, arch in searched(path).items()
        ]
    trainings = Trainings(work, prepared, RECIPE)
    found = []
    for entrant in entrants:
        result = tuned(trainings, entrant, GRID, SEEDS[:seeds])
        network = entrant.build(prepared.features, 0)
        result["parameters"] = sum(weight.numel() for weight in network.parameters())
        result["macs"] = macs(network, prepared.features)
        logits = [trainings.logits(record) for record in result["seeds"]]
        found.append((result, np.stack(logits)))
        summary = summarise(found, prepared.split("test").labels)
        about = {"rows": prepared.split_rows, "split_seed": prepared.seed, "grid": GRID, "recipe": RECIPE.to_json()}
        about |= {"machine": process.machine(), "versions": process.versions()}
        write_json(out, {"command": " ".join(sys.argv[1:]), **about, "models": summary})
    print_table(read_json(out))


@app.command()
def table(results: Path) -> None:
    """Print the table of results that `models` wrote."""
    print_table(read_json(results))


def _hand_made(name: str) -> Entrant | None:
    library, _, plain = name.rpartition("/")
    found = hand_made(plain, library or None)
    if isinstance(found, str):
        sys.stderr.write(f"left out, {name}: {found}\n")
        return None
    return Entrant(plain, found[0], found[1])


def _said(record: dict[str, Any]) -> str:
    what = f"{record['model']} ({record['library']}) {record['optimizer']} {record['options']['learning_rate']:g}"
    what += f" seed {record['options']['seed']}"
    if record["validation_log_loss"] is None:
        return f"{what}: {record['diverged']}"
    return (
        f"{what}: validation {record['validation_log_loss']:.5f} at epoch {record['best_epoch']} of "
        f"{len(record['epochs'])}, test {record['test_log_loss']:.5f}, {record['cpu_seconds']:.0f} s"
    )


if __name__ == "__main__":
    app()
