"""Score the winners of a finished run on rows that the run has never seen."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nasrec.codesign import KEEPSAKE, winner_folder
from nasrec.data.keepsake import load_keepsake
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.errors import InputError
from nasrec.retrain import score_winner
from nasrec.run import Run
from nasrec.winners import read_winner


def score_run(folder: Path, source: str) -> list[dict[str, Any]]:
    """Log loss and AUC of each winner on all rows of `source`, encoded with the vocabulary saved with the winners.

    Returns a list of objects with winner, rows, log_loss, auc, log_loss_crossbar, auc_crossbar; AUC is None where the
    rows hold one class only.
    """
    run = Run.open(folder)
    names = _winner_names(run)
    winners = [(name, read_winner(winner_folder(run, place))) for place, name in enumerate(names)]
    encoder, calibration = load_keepsake(winner_folder(run, 0) / KEEPSAKE)
    with tempfile.TemporaryDirectory(prefix="nasrec-score-") as scratch:
        found = prepare(open_source(source), Path(scratch) / "rows", seed=0, encoder=encoder)
        rows = found.split("all")
        scores = []
        for name, (candidate, features, weights) in winners:
            scores.append({"winner": name, **score_winner(candidate, features, weights, calibration, rows)})
    return scores


def _winner_names(run: Run) -> list[str]:
    names: list[str] = []
    while run.done(f"winner-{len(names)}"):
        names.append(str(run.stage(f"winner-{len(names)}", dict)["name"]))
    if not names:
        raise InputError(f"{run.folder}: no winner is trained yet: finish the run with --resume {run.folder}")
    return names
