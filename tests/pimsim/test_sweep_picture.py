"""The front of a Parquet file, and its pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import moocore
import numpy as np
import polars
import pytest
from matplotlib import image
from typer.testing import CliRunner

from pimsim import InputError, MatVec, Workload, presets
from pimsim.cli import app
from pimsim.sweep import Space, front_to_parquet, sweep_to_parquet
from pimsim.sweep.picture import MOST_ROWS, page
from pimsim.sweep.read import CLOUD, FrontFile, read_front

OBJECTIVES = ("energy_j", "latency_s", "area_m2")


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30,000 designs with many ties."""
    path = tmp_path_factory.mktemp("sweep") / "points.parquet"
    values = np.round(np.random.default_rng(0).lognormal(size=(30_000, 3)), 2) + 0.01
    polars.DataFrame({"rows": np.arange(30_000), "encoding": "offset<b>",
                      **dict(zip(OBJECTIVES, values.T, strict=True))}).write_parquet(path)
    return path


@pytest.mark.parametrize("piece", [777, 10**6])
@pytest.mark.parametrize("objectives", [OBJECTIVES, ("area_m2",), ("latency_s", "energy_j")])
def test_the_front_of_a_file_is_that_of_the_whole(points: Path, objectives: tuple[str, ...], piece: int) -> None:
    table = polars.read_parquet(points)
    found = read_front(points, objectives, piece=piece)
    expected = np.flatnonzero(moocore.is_nondominated(table.select(objectives).to_numpy()))
    assert sorted(found.front["rows"].to_list()) == expected.tolist()
    assert found.front.columns == table.columns
    assert found.designs == 30_000
    assert 0.5 * CLOUD < found.cloud.height < 2.5 * CLOUD
    assert found.front[objectives[0]].is_sorted()


def test_the_front_of_a_sweep_is_that_which_was_streamed(tmp_path: Path) -> None:
    workload = Workload("w", (MatVec("a", 300, 100, vectors=9),))
    space = Space(presets.isaac().with_tiles(None), {
        "encoding": ("offset", "differential"), "flip": (False,), "rows": (32, 64, 128), "cell_bits": (1, 2, 4),
        "columns_per_adc": (2, 4, 8, 16), "copies": (1, 3, 9)})
    sweep_to_parquet(workload, space, tmp_path / "all.parquet")
    front_to_parquet(workload, space, tmp_path / "front.parquet")
    names = [*space.names, *OBJECTIVES]
    found = read_front(tmp_path / "all.parquet", OBJECTIVES).front.select(names)
    streamed = polars.read_parquet(tmp_path / "front.parquet").select(names)
    assert found.sort(names).equals(streamed.sort(names))


def test_the_page_needs_nothing_else_and_shows_the_chips(points: Path) -> None:
    found = read_front(points, OBJECTIVES)
    text = page(found)
    assert not re.search(r'<(script|link|img)[^>]*(src|href)=', text)
    assert f"{found.front.height:,} chips that none of 30,000 beats" in text
    assert "offset&lt;b&gt;" in text
    assert "offset<b>" not in text
    assert text.count("<tr>") == 1 + found.front.height
    assert "energy (µJ)" in text
    many = FrontFile(points, OBJECTIVES, 30_000, polars.read_parquet(points).head(MOST_ROWS + 1), found.cloud)
    assert page(many).count("<tr>") == 1 + MOST_ROWS


def test_command(points: Path, tmp_path: Path) -> None:
    for name in ("front.html", "front.png"):
        called = CliRunner().invoke(app, ["pareto", str(points), "--objectives", "latency_s,area_m2", "--out",
                                          str(tmp_path / name), "--json"])
        assert called.exit_code == 0, called.output
        said = json.loads(called.stdout)
        assert said["designs"] == 30_000
        assert said["front"] == read_front(points, ("latency_s", "area_m2")).front.to_dicts()
    assert (tmp_path / "front.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert image.imread(tmp_path / "front.png").std() > 0.05


@pytest.mark.parametrize(("out", "objectives", "message"), [
    ("front.pdf", "area_m2", "allowed: a name that ends in .html or .png"),
    ("front.html", "speed", "objectives has 'speed', allowed: energy_j, latency_s, area_m2"),
    ("front.html", "rows", "objectives has 'rows', allowed: energy_j"),
    ("front.html", "", "objectives has '', allowed: energy_j"),
    ("front.html", "area_m2,area_m2", "objectives has area_m2, area_m2, allowed: every figure once")])
def test_what_cannot_be_shown_is_refused(points: Path, out: str, objectives: str, message: str,
                                         tmp_path: Path) -> None:
    called = CliRunner().invoke(app, ["pareto", str(points), "--objectives", objectives, "--out", str(tmp_path / out)])
    assert isinstance(called.exception, InputError)
    assert message in str(called.exception)
    assert list(tmp_path.iterdir()) == []


def test_files_without_designs_are_refused(tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.parquet", tmp_path / "empty.parquet"
    broken.write_text("no")
    polars.DataFrame({"area_m2": []}, schema={"area_m2": polars.Float64}).write_parquet(empty)
    absent = tmp_path / "absent.parquet"
    words, gap, none = (tmp_path / f"{name}.parquet" for name in ("words", "gap", "none"))
    polars.DataFrame({"area_m2": ["large"]}).write_parquet(words)
    polars.DataFrame({"area_m2": [1.0, float("nan")]}).write_parquet(gap)
    polars.DataFrame({"area_m2": [1.0, 2.0, None]}).write_parquet(none)
    for path, message in ((broken, "not a Parquet file"), (empty, "holds no designs"), (absent, "no such file"),
                          (words, "column 'area_m2' holds String, allowed: numbers"),
                          (gap, "column 'area_m2', row 1: nan, allowed: finite numbers"),
                          (none, "column 'area_m2', row 2: None, allowed: finite numbers")):
        with pytest.raises(InputError, match=message):
            read_front(path, ("area_m2",))
