"""A finished run in small JSON: `python -m benchmarks.digest RUN > benchmarks/results/NAME.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOTALS = ("energy_j", "dynamic_j", "static_j", "latency_s", "area_m2", "interval_s", "crossbars", "gating")


def digest(summary: dict[str, Any]) -> dict[str, Any]:
    """Data, quality and hardware of winners and baselines, final hypervolumes and wall times of `summary`."""
    return {
        "rows": summary["data"]["rows"],
        "optimum": summary["data"]["optimum"],
        "gap_closed": summary["gap_closed"],
        "evaluations": summary["options"]["search"]["evaluations"],
        "reference_point": summary["search"]["reference_point"],
        "hypervolume": {
            name: {run["seed"]: run["hypervolume"][-1] for run in strategy["seeds"]}
            for name, strategy in summary["search"]["strategies"].items()
        },
        "winners": [_model(model) for model in summary["winners"]],
        "baselines": [_model(model) for model in summary["baselines"]],
        "wall_s": summary["wall_s"],
    }


def _model(model: dict[str, Any]) -> dict[str, Any]:
    figures = {"name": model["name"], "test": model["test"]}
    figures["hardware"] = {name: model["hardware"][name] for name in TOTALS}
    if "compared" in model:
        figures["compared"] = model["compared"]
    if "candidate" in model:
        figures["chip"] = model["candidate"]["chip"]
    return figures


if __name__ == "__main__":
    summary = json.loads((Path(sys.argv[1]) / "summary.json").read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(digest(summary), indent=1) + "\n")
