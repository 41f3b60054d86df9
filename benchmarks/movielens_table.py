"""What the trainings of `benchmarks.movielens` come to: means, standard errors, paired differences; and the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.paired import difference, standard_error
from nasrec.metrics import auc, row_losses

HAND_MADE = "hand-made"
KEPT = ("name", "library", "group", "arch", "optimizer", "learning_rate", "epochs", "parameters", "macs")


def summarise(
    found: Sequence[tuple[dict[str, Any], NDArray[np.float32]]], labels: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """For each entrant its figures on test rows: `found` holds its trainings and its logits [seeds, rows].

    `log_loss` and `auc` are means over the seeds, `_error` their standard errors over seeds. `to_best` has for each
    group the paired difference to the model of that group with the lowest log loss.
    """
    losses = [np.stack([row_losses(one, labels) for one in logits]) for _, logits in found]
    means = [float(of_one.mean()) for of_one in losses]
    groups: dict[str, list[int]] = {}
    for at, (result, _) in enumerate(found):
        groups.setdefault(result["group"], []).append(at)
    best = {name: min(members, key=means.__getitem__) for name, members in groups.items()}
    summary = []
    for at, (result, logits) in enumerate(found):
        areas = np.array([auc(one, labels) for one in logits], np.float64)
        line = {name: result[name] for name in KEPT}
        line |= {"log_loss": means[at], "log_loss_error": standard_error(losses[at].mean(axis=1))}
        line |= {"auc": float(areas.mean()), "auc_error": standard_error(areas)}
        line["to_best"] = {
            name: {"name": found[one][0]["name"], **difference(losses[at], losses[one]).to_json()}
            for name, one in best.items()
        }
        line["seeds"] = [_short(record) for record in result["seeds"]]
        line["tuning"] = [_short(record) for record in result["tuning"]]
        summary.append(line)
    return summary


def grouped(summary: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each group's mean log loss and MACs over its members, and the standard error of that log loss over them.

    `minus` has for every other group the difference of the means and its standard error: paired where both have members
    of the same names ("evolution:seed0", "random:seed0": searches of one seed begin with the same random draws), else
    as for independent members.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in summary:
        groups.setdefault(line["group"], []).append(line)
    return {
        name: {
            "members": len(members),
            "log_loss": float(np.mean([line["log_loss"] for line in members])),
            "log_loss_error": standard_error(np.array([line["log_loss"] for line in members])),
            "macs": float(np.mean([line["macs"] for line in members])),
            "minus": {other: _minus(_losses(members), _losses(groups[other])) for other in groups if other != name},
        }
        for name, members in groups.items()
    }


def _losses(members: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Log loss by name, without the group that a searched network's name begins with."""
    return {line["name"].removeprefix(f"{line['group']}:"): line["log_loss"] for line in members}


def _minus(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    values, other_values = np.array([*ours.values()]), np.array([*theirs.values()])
    paired = set(ours) == set(theirs)
    if paired:
        error = standard_error(np.array([loss - theirs[name] for name, loss in ours.items()]))
    else:
        one, two = standard_error(values), standard_error(other_values)
        error = None if one is None or two is None else math.hypot(one, two)
    return {"mean": float(values.mean() - other_values.mean()), "error": error, "paired": paired}


def print_table(results: dict[str, Any], console: Console | None = None) -> None:
    """The models by log loss, best first."""
    rows = Table(title=f"test rows: {results['rows']['test']:,}; ± is a standard error")
    columns = ("model", "from", "MACs", "tuned to", "epoch", "log loss", "AUC")
    for column in (*columns, *(f"minus best of {name}" for name in results["groups"])):
        rows.add_column(column, justify="left" if column in ("model", "from", "tuned to") else "right")
    for one in sorted(results["models"], key=lambda entry: float(entry["log_loss"])):
        epochs = sorted({record["best_epoch"] for record in one["seeds"]})
        rows.add_row(
            one["name"],
            one["library"],
            f"{one['macs']:,}",
            f"{one['optimizer']} {one['learning_rate']:g}, {one['epochs']} epochs",
            f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]}-{epochs[-1]}",
            _with_error(one["log_loss"], one["log_loss_error"]),
            _with_error(one["auc"], one["auc_error"]),
            *(_gap(one, name) for name in results["groups"]),
        )
    console = console or Console(width=180)
    console.print(rows)
    for name, group in results["groups"].items():
        if name != HAND_MADE:
            loss = _with_error(group["log_loss"], group["log_loss_error"])
            console.print(f"{name}, mean of {group['members']}: log loss {loss}, {group['macs']:,.0f} MACs")
            for other, gap in group["minus"].items():
                if other != HAND_MADE:
                    how = "paired by seed" if gap["paired"] else "as independent"
                    console.print(f"  minus {other}, {how}: {_with_error(gap['mean'], gap['error'], sign='+')}")


def _gap(one: dict[str, Any], name: str) -> str:
    gap = one["to_best"][name]
    return "" if gap["name"] == one["name"] else _with_error(gap["mean"], gap["error"], sign="+")


def _with_error(value: float, error: float | None, sign: str = "") -> str:
    return f"{value:{sign}.5f}" + ("" if error is None else f" ± {error:.5f}")


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """Of a training what a reader asks for."""
    names = ("validation_log_loss", "best_epoch", "test_log_loss", "test_auc", "rows_per_cpu_s")
    short = {name: record[name] for name in names if name in record}
    options = {name: record["options"][name] for name in ("learning_rate", "epochs", "seed")}
    return {"optimizer": record["optimizer"], **options, **short}
