"""Wear by updates, their energy, sequential and pipelined execution."""

from __future__ import annotations

import json

import pytest

from pimsim import Gather, InputError, MatVec, Workload, evaluate, presets
from pimsim.tables import TablePlan

SIZED = presets.isaac().with_tiles(None)
WORKLOAD = Workload("w", (Gather("often", 1000, 16, updates_per_day=24.0, zipf=1.0), Gather("seldom", 1000, 16),
                          MatVec("m", 32, 64, after=("often", "seldom"))))
CELLS = {"often": 64_000, "seldom": 64_000, "m": 32 * 64 * 4}


def test_lifetime_and_energy_of_updates_by_hand() -> None:
    report = evaluate(WORKLOAD, SIZED, updates_per_day=2.0, arrival_rate_hz=1000.0)
    life = report.life
    assert life.updates_per_day == {"often": 24.0, "seldom": 2.0, "m": 2.0}
    assert life.first_worn == "often"
    assert life.lifetime_s == pytest.approx(1e6 / 24 * 86_400)
    day = 676e-9 / 32 / 128**2 * (CELLS["often"] * 24 + (CELLS["seldom"] + CELLS["m"]) * 2)
    assert life.energy_per_day_j == pytest.approx(day)
    assert life.inferences_per_day == pytest.approx(1000 * 86_400)
    assert life.per_inference_j == pytest.approx(day / (1000 * 86_400))
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["life"]["first_worn"] == "often"
    assert report.energy_j == evaluate(WORKLOAD, SIZED, arrival_rate_hz=1000.0).energy_j  # a figure apart


def test_without_updates_nothing_wears_and_dram_never_does() -> None:
    report = evaluate(Workload("w", (WORKLOAD.ops[1],)), SIZED)
    assert (report.life.first_worn, report.life.lifetime_s, report.life.per_inference_j) == (None, float("inf"), 0.0)
    assert report.to_json()["life"] is None
    assert evaluate(WORKLOAD, SIZED, dram=True).life.first_worn is None
    split = evaluate(WORKLOAD, SIZED, tables={"often": TablePlan("split", hot_share=0.1, replicas=3)})
    assert split.life.energy_per_day_j == pytest.approx(0.3 * evaluate(WORKLOAD, SIZED).life.energy_per_day_j)
    with pytest.raises(InputError, match="updates_per_day is -1"):
        evaluate(WORKLOAD, SIZED, updates_per_day=-1.0)


def test_an_empty_workload_has_a_report() -> None:
    data = evaluate(Workload("nothing", ()), SIZED).to_json()
    assert (data["throughput_hz"], data["life"], data["dynamic_j"]) == (None, None, 0.0)


def test_sequential_execution_waits_for_the_whole_inference() -> None:
    pipelined, sequential = evaluate(WORKLOAD, SIZED), evaluate(WORKLOAD, SIZED, execution="sequential")
    assert sequential.latency_s == sequential.interval_s == pipelined.latency_s > pipelined.interval_s
    assert pipelined.throughput_hz * pipelined.interval_s == pytest.approx(1.0)
    assert sequential.dynamic_j == pipelined.dynamic_j
    on = [evaluate(WORKLOAD, SIZED, execution=e, gating="always_on").on_s for e in ("pipelined", "sequential")]  # type: ignore[arg-type]
    assert on == [pipelined.interval_s, pipelined.latency_s]
    between = 2.0 / (pipelined.interval_s + pipelined.latency_s)
    evaluate(WORKLOAD, SIZED, arrival_rate_hz=between)
    with pytest.raises(InputError, match="arrival_rate_hz is"):
        evaluate(WORKLOAD, SIZED, arrival_rate_hz=between, execution="sequential")
    with pytest.raises(InputError, match="execution is 'fast', allowed: pipelined, sequential"):
        evaluate(WORKLOAD, SIZED, execution="fast")  # type: ignore[arg-type]


def test_an_operator_that_no_output_needs_wears_nothing() -> None:
    needed = Workload("w", (MatVec("m", 32, 64),), ("m",))
    more = Workload("w", (Gather("dead", 1000, 16, updates_per_day=24.0), *needed.ops), ("m",))
    first, second = (evaluate(workload, SIZED, updates_per_day=2.0).to_json() for workload in (more, needed))
    assert first == second
