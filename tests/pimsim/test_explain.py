"""An explanation adds up to its report, counts what can be counted by hand, and names a source for everything."""

from __future__ import annotations

import json
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from rich.console import Console

from pimsim import Chip, Elementwise, Gather, MatMul, MatVec, Workload, evaluate, presets
from pimsim.cli import main
from pimsim.explain import Explanation, explain
from pimsim.explain_tables import explanation_tables, figure_text
from pimsim.files import write_workload
from pimsim.shares import Share
from tests.pimsim.near import near
from tests.pimsim.random_designs import chips, workloads

TABLES = tuple(Gather(f"t{i}", 50 * 4**i, 16) for i in range(4))
NETWORK = Workload("network", (
    *TABLES, MatVec("bottom", 13, 64), MatVec("wide", 64, 256, after=tuple(op.name for op in TABLES)),
    Elementwise("relu", "relu", 256, 16, after=("wide",)), MatVec("projection", 7, 10, vectors=16, after=("bottom",)),
    MatMul("dot", 10, 16, 10, symmetric=True, after=("projection",)), MatVec("head", 301, 1, after=("relu", "dot"))))
ISAAC = presets.isaac()


def whole(shares: tuple[Share, ...]) -> float:
    return sum(share.total for share in shares)


def assert_adds_up(explanation: Explanation) -> None:
    report = explanation.report
    assert whole(explanation.dynamic) == pytest.approx(report.dynamic_j, rel=1e-12, abs=0.0)
    for name, shares in explanation.by_op.items():
        assert whole(shares) == pytest.approx(report.by_op[name].cost.energy_j, rel=1e-12, abs=0.0)
    assert whole(explanation.leakage) * report.on_s == pytest.approx(report.static_j, rel=1e-12, abs=0.0)
    assert whole(explanation.area) == pytest.approx(report.area_m2, rel=1e-12, abs=0.0)
    assert whole(explanation.latency) == pytest.approx(report.latency_s, rel=1e-8, abs=0.0)
    assert whole(explanation.interval) == pytest.approx(report.interval_s, rel=1e-8, abs=0.0)
    assert whole(explanation.programming) == pytest.approx(report.programming.energy_j, rel=1e-12, abs=0.0)
    for component, part in report.by_component.items():
        own = [sum(share.total for share in shares if share.component == component)
               for shares in (explanation.dynamic, explanation.area)]
        assert own == pytest.approx([part.dynamic_j, part.footprint.area_m2], rel=1e-12, abs=0.0)
        assert -1e-18 <= explanation.unused_m2.get(component, 0.0) <= part.footprint.area_m2 * (1 + 1e-12)
    steps = explanation.path
    if steps:
        assert all(step.start_s == near(before.start_s + before.latency_s)
                   for before, step in pairwise(steps))
        end = steps[-1].start_s + steps[-1].latency_s
        assert max(end, float(report.total.interval_s)) == near(report.latency_s)
        for step in steps:
            assert whole(step.by_figure) == pytest.approx(step.latency_s, rel=1e-8, abs=0.0)


@pytest.mark.parametrize("name", presets.PRESETS)
@pytest.mark.parametrize("options", [
    {}, {"copies": 4}, {"dram": True}, {"gating": "always_on", "arrival_rate_hz": 100.0}, {"execution": "sequential"}])
def test_sums_equal_the_totals_of_the_report(name: str, options: dict[str, Any]) -> None:
    explanation = explain(NETWORK, presets.preset(name).with_tiles(None), **options)
    assert explanation.report == evaluate(NETWORK, presets.preset(name).with_tiles(None), **options)
    assert_adds_up(explanation)


@settings(max_examples=25, deadline=None)
@given(workloads(), chips())
def test_sums_equal_the_totals_of_any_report(workload: Workload, chip: Chip) -> None:
    assert_adds_up(explain(workload, chip))
    assert_adds_up(explain(workload, chip.with_options(interconnect="mesh"), execution="sequential"))


def test_counts_by_hand() -> None:
    """16 inputs x 16 bits on 32 columns: 3 vectors x 16 phases x 1 read x 4 outputs x 8 slices conversions."""
    one = MatVec("fc", 16, 4, vectors=3, weight_bits=16, input_bits=16, input_density=1.0)
    explanation = explain(Workload("one", (one,)), ISAAC)
    count = {share.figure: (share.count, share.at_bits) for share in explanation.dynamic}
    assert count["adc.energy"] == (3 * 16 * 4 * 8, 8)
    assert count["dac.energy"] == (3 * 16 * 16, 1)
    assert count["cell.mac"] == (3 * 16 * 16 * 32, None)
    area = {(share.component, share.figure): share.count for share in explanation.area}
    assert area["adc", "adc.area"] == 168 * 96
    assert area["array", "cell.area"] == 168 * 96 * 128 * 128
    adcs, array = explanation.unused_m2["adc"], explanation.unused_m2["array"]
    assert adcs == near((168 * 96 - 1) * 1200e-12)
    assert array == near(explanation.report.by_component["array"].footprint.area_m2 * (1 - 1 / (168 * 96)))
    assert explanation.unused_m2["edram"] == near(167 * 0.083e-6)
    assert explanation.unused_m2["vector_unit"] > 0
    assert "vector_unit" not in explain(NETWORK, ISAAC).unused_m2


@pytest.mark.parametrize(("name", "edram"), [("isaac", 0.083e-6), ("puma", 0.086e-6)])
def test_the_one_tile_of_a_chip_without_crossbars_works_as_far_as_it_is_charged(name: str, edram: float) -> None:
    chip = presets.preset(name).with_tiles(None)
    relu = explain(Workload("e", (Elementwise("e", "relu", 320),)), chip)
    assert relu.report.mapping.tiles == 1
    assert {"edram", "bus", "vector_unit"}.isdisjoint(relu.unused_m2)
    assert relu.unused_m2["array"] == relu.report.by_component["array"].footprint.area_m2
    assert relu.unused_m2["router"] > 0.0  # a hop is charged only on a network
    far = explain(Workload("e", (Elementwise("e", "relu", 320),)), chip.with_options(interconnect="mesh"))
    assert "router" not in far.unused_m2
    table = explain(Workload("t", (Gather("t", 1000, 16, lookups=3.0),)), chip, dram=True)
    assert {"bus", "shift_add"}.isdisjoint(table.unused_m2)  # on to the next operator, and the rows of a bag added up
    assert table.unused_m2["edram"] == near(edram)
    two = explain(Workload("e", (Elementwise("e", "relu", 320),)), chip.with_tiles(2))
    assert two.unused_m2["edram"] == near(edram)
    assert two.unused_m2["adc"] == two.report.by_component["adc"].footprint.area_m2


@settings(max_examples=25, deadline=None)
@given(workloads(), chips())
def test_what_is_charged_is_never_all_unused(workload: Workload, chip: Chip) -> None:
    explanation = explain(workload, chip, dram=True)
    for component, part in explanation.report.by_component.items():
        if part.dynamic_j and part.footprint.area_m2:
            assert explanation.unused_m2.get(component, 0.0) < part.footprint.area_m2 * (1 - 1e-9), component


def test_the_figure_that_limits_time_has_it() -> None:
    """128 columns at 1.28 GS/s take 100 ns as the array does: the ADC comes first. Fewer columns: the array."""
    one = Workload("one", (MatVec("fc", 16, 4, weight_bits=16, input_bits=16),))
    (tied,) = explain(one, ISAAC).interval
    assert (tied.figure, tied.total) == ("adc.rate", near(1.6e-6))
    assert tied.count == near(16 * 128)
    (array,) = explain(one, ISAAC.with_options(columns_per_adc=8)).interval
    assert (array.figure, array.count) == ("crossbar.read_time", near(16))
    (shared,) = explain(one, ISAAC.with_options(columns=256, columns_per_adc=256)).interval
    assert (shared.figure, shared.total) == ("adc.rate", near(3.2e-6))


def test_the_longest_path_and_what_binds_the_interval() -> None:
    explanation = explain(NETWORK, ISAAC)
    assert [step.op for step in explanation.path] == ["bottom", "projection", "dot", "head"]
    assert explanation.bound_by == "crossbars of projection"
    assert explain(NETWORK, ISAAC, execution="sequential").bound_by.startswith("the inference before")


def test_everything_has_a_source_and_says_when_its_uncertainty_is_assumed() -> None:
    explanation = explain(NETWORK, ISAAC)
    shares = [*explanation.dynamic, *explanation.leakage, *explanation.area, *explanation.latency]
    assert all(share.source and share.unit for share in shares)
    adc = next(share for share in shares if share.figure == "adc.energy")
    assert (adc.uncertainty.relative, bool(adc.uncertainty.stated_by)) == (0.067, True)
    assert not next(share for share in shares if share.figure == "cell.mac").uncertainty.stated_by


def test_the_node_says_what_was_scaled() -> None:
    scaled = explain(NETWORK, ISAAC.at_node(65))
    assert "65 nm" in scaled.technology and "scaled from 32 to 65 nm by Stillmaker & Baas" in scaled.technology
    assert all("scaled from 32 nm by 3.194, Stillmaker & Baas" in share.source for share in scaled.area)


def test_tables_fit_into_a_hundred_columns() -> None:
    console = Console(width=100, record=True, file=sys.stderr)
    console.print(explanation_tables(explain(NETWORK, ISAAC, updates_per_day=24.0)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 100
    for said in ("adc.rate", "bound by crossbars of projection", "ISAAC, ISCA'16", "is worn out after", "no work",
                 "t0 to t3: 4 x 32.30 pJ"):
        assert said in text


@pytest.mark.parametrize("name", presets.PRESETS)
def test_chips_and_workloads_with_hardly_anything(name: str) -> None:
    chip = presets.preset(name).with_tiles(None)
    for op in (Elementwise("e", "relu", 1, 1), Gather("g", 1, 1, lookups=0.5), MatVec("m", 1, 1)):
        explanation = explain(Workload("w", (op,)), chip)
        assert_adds_up(explanation)
        Console(width=100, file=StringIO()).print(explanation_tables(explanation))
        json.dumps(explanation.to_json(), allow_nan=False)


@pytest.mark.parametrize(("value", "unit", "text"), [
    (1.4e-12, "J", "1.4 pJ"), (0.0, "J", "0 J"), (0.5, "1", "0.5"), (16.0, "bits", "16 bits"),
    (1.2e-9, "m²", "1200 µm²"), (1e-8, "m²", "0.01 mm²"), (1.28e9, "Hz", "1.28 GHz"), (5e-20, "J", "0.05 aJ")])
def test_figures_are_written_with_a_prefix(value: float, unit: str, text: str) -> None:
    assert figure_text(value, unit) == text


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_workload(tmp_path / "workload.json", NETWORK)
    said = []
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["pimsim", "explain", str(tmp_path / "workload.json"), "--set", "adc.bits=6",
                                          *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        said.append(capsys.readouterr().out)
    assert "Dynamic energy by operator" in said[0]
    data = json.loads(said[1])
    assert data == json.loads(json.dumps(explain(NETWORK, ISAAC.with_options(adc_bits=6)).to_json()))
    assert sum(share["total"] for share in data["dynamic"]) == near(data["report"]["dynamic_j"])
