"""A front with intervals: the designs of the file are those that are compared, or the call is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest
from matplotlib import image
from typer.testing import CliRunner

from pimsim import InputError, MatVec, Workload
from pimsim.apart import compare, design_of
from pimsim.cli import app
from pimsim.files import write_workload
from pimsim.space_file import space_from_toml
from pimsim.sweep import sweep_to_parquet
from pimsim.sweep.picture import page
from pimsim.sweep.read import FrontFile, read_front
from pimsim.sweep.sure import MOST_COMPARED, with_uncertainty
from tests.pimsim.near import near

OBJECTIVES = ("energy_j", "latency_s", "area_m2")
WORKLOAD = Workload("w", (MatVec("a", 300, 100, vectors=9), MatVec("b", 100, 40, after=("a",))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload, a space with words and budgets, its sweep."""
    path = tmp_path_factory.mktemp("sure")
    write_workload(path / "workload.json", WORKLOAD)
    (path / "space.toml").write_text(
        'preset = ["isaac", "puma"]\ngating = ["idle_gated", "always_on"]\n[chip]\npreset = "isaac"\ntiles = "sized"\n'
        "[crossbar]\nrows = [64, 128]\n[adc]\nbits = [6, \"lossless\"]\ncolumns_per_adc = [8, 32, 128]\n"
        "[mapping]\nbudget_area_mm2 = [1.0, 3.0]\n")
    sweep_to_parquet(WORKLOAD, space_from_toml(path / "space.toml"), path / "all.parquet", chips=1, dram=False)
    return path


def found_in(folder: Path) -> FrontFile:
    return read_front(folder / "all.parquet", OBJECTIVES)


def test_the_designs_compared_are_those_of_the_file(folder: Path) -> None:
    found, space = found_in(folder), space_from_toml(folder / "space.toml")
    sure = with_uncertainty(found, WORKLOAD, space, samples=50, seed=2)
    assert sure.compared is not None
    assert (sure.left_out, sure.front.height) == (0, found.front.height)
    rows = list(found.front.iter_rows(named=True))
    alone = compare(WORKLOAD, space.chip, [design_of(row) for row in rows], OBJECTIVES, samples=50, seed=2)
    assert np.array_equal(sure.compared.draws, alone.draws)
    assert np.allclose(sure.compared.nominal[:, 0], found.front["energy_j"].to_numpy(), rtol=1e-12)
    text = page(sure)
    assert "5 to 95 % of 50 draws" in text
    assert f"Of the {found.front.height:,} designs compared," in text
    assert text.count("<tr>") == 1 + found.front.height
    assert "not apart from" in text
    assert "not apart from" not in page(found)


def test_a_long_front_is_thinned_and_says_so(folder: Path) -> None:
    found = found_in(folder)
    one = found.front[:1]
    long = replace(found, front=polars.concat([one] * (MOST_COMPARED + 7)))
    sure = with_uncertainty(long, WORKLOAD, space_from_toml(folder / "space.toml"), samples=2, seed=0)
    assert (sure.front.height, sure.left_out) == (MOST_COMPARED, 7)
    assert sure.compared is not None
    assert set(sure.compared.groups()) == {0}
    text = page(sure)
    assert f"<h1>{MOST_COMPARED + 7} chips" in text
    assert "7 are left out" in text


def test_another_workload_or_setting_is_refused(folder: Path) -> None:
    found, space = found_in(folder), space_from_toml(folder / "space.toml")
    other = Workload("w", (MatVec("a", 300, 100, vectors=8),))
    with pytest.raises(InputError, match="needed: those of the sweep"):
        with_uncertainty(found, other, space, samples=2, seed=0)
    with pytest.raises(InputError, match="energy_j is"):
        with_uncertainty(found, WORKLOAD, space, samples=2, seed=0, arrival_rate_hz=10.0)


def test_the_command(folder: Path, tmp_path: Path) -> None:
    arguments = ["pareto", str(folder / "all.parquet"), "--uncertainty", "--samples", "20", "--json"]
    inputs = ["--workload", str(folder / "workload.json"), "--space", str(folder / "space.toml")]
    for name in ("front.html", "front.png"):
        called = CliRunner().invoke(app, [*arguments, *inputs, "--out", str(tmp_path / name)])
        assert called.exit_code == 0, called.output
        said = json.loads(called.stdout)
        assert len(said["uncertainty"]) == len(said["front"])
        assert {"intervals", "on_front", "like"} == said["uncertainty"][0].keys()
        assert said["uncertainty"][0]["intervals"]["energy_j"]["nominal"] == near(said["front"][0]["energy_j"])
    assert "5 to 95 %" in (tmp_path / "front.html").read_text(encoding="utf-8")
    assert image.imread(tmp_path / "front.png").std() > 0.05
    refused = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "x.html")])
    assert "needs --workload and --space" in str(refused.exception)
    assert not (tmp_path / "x.html").exists()
