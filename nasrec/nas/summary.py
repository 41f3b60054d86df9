"""`summary.json` of a search: every figure in one file; see docs/formats.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nasrec.data.prepared import Prepared
from nasrec.hardware import counts_of, workload_of
from nasrec.nas.run import SearchRun
from nasrec.offspring import Finalist
from nasrec.run_data import described

SUMMARY_FORMAT = "nasrec.search_summary"


def summarise(
    run: SearchRun,
    data: Prepared,
    supernet: Mapping[str, Any],
    search: Mapping[str, Any],
    finalists: Sequence[Finalist],
    choice: Mapping[str, Any],
    tests: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of `summary.json`: the results of the stages, and under `spent` what they took."""
    winner = finalists[choice["place"]]
    counts = counts_of(winner.arch, data.features)
    whole = [test for test in tests if test["log_loss"] is not None]
    found = {name: value for name, value in search.items() if name != "cost"}
    return {
        "format": SUMMARY_FORMAT,
        "version": 1,
        "data": described(run, data),
        "options": run.options.model_dump(mode="json"),
        "supernet": dict(supernet),
        "search": found,
        "finalists": [
            {**finalist.to_json(), "macs": workload_of(finalist.arch, data.features).macs} for finalist in finalists
        ],
        "retraining": list(choice["trainings"]),
        "winner": {
            "place": choice["place"],
            "number": winner.number,
            "arch": winner.arch.to_json(),
            "macs": counts.macs,
            "live_dense_parameters": counts.live_dense_parameters,
            "learning_rate": choice["learning_rate"],
            "epochs": choice["epochs"],
            "validation_log_loss": choice["validation_log_loss"],
            "test": {
                "log_loss": _over_seeds([test["log_loss"] for test in whole]),
                "auc": _over_seeds([test["auc"] for test in whole]),
                "seeds": [dict(test) for test in tests],
            },
        },
        "spent": {
            "wall_s": run.wall_s(),
            "peak_bytes": run.peak_bytes(),
            "workers": run.workers,
            "one_architecture": search["cost"],
        },
    }


def _over_seeds(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean, and standard deviation over seeds (None for a single one); both None where a value is undefined."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "deviation": None}
    return {"mean": statistics.fmean(known), "deviation": statistics.stdev(known) if len(known) > 1 else None}
