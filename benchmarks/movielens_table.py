"""What the trainings of `benchmarks.movielens` come to: means, standard errors, paired differences; and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.paired import difference, standard_error
from nasrec.metrics import auc, row_losses

KEPT = ("name", "library", "arch", "optimizer", "learning_rate", "parameters", "macs")


def summarise(
    found: Sequence[tuple[dict[str, Any], NDArray[np.float32]]], labels: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """For each entrant its figures on test rows: `found` holds its trainings and its logits [seeds, rows].

    `log_loss` and `auc` are means over the seeds, `_error` their standard errors over seeds. `to_best` is the paired
    difference to the hand-made model with the lowest log loss, and `to_best_searched` that to the best searched one.
    """
    losses = [np.stack([row_losses(one, labels) for one in logits]) for _, logits in found]
    means = [float(of_one.mean()) for of_one in losses]
    groups = {
        "to_best": [at for at, (result, _) in enumerate(found) if result["arch"] is None],
        "to_best_searched": [at for at, (result, _) in enumerate(found) if result["arch"] is not None],
    }
    summary = []
    for at, (result, logits) in enumerate(found):
        areas = np.array([auc(one, labels) for one in logits], np.float64)
        line = {name: result[name] for name in KEPT}
        line |= {"log_loss": means[at], "log_loss_error": standard_error(losses[at].mean(axis=1))}
        line |= {"auc": float(areas.mean()), "auc_error": standard_error(areas)}
        for name, group in groups.items():
            if group:
                best = min(group, key=means.__getitem__)
                gap = difference(losses[at], losses[best])
                line[name] = {"name": found[best][0]["name"], **gap.to_json()}
        line["seeds"] = [_short(record) for record in result["seeds"]]
        line["tuning"] = [_short(record) for record in result["tuning"]]
        summary.append(line)
    return summary


def print_table(results: dict[str, Any], console: Console | None = None) -> None:
    """The models by log loss, best first."""
    rows = Table(title=f"test rows: {results['rows']['test']:,}; ± is a standard error")
    columns = (
        "model",
        "from",
        "MACs",
        "tuned to",
        "epoch",
        "log loss",
        "AUC",
        "minus best hand-made",
        "minus best searched",
    )
    for column in columns:
        rows.add_column(column, justify="left" if column in ("model", "from", "tuned to") else "right")
    for one in sorted(results["models"], key=lambda entry: float(entry["log_loss"])):
        epochs = sorted({record["best_epoch"] for record in one["seeds"]})
        rows.add_row(
            one["name"],
            one["library"],
            f"{one['macs']:,}",
            f"{one['optimizer']} {one['learning_rate']:g}",
            f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]}-{epochs[-1]}",
            f"{one['log_loss']:.5f} ± {one['log_loss_error']:.5f}",
            f"{one['auc']:.5f} ± {one['auc_error']:.5f}",
            *(_gap(one, name) for name in ("to_best", "to_best_searched")),
        )
    (console or Console(width=180)).print(rows)


def _gap(one: dict[str, Any], name: str) -> str:
    gap = one.get(name)
    return "" if gap is None or gap["name"] == one["name"] else f"{gap['mean']:+.5f} ± {gap['error']:.5f}"


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """Of a training what a reader asks for."""
    names = ("validation_log_loss", "best_epoch", "test_log_loss", "test_auc", "rows_per_cpu_s")
    short = {name: record[name] for name in names if name in record}
    return {"optimizer": record["optimizer"], "learning_rate": record["options"]["learning_rate"],
            "seed": record["options"]["seed"], **short}  # fmt: skip
