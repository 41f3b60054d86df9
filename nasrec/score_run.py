"""Score the winners of a finished run, or the model of a training, on rows that it has never seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from nasrec.codesign import KEEPSAKE, winner_folder
from nasrec.data.dataset import Dataset
from nasrec.data.encoder import Encoder
from nasrec.data.keepsake import load_keepsake
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.errors import InputError
from nasrec.files import read_json
from nasrec.metrics import auc, log_loss
from nasrec.nas.retrain import read_model
from nasrec.nas.run import SearchRun
from nasrec.predict import predict
from nasrec.progress import stage
from nasrec.retrain import score_winner
from nasrec.run import RUN_JSON, Run
from nasrec.train_run import RESULT
from nasrec.train_run import read_model as read_training
from nasrec.winners import read_winner


def score_run(folder: Path, source: str) -> list[dict[str, Any]]:
    """Log loss and AUC of each winner on all rows of `source`, encoded with the vocabulary saved with the winners.

    Returns a list of objects with winner, rows, log_loss, auc and, from `nasrec codesign`, log_loss_crossbar and
    auc_crossbar; AUC is None where the rows hold one class only. A training on its own has one "winner", its model.
    """
    if (folder / RESULT).exists():
        return [_score_model(*read_training(folder), source)]
    if _format_of(folder) == SearchRun.FORMAT:
        return _score_search(SearchRun.open(folder), source)
    run = Run.open(folder)
    names = _winner_names(run)
    winners = [(name, read_winner(winner_folder(run, place))) for place, name in enumerate(names)]
    encoder, calibration = load_keepsake(winner_folder(run, 0) / KEEPSAKE)
    with _encoded(source, encoder) as rows:
        scores = []
        for name, (candidate, features, weights) in winners:
            with stage(f"{name}: scoring, in float and on its chip", unit="rows") as progress:
                found = score_winner(candidate, features, weights, calibration, rows, progress)
            scores.append({"winner": name, **found})
    return scores


def _score_search(run: SearchRun, source: str) -> list[dict[str, Any]]:
    if not run.done(f"winner-{run.options.retrain.seeds[0]}"):
        raise InputError(f"{run.folder}: no winner is trained yet: finish the run with --resume {run.folder}")
    return [_score_model("log_loss", *read_model(run), source)]


def _score_model(name: str, model: nn.Module, encoder: Encoder, source: str) -> dict[str, Any]:
    with _encoded(source, encoder) as rows, stage(f"{name}: scoring", unit="rows") as progress:
        logits = predict(model, rows, progress=progress)
        found = {"rows": len(rows), "log_loss": log_loss(logits, rows.labels), "auc": auc(logits, rows.labels)}
    return {"winner": name, **found}


@contextmanager
def _encoded(source: str, encoder: Encoder) -> Iterator[Dataset]:
    """All rows of `source` as `encoder` encodes them, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="nasrec-score-") as scratch:
        with stage("preparing", unit="rows") as progress:
            rows = prepare(open_source(source), Path(scratch) / "rows", seed=0, encoder=encoder, progress=progress)
        yield rows.split("all")


def _format_of(folder: Path) -> Any:
    found = read_json(folder / RUN_JSON)
    return found.get("format") if isinstance(found, dict) else None


def _winner_names(run: Run) -> list[str]:
    names: list[str] = []
    while run.done(f"winner-{len(names)}"):
        names.append(str(run.stage(f"winner-{len(names)}", dict)["name"]))
    if not names:
        raise InputError(f"{run.folder}: no winner is trained yet: finish the run with --resume {run.folder}")
    return names
