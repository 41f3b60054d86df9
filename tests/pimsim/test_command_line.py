"""The command `pimsim` from outside: output, exit codes, one-line errors, what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import polars
import pytest

from pimsim import Gather, MatVec, Workload, evaluate, presets
from pimsim.cli import main
from pimsim.files import write_workload

WORKLOAD = Workload("two_layers", (Gather("t", 100_000, 16), MatVec("fc", 16, 8, vectors=3, after=("t",))))


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "workload.json"
    write_workload(path, WORKLOAD)
    return path


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["pimsim", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "--version") == 0
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert capsys.readouterr().out == f"pimsim {project['version']}\n"


def test_presets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "presets") == 0
    assert "isaac" in capsys.readouterr().out


def test_evaluate_prints_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                workload: Path) -> None:
    assert _run(monkeypatch, "evaluate", workload, "--chip", "isaac") == 0
    out = capsys.readouterr().out
    assert "two_layers on isaac" in out
    assert "idle_gated" in out
    assert "85.55 mm²" in out


def test_evaluate_json_equals_the_python_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                              workload: Path) -> None:
    assert _run(monkeypatch, "evaluate", workload, "--set", "crossbar.rows=256", "--set", "tiles=sized",
                "--copies", 2, "--dram", "--gating", "always_on", "--arrival-rate", 1000, "--json") == 0
    chip = presets.isaac().with_options(rows=256).with_tiles(None)
    expected = evaluate(WORKLOAD, chip, copies=2, dram=True, gating="always_on", arrival_rate_hz=1000.0)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(expected.to_json()))


def test_sweep_writes_parquet_and_ends_with_its_rate(monkeypatch: pytest.MonkeyPatch, workload: Path, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    space, out = tmp_path / "space.toml", tmp_path / "sweep.parquet"
    space.write_text('[chip]\npreset = "isaac"\n[crossbar]\nrows = [64, 128]\n[adc]\ncolumns_per_adc = [8, 256]\n')
    assert _run(monkeypatch, "sweep", workload, "--space", space, "--out", out, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["designs"], said["left_out"]) == (2, 2)
    assert said["designs_per_second"] == pytest.approx(2 / said["seconds"])
    assert polars.read_parquet(out)["rows"].to_list() == [64, 128]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--chip", "isac"], "neither a chip file (.toml) nor a preset"),
    (["--chip", "none.toml"], "none.toml: no such file"),
    (["--set", "crossbar.rows=0"], "key 'crossbar.rows' is 0, allowed: whole numbers from 2 to 4096"),
    (["--set", "tiles=1"], "too many; give chips="),
    (["--copies", "0"], "copies is 0"),
    (["--gating", "off"], "--gating off: allowed: idle_gated, always_on"),
    (["--dram-table", "u"], "dram_tables has 'u', allowed: t"),
])
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, workload: Path,
                                               monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "evaluate", workload, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_sweep_does_not_overwrite_what_it_reads(workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "space.toml"
    space.write_text('[chip]\npreset = "isaac"\ntiles = "sized"\n[crossbar]\nrows = [64, 128]\n')
    before = workload.read_bytes(), space.read_bytes()
    for out, message in ((workload, "is WORKLOAD too, allowed: another file"), (space, "is --space too"),
                         (tmp_path, "is a folder, expected the name of a file")):
        assert _run(monkeypatch, "sweep", workload, "--space", space, "--out", out) == 2
        assert message in capsys.readouterr().err
    assert (workload.read_bytes(), space.read_bytes()) == before
    assert _run(monkeypatch, "sweep", workload, "--space", space, "--out", tmp_path / "x.csv") == 2
    assert "x.csv: allowed: a name that ends in .parquet" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "message"), [
    (("evaluate", "WORKLOAD", "--samples", "10"), "--samples: allowed with --uncertainty only"),
    (("evaluate", "WORKLOAD", "--seed", "1"), "--seed: allowed with --uncertainty only"),
    (("pareto", "x.parquet", "--out", "x.html", "--seed", "1"), "--seed: allowed with --uncertainty only"),
    (("validate", "--json", "--markdown"), "--json and --markdown: allowed: one of them")])
def test_idle_options_are_refused(options: tuple[str, ...], message: str, workload: Path,
                                  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = [workload if option == "WORKLOAD" else option for option in options]
    assert _run(monkeypatch, *given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("text", "message"), [
    ("", "line 1: not valid JSON"), ("{", "not valid JSON"),
    ('{"name": "a", "name": "b"}', "key 'name' stands twice in one object"),
    ("[1]", "is a list"), ("[" * 100_000, "nested too deeply"),
    ("\xff", "not UTF-8 text")])
def test_a_broken_workload_file_is_named(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    assert _run(monkeypatch, "evaluate", path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "broken.json" in error


def test_importing_pimsim_loads_none_of_the_outer_ring() -> None:
    code = ("import sys, pimsim; print([m for m in "
            "('torch', 'polars', 'typer', 'pydantic', 'rich', 'nasrec') if m in sys.modules])")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_command_line_loads_neither_torch_nor_onnx() -> None:
    code = "import sys, pimsim.cli, pimsim.importers; print([m for m in ('torch', 'onnx') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "[]"
