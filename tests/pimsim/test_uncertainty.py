"""Draws have the moments that figures state, results follow by the model, chips share what they have in common."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Gather, InputError, MatMul, MatVec, Workload, evaluate, presets
from pimsim.charge import reading
from pimsim.cli import main
from pimsim.evaluate import account
from pimsim.explain import explain
from pimsim.figures import figures, uncertainty_of, with_factors
from pimsim.files import write_workload
from pimsim.uncertainty import RESULTS, Interval, draw_figures, draw_of, evaluate_uncertain, probability_less
from pimsim.validation import neurram
from tests.pimsim.near import near
from tests.pimsim.random_designs import chips, workloads

NETWORK = Workload("network", (
    Gather("t", 5000, 16), MatVec("wide", 96, 256, vectors=3, after=("t",)), MatMul("dot", 10, 16, 10, after=("wide",)),
    MatVec("head", 301, 1, after=("dot",))))
ISAAC, PUMA = presets.isaac().with_tiles(None), presets.puma().with_tiles(None)


def test_factors_have_mean_one_and_the_deviation_that_a_figure_states() -> None:
    factors, _ = draw_figures(ISAAC, 200_000)
    known = figures(ISAAC)
    exact = {name for name, figure in known.items() if not uncertainty_of(name, figure).relative}
    assert factors.keys() == known.keys() - exact
    assert {"shift_add.per_adc", "dram.burst_bits"} <= exact
    for name, drawn in factors.items():
        relative = uncertainty_of(name, known[name]).relative
        assert drawn.min() > 0.0
        assert drawn.mean() == pytest.approx(1.0, abs=5 * relative / math.sqrt(len(drawn)))
        assert drawn.std() == pytest.approx(relative, rel=0.05 if relative > 0.5 else 0.02, abs=0.0)


def test_draws_belong_to_components_not_to_chips() -> None:
    mine, other, more = (draw_figures(chip, n)[0] for chip, n in ((ISAAC, 50), (PUMA, 50), (ISAAC, 80)))
    assert np.array_equal(mine["edram.energy"], other["edram.energy"])
    assert np.array_equal(mine["edram.energy"], more["edram.energy"][:50])
    assert not np.array_equal(mine["edram.energy"], draw_figures(ISAAC, 50, seed=1)[0]["edram.energy"])
    assert not np.array_equal(mine["edram.energy"], mine["bus.energy"])
    assert draw_of("adc.energy", ISAAC) != draw_of("adc.energy", ISAAC.with_options(adc_model="survey"))
    # One assumption, one draw: a tenth of a table's power leaks.
    assert draw_of("link.leakage", ISAAC) == draw_of("vector_unit.leakage", ISAAC) != draw_of("dac.leakage", ISAAC)
    # Scaled areas are still those of the same component.
    assert draw_of("adc.area", ISAAC) == draw_of("adc.area", ISAAC.at_node(65))
    assert draw_of("link.leakage", ISAAC) == draw_of("vector_unit.leakage", ISAAC.at_node(65))


@pytest.mark.parametrize("how", [{}, {"gating": "always_on"}, {"execution": "sequential", "copies": 3}])
def test_a_draw_is_the_report_on_the_chip_that_it_makes(how: dict[str, Any]) -> None:
    sure = evaluate_uncertain(NETWORK, ISAAC, samples=7, **how)
    factors, _ = draw_figures(ISAAC, 7)
    for i in (0, 3, 6):
        chip = with_factors(ISAAC, {name: float(values[i]) for name, values in factors.items()})
        one = evaluate(NETWORK, chip, **how)
        assert {name: sure.draws[name][i] for name in RESULTS} == {name: getattr(one, name) for name in RESULTS}


@settings(max_examples=25, deadline=None)
@given(workloads(), chips(), st.sampled_from(["flat", "htree", "mesh"]))
def test_a_draw_of_any_chip_is_that_chip(workload: Workload, chip: Chip, interconnect: str) -> None:
    chip = chip.with_options(interconnect=interconnect)
    sure = evaluate_uncertain(workload, chip, samples=2, copies=2)
    factors, _ = draw_figures(chip, 2)
    one = evaluate(workload, with_factors(chip, {name: float(values[1]) for name, values in factors.items()}), copies=2)
    assert {name: draws[1] for name, draws in sure.draws.items()} == {name: getattr(one, name) for name in sure.draws}


def test_chance_makes_no_drivers() -> None:
    """With few samples most correlations are chance; what 20,000 show is the truth."""
    true = evaluate_uncertain(NETWORK, ISAAC, samples=20_000).drivers("energy_j", 0.0)
    named = [set(evaluate_uncertain(NETWORK, ISAAC, samples=40, seed=seed).drivers("energy_j")) for seed in range(20)]
    assert sum(true[name] < 0.01 for names in named for name in names) <= 3
    largest = max(true, key=true.__getitem__)
    assert true[largest] > 0.4 and sum(largest in names for names in named) >= 15


def test_the_spread_of_a_sum_is_that_of_its_parts() -> None:
    """Energy and area are linear: shares of one draw add up, draws are independent, variances add up."""
    sure = evaluate_uncertain(NETWORK, ISAAC, samples=20_000)
    explanation = explain(NETWORK, ISAAC)
    for name, shares in (("dynamic_j", explanation.dynamic), ("area_m2", explanation.area)):
        by_draw: dict[str, float] = defaultdict(float)
        for share in shares:
            by_draw[draw_of(share.figure, ISAAC)] += share.total * share.uncertainty.relative
        sigma = math.sqrt(sum(part**2 for part in by_draw.values()))
        assert sure.draws[name].std() == pytest.approx(sigma, rel=0.05, abs=0.0)
        assert sure.draws[name].mean() == pytest.approx(getattr(sure.report, name), abs=5 * sigma / math.sqrt(20_000))
        ends = sure.interval(name)
        assert ends.low < ends.median < ends.high
        assert np.mean((sure.draws[name] >= ends.low) & (sure.draws[name] <= ends.high)) == pytest.approx(0.9, abs=1e-3)
        # What most of the spread comes from is the draw with the largest part of the variance.
        assert next(iter(sure.drivers(name))) == max(by_draw, key=by_draw.__getitem__)
        assert sum(sure.drivers(name, 0.0).values()) == pytest.approx(1.0, abs=0.1)


def test_what_is_zero_has_no_spread() -> None:
    """NeuRRAM's leakage is not published and not booked."""
    sure = evaluate_uncertain(NETWORK, presets.neurram().with_tiles(None), samples=50)
    assert sure.interval("static_j") == Interval(0.0, 0.0, 0.0, 0.0)
    assert sure.drivers("static_j") == {}


def test_common_draws_order_chips_whose_intervals_overlap() -> None:
    cheaper = with_factors(ISAAC, {"edram.energy": 0.99})
    a, b = (evaluate_uncertain(NETWORK, chip, samples=300) for chip in (cheaper, ISAAC))
    assert a.interval("dynamic_j").high > b.interval("dynamic_j").low
    assert probability_less(a, b, "dynamic_j") == 1.0
    assert probability_less(b, a, "dynamic_j") == 0.0
    assert probability_less(a, b, "latency_s") == 0.5
    for other in (evaluate_uncertain(NETWORK, ISAAC, samples=300, seed=1), evaluate_uncertain(NETWORK, ISAAC)):
        with pytest.raises(ValueError, match="no draws in common"):
            probability_less(a, other, "dynamic_j")


@pytest.mark.parametrize("gating", ["idle_gated", "always_on"])
def test_arrivals_that_only_some_draws_keep_up_with(gating: Any) -> None:
    rate = 0.95 / float(evaluate(NETWORK, ISAAC).interval_s)
    sure = evaluate_uncertain(NETWORK, ISAAC, samples=400, gating=gating, arrival_rate_hz=rate)
    slow = sure.draws["interval_s"] > 1 / rate
    assert 0.0 < slow.mean() < 1.0
    assert sure.keeps_up == near(1 - slow.mean())
    factors, _ = draw_figures(ISAAC, 400)
    for i in (int(np.flatnonzero(slow)[0]), int(np.flatnonzero(~slow)[0])):
        chip = with_factors(ISAAC, {name: float(values[i]) for name, values in factors.items()})
        own = min(rate, 1 / float(sure.draws["interval_s"][i]))
        one = account(NETWORK, chip, sure.report.mapping, gating=gating, arrival_rate_hz=own)
        assert sure.draws["energy_j"][i] == pytest.approx(one.energy_j, rel=1e-14, abs=0.0)
    assert evaluate_uncertain(NETWORK, ISAAC, samples=9, arrival_rate_hz=1.0).keeps_up == 1.0


def test_lifetime_follows_endurance() -> None:
    sure = evaluate_uncertain(NETWORK, ISAAC, samples=100, updates_per_day=24.0)
    factors, _ = draw_figures(ISAAC, 100)
    assert sure.draws["lifetime_s"] == near(sure.report.life.lifetime_s * factors["cell.endurance"])
    assert sure.interval("lifetime_s").nominal == sure.report.life.lifetime_s
    assert list(sure.drivers("lifetime_s", 0.5)) == ["cell.endurance"]
    assert "lifetime_s" not in evaluate_uncertain(NETWORK, ISAAC, samples=9).draws


def test_published_silicon_lies_within_the_intervals() -> None:
    """NeuRRAM's throughput and efficiency over bits: 20 points, of which nine in ten are to lie within 5 to 95 %."""
    chip = presets.neurram()
    core = with_factors(chip, draw_figures(chip, 2000)[0]).crossbar
    published = [(bits, 3, both[:2]) for bits, both in neurram._PUBLISHED.items()]
    published += [(bits, None, both) for bits, both in neurram._ONE_PHASE.items()]
    within = []
    for (output_bits, input_bits), phase_bits, both in published:
        readout = replace(core.readout, adc_bits=output_bits, phase_bits=phase_bits)
        op = MatVec("core", 128, 256, weight_bits=4, input_bits=input_bits, signed_inputs=True)
        energies, seconds = reading(op, replace(core, readout=readout))
        drawn = (48 * neurram.OPERATIONS / seconds / 1e12, neurram.OPERATIONS / sum(energies.values()) / 1e12)
        for value, draws in zip(both, drawn, strict=True):
            low, high = np.quantile(draws, (0.05, 0.95))
            assert high / low < 1.6
            within.append(low <= value <= high)
    assert len(within) == 20
    assert sum(within) >= 18


@pytest.mark.parametrize("samples", [1, 0, -3, 10**7, True, 2.5])
def test_numbers_of_samples_that_make_no_sense(samples: Any) -> None:
    with pytest.raises(InputError, match="samples is"):
        evaluate_uncertain(NETWORK, ISAAC, samples=samples)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_workload(tmp_path / "workload.json", NETWORK)
    said = []
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [
            "pimsim", "evaluate", str(tmp_path / "workload.json"), "--set", "tiles=sized", "--uncertainty", "--samples",
            "50", "--seed", "3", "--updates-per-day", "24", *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        said.append(capsys.readouterr().out)
    assert "How sure this is: 50 draws of all figures, seed 3" in said[0]
    assert "throughput" in said[0] and "lifetime" in said[0]
    expected = evaluate_uncertain(NETWORK, ISAAC, samples=50, seed=3, updates_per_day=24.0)
    data = json.loads(said[1])
    assert data.pop("uncertainty") == json.loads(json.dumps(expected.to_json()))
    assert data == json.loads(json.dumps(expected.report.to_json()))
