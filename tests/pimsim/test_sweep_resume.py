"""A sweep that is killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import polars
import pytest
from polars.testing import assert_frame_equal

from pimsim import Gather, InputError, MatVec, Workload, presets
from pimsim.sweep import Space, front_to_parquet, sweep_to_parquet

WORKLOAD = Workload("w", (
    Gather("t", 5000, 16), MatVec("a", 429, 300, after=("t",)), MatVec("b", 27, 20, vectors=400, after=("t",)),
    MatVec("h", 490, 1, after=("a", "b"))))
SPACE = Space(presets.isaac().with_tiles(None), {
    "encoding": ("offset", "differential"), "flip": (False,), "rows": (64, 128), "cell_bits": (1, 2, 4),
    "columns": (32, 128), "adc_bits": (None, 5), "budget_area_m2": tuple(4e-6 + 1e-6 * i for i in range(9))})
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_sweep_resume import SPACE, WORKLOAD
from pimsim import sweep
sys.modules['pimsim.sweep.run']._SAVE_S = 0.0
done = 0
def progress(designs):
    global done
    done += designs
    if done >= 150:
        os.kill(os.getpid(), signal.SIGKILL)
getattr(sweep, sys.argv[2])(WORKLOAD, SPACE, Path(sys.argv[3]), chunk=20, progress=progress)
"""
WAYS = {"sweep_to_parquet": sweep_to_parquet, "front_to_parquet": front_to_parquet}


def _killed(name: str, out: Path) -> None:

    ended = subprocess.run([sys.executable, "-c", KILLED, str(Path(__file__).parent), name, str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", WAYS)
def test_a_killed_sweep_goes_on(name: str, tmp_path: Path) -> None:
    out, other = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    designs = WAYS[name](WORKLOAD, SPACE, other, chunk=20)
    _killed(name, out)
    assert not out.exists()
    before: list[int] = []
    after: list[int] = []
    assert WAYS[name](WORKLOAD, SPACE, out, chunk=20, resumed=before.append, progress=after.append) == designs
    assert len(before) == 1
    assert 0 < before[0] < len(SPACE)
    assert before[0] + sum(after) == len(SPACE)
    assert_frame_equal(polars.read_parquet(out), polars.read_parquet(other))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.parquet", "whole.parquet"]


def test_what_another_sweep_left_is_not_used(tmp_path: Path) -> None:
    out = tmp_path / "killed.parquet"
    _killed("sweep_to_parquet", out)
    assert list(tmp_path.iterdir()) == [tmp_path / ".killed.parquet.journal"]
    other = Space(SPACE.chip, {**SPACE.axes, "rows": (64, 256)})
    before: list[int] = []
    sweep_to_parquet(WORKLOAD, other, out, chunk=20, resumed=before.append)
    assert before == []
    assert polars.read_parquet(out)["rows"].unique().sort().to_list() == [64, 256]


def test_what_another_version_has_costed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "killed.parquet"
    _killed("sweep_to_parquet", out)
    monkeypatch.setattr("pimsim.sweep.space._code", lambda: "another version")
    before: list[int] = []
    sweep_to_parquet(WORKLOAD, SPACE, out, chunk=20, resumed=before.append)
    assert before == []


def test_a_sweep_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    out.write_text("before")
    with pytest.raises(InputError, match="chips is 2"):
        front_to_parquet(WORKLOAD, SPACE, out, chips=2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert out.read_text() == "before"
