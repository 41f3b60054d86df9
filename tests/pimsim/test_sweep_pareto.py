"""The streamed Pareto set is that of the whole space; blocks cover the space in its order."""

from __future__ import annotations

import json
from pathlib import Path

import moocore
import numpy as np
import polars
import pytest
from typer.testing import CliRunner

from pimsim import Gather, InputError, MatVec, Workload, evaluate, presets
from pimsim.cli import app
from pimsim.files import write_workload
from pimsim.sweep import Front, Space, sweep, sweep_to_front
from pimsim.sweep.grid import blocks

WORKLOAD = Workload("w", (
    Gather("t", 5000, 16), MatVec("a", 429, 300, after=("t",)), MatVec("b", 27, 20, vectors=400, after=("t",)),
    MatVec("c", 90, 33, vectors=900, after=("b",)), MatVec("h", 490, 1, after=("a", "c"))))
SPACE = Space(presets.isaac().with_tiles(None), {
    "rows": (64, 128), "cell_bits": (1, 2, 4), "columns": (32, 128), "adc_bits": (None, 5, 6),
    "columns_per_adc": (8, 64), "budget_area_m2": tuple(np.linspace(2e-6, 20e-6, 23).tolist())})


@pytest.mark.parametrize("chunk", [50, 10**6])
def test_designs_under_an_area_budget_equal_evaluate_to_the_last_bit(chunk: int) -> None:
    parts = list(sweep(WORKLOAD, SPACE, chunk=chunk))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(table["energy_j"])
    assert count > 500
    for index in np.random.default_rng(3).integers(count, size=1000):
        row = {name: values[index].item() for name, values in table.items()}
        chip = SPACE.chip.with_options(**{name: row[name] for name in SPACE.axes if name != "budget_area_m2"})
        report = evaluate(WORKLOAD, chip, copies="budget", budget_area_m2=row["budget_area_m2"])
        for name in ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2", "crossbars"):
            assert getattr(report, name) == row[name], name


@pytest.mark.parametrize("most", [1, 7, 100, 10**6])
def test_blocks_are_the_space_cut_in_its_order(most: int) -> None:
    axes = {"a": (1, 2), "b": tuple(range(11)), "c": (5, 6, 7)}
    found = []
    for block in blocks(axes, most):
        grid = np.meshgrid(*block.values(), indexing="ij")
        assert grid[0].size <= most
        found += list(zip(*(values.ravel().tolist() for values in grid), strict=True))
    assert found == [(a, b, c) for a in axes["a"] for b in axes["b"] for c in axes["c"]]


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_streamed_front_is_that_of_the_whole(columns: int) -> None:
    """1e5 points with many ties, in blocks."""
    rng = np.random.default_rng(columns)
    points = np.round(rng.lognormal(size=(100_000, columns)), 2) + 0.01
    names = ("energy_j", "latency_s", "area_m2", "interval_s")[:columns]
    front = Front(names)
    for start in range(0, len(points), 9999):
        block = {name: points[start:start + 9999, i] for i, name in enumerate(names)}
        front.add({**block, "rows": np.arange(start, start + len(block["energy_j"]))})
    assert front.columns["rows"].tolist() == np.flatnonzero(moocore.is_nondominated(points)).tolist()


def test_front_of_a_space_does_not_depend_on_its_blocks() -> None:
    whole, count = sweep_to_front(WORKLOAD, SPACE, chunk=10**6)
    pieces, counted = sweep_to_front(WORKLOAD, SPACE, chunk=60)
    assert count == counted
    assert len(whole["energy_j"]) > 3
    for name, values in whole.items():
        assert np.array_equal(values, pieces[name])


def test_objectives_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="objectives has 'speed', allowed: energy_j"):
        Front(("speed",))


def test_command_keeps_the_front_only(tmp_path: Path) -> None:
    workload, space, out = tmp_path / "w.json", tmp_path / "s.toml", tmp_path / "front.parquet"
    write_workload(workload, WORKLOAD)
    space.write_text('[chip]\npreset = "isaac"\ntiles = "sized"\n[crossbar]\nrows = [64, 128]\n'
                     '[mapping]\nbudget_area_mm2 = [5.0, 10.0, 20]\n')
    called = CliRunner().invoke(app, ["sweep", str(workload), "--space", str(space), "--out", str(out), "--json",
                                      "--pareto", "latency_s,area_m2"])
    assert called.exit_code == 0, called.output
    table = polars.read_parquet(out)
    assert 1 <= table.height <= 6
    assert table.columns == ["rows", "budget_area_m2", "latency_s", "area_m2"]
    assert json.loads(called.stdout.splitlines()[-1])["designs"] == 6
