"""`summary.json`: every figure of a run in one file; see docs/formats.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrec.data.prepared import Prepared
from nasrec.run import Run
from nasrec.run_data import described
from nasrec.search.objectives import OBJECTIVES, hypervolume_curve

SUMMARY_FORMAT = "nasrec.summary"
SPLITS = ("train", "validation", "test")
REFERENCE_FACTOR = 10.0  # energy, latency and area of the reference point, in multiples of DLRM's on ISAAC


def reference_point(baselines: Mapping[str, Mapping[str, Any]]) -> list[float]:
    """The corner that hypervolume is measured from, in the order of `OBJECTIVES`.

    Log loss: logistic regression's on the rows that candidates are scored on; energy, latency and area:
    `REFERENCE_FACTOR` times DLRM's on an ISAAC chip of its own size. A candidate beyond it in any way adds nothing.
    """
    dlrm = baselines["dlrm"]["hardware"]
    costs = [REFERENCE_FACTOR * dlrm[name] for name in OBJECTIVES[1:]]
    return [baselines["logistic_regression"]["scored_log_loss"], *costs]


def gap_closed(
    baselines: Mapping[str, Mapping[str, Any]], winners: Sequence[Mapping[str, Any]], optimum: float | None
) -> float | None:
    """How much of the way from logistic regression to the planted optimum the best winner goes on test, in float."""
    if optimum is None or not winners:
        return None
    start = baselines["logistic_regression"]["test"]["log_loss"]
    best = min(winner["test"]["log_loss"] for winner in winners)
    return float((start - best) / (start - optimum))


def summarise(
    run: Run,
    data: Prepared,
    baselines: Mapping[str, Mapping[str, Any]],
    searches: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
    winners: Sequence[Mapping[str, Any]],
    compared: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of `summary.json`; `searches` maps strategy and seed to that search's trials in order, `compared`
    each baseline to what finalists were held against."""
    reference = reference_point(baselines)
    optimum = {split: data.optimum(split) for split in SPLITS}
    return {
        "format": SUMMARY_FORMAT,
        "version": 1,
        "data": {**described(run, data), "optimum": optimum},
        "options": run.options.model_dump(mode="json"),
        "search": {
            "objectives": list(OBJECTIVES),
            "reference_point": reference,
            "strategies": {
                name: {"seeds": [_seed_run(seed, trials, reference) for seed, trials in by_seed.items()]}
                for name, by_seed in searches.items()
            },
        },
        "winners": list(winners),
        "baselines": [{**found, "compared": compared[name]} for name, found in baselines.items()],
        "gap_closed": gap_closed(baselines, winners, optimum["test"]),
        "wall_s": run.wall_s(),
    }


def _seed_run(seed: int, trials: Sequence[Mapping[str, Any]], reference: Sequence[float]) -> dict[str, Any]:
    values = [trial["values"] if trial["feasible"] else list(reference) for trial in trials]
    return {"seed": seed, "trials": list(trials), "hypervolume": hypervolume_curve(values, reference)}
