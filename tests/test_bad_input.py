"""Bad input from outside: one line that names the place, exit code 2, nothing half-written.

Each test runs an installed command. Those that only prepare data start no torch and take a second.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_run import ROWS, call, refused, temporary_files

from nasrec.data.synthetic import write_criteo
from nasrec.errors import InputError
from nasrec.winners import read_winner
from pimsim import MatVec, Workload
from pimsim.files import write_workload

SCHEMA = """
files = ["{file}"]
[columns]
click = "label"
price = "dense"
shop = "category"
"""
TABLE = pl.DataFrame({"click": [0, 1] * 20, "price": [1.5] * 40, "shop": ["a", "b", "c", None] * 10})


@pytest.fixture(scope="module")
def raw_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound raw Criteo file of 200 rows."""
    path = tmp_path_factory.mktemp("raw") / "train.txt"
    write_criteo(path, rows=200)
    return path


def prepare_refused(folder: Path, kind: str, source: str, *options: object, file_bytes: int | None = None) -> str:
    """The line that `nasrec prepare` ends with; `folder` must be as it was."""
    before = sorted(folder.rglob("*"))
    done = call("nasrec", "prepare", kind, source, "out/rows", *options, cwd=folder, file_bytes=file_bytes)
    if (folder / "out").exists():
        (folder / "out").rmdir()  # the parent may stay, empty
    assert sorted(folder.rglob("*")) == before
    return refused(done)


# Files of a log


def test_a_missing_column(tmp_path: Path) -> None:
    TABLE.drop("price").write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(SCHEMA.format(file="log.csv"))
    line = prepare_refused(tmp_path, "table", "schema.toml")
    assert line.startswith("nasrec: log.csv: no column 'price', which schema.toml names")


def test_a_missing_column_of_a_raw_log(tmp_path: Path, raw_log: Path) -> None:
    lines = raw_log.read_text().splitlines()
    lines[6] = lines[6].rpartition("\t")[0]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    assert prepare_refused(tmp_path, "criteo", "train.txt") == "nasrec: train.txt, line 7: 39 columns, expected 40"


def test_an_integer_that_is_none(tmp_path: Path, raw_log: Path) -> None:
    lines = raw_log.read_text().splitlines()
    fields = lines[119].split("\t")
    fields[3] = "twelve"
    lines[119] = "\t".join(fields)
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    line = prepare_refused(tmp_path, "criteo", "train.txt")
    assert line.startswith("nasrec: train.txt, line 120, field 'I3': value 'twelve', expected a number")


def test_a_number_beyond_what_a_model_reads(tmp_path: Path) -> None:
    TABLE.with_columns(pl.lit(1e300).alias("price")).write_csv(tmp_path / "log.csv")
    schema = SCHEMA.format(file="log.csv").replace('price = "dense"', 'price = { kind = "dense", transform = "none" }')
    (tmp_path / "schema.toml").write_text(schema)
    line = prepare_refused(tmp_path, "table", "schema.toml")
    assert line == "nasrec: log.csv, line 2, field 'price': value '1e+300', expected a number of at most 3.4e+38"


def test_a_run_whose_rows_cannot_be_used_leaves_no_folder(tmp_path: Path, raw_log: Path) -> None:
    (tmp_path / "train.txt").write_text(raw_log.read_text().replace("\t", "\tx", 1))
    done = call("nasrec", "codesign", "--data", "criteo:train.txt", "--out", "run", cwd=tmp_path)
    assert f"{tmp_path / 'train.txt'}, line 1, field 'I1': value 'x" in refused(done)
    assert [path.name for path in tmp_path.iterdir()] == ["train.txt"]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "txt"])
def test_an_empty_file(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"log.{suffix}").touch()
    (tmp_path / "schema.toml").write_text(SCHEMA.format(file=f"log.{suffix}"))
    kind, source = ("criteo", "log.txt") if suffix == "txt" else ("table", "schema.toml")
    line = prepare_refused(tmp_path, kind, source)
    assert line.startswith(f"nasrec: log.{suffix}: ")
    assert "empty file" in line or suffix == "parquet"


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_truncated_parquet_file(keep: float, tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "log.parquet")
    whole = (tmp_path / "log.parquet").read_bytes()
    (tmp_path / "log.parquet").write_bytes(whole[: int(len(whole) * keep)])
    (tmp_path / "schema.toml").write_text(SCHEMA.format(file="log.parquet"))
    line = prepare_refused(tmp_path, "table", "schema.toml")
    assert line.startswith("nasrec: log.parquet: not a whole Parquet file: ")


@pytest.mark.parametrize("file_bytes", [0, 4096, 20_000])
def test_a_full_disk_while_preparing(file_bytes: int, tmp_path: Path, raw_log: Path) -> None:
    shutil.copy(raw_log, tmp_path)
    line = prepare_refused(tmp_path, "criteo", "train.txt", file_bytes=file_bytes)
    assert line.endswith(": File too large")
    assert ".preparing/" in line, "names the file that it could not write"


# Addresses and options


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("movies:train.txt", "data 'movies:train.txt': unknown kind 'movies', allowed are synthetic[:rows=N"),
        ("criteo:", "data 'criteo:': nothing after 'criteo', allowed are"),
        ("criteo:nowhere.txt", "nowhere.txt: no such file"),
        ("prepared:.", "not prepared data"),
        ("synthetic:rows=many", "synthetic: rows='many', expected a whole number from 0"),
    ],
)
def test_data_that_cannot_be_found(data: str, message: str, tmp_path: Path) -> None:
    assert message in refused(call("nasrec", "codesign", "--data", data, "--out", "new/run", cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_prepared_folder_without_its_kind(tmp_path: Path) -> None:
    assert call("nasrec", "prepare", "synthetic", "rows=200", "rows", cwd=tmp_path).returncode == 0
    line = refused(call("nasrec", "codesign", "--data", "rows", "--out", "run", cwd=tmp_path))
    assert line.endswith("; for that folder write prepared:rows")


def test_options_that_prepared_rows_contradict(tmp_path: Path) -> None:
    """Whether set in a file or by key; nothing is left behind."""
    assert call("nasrec", "prepare", "synthetic", "rows=200", "rows", cwd=tmp_path).returncode == 0
    (tmp_path / "options.toml").write_text("[data]\nmax_rows = 9\n")
    before = sorted(tmp_path.iterdir())
    for command, *options in (("codesign", "--config", "options.toml"), ("rank", "--set", "data.max_rows=9")):
        line = refused(call("nasrec", command, "--data", "prepared:rows", "--out", "run", *options, cwd=tmp_path))
        assert line == (
            f"nasrec: data.max_rows is 9, but prepared:{tmp_path / 'rows'} was made with 500000: "
            "leave it out, or prepare the log anew"
        )
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nevaluatons = 3\n", "options.toml: unknown key 'search.evaluatons': allowed are sampler, evalua"),
        ("[chip]\nadc_bits = [99]\n", "options.toml: chip.adc_bits.0 is 99"),
        ("seed = \n", "options.toml: not valid TOML: "),
    ],
)
def test_options_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "options.toml").write_text(text)
    assert message in refused(call("nasrec", "codesign", "--out", "run", "--config", "options.toml", cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["options.toml"]


def test_an_unknown_key_of_a_schema(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text('colums = 3\nfiles = ["log.csv"]\n[columns]\nclick = "label"\n')
    assert prepare_refused(tmp_path, "table", "schema.toml") == "nasrec: schema.toml, key 'colums': unknown key"


def test_folders_that_cannot_be_used(tmp_path: Path, finished_run: Path) -> None:
    line = refused(call("nasrec", "codesign", "--out", finished_run))
    assert line == (
        f"nasrec: {finished_run}: holds a run already: go on with --resume {finished_run}, or choose another --out"
    )
    (tmp_path / "notes.txt").touch()
    assert "not empty, and no run" in refused(call("nasrec", "codesign", "--out", tmp_path))
    assert "is a file" in refused(call("nasrec", "codesign", "--out", tmp_path / "notes.txt"))
    assert "run.json: no such file" in refused(call("nasrec", "codesign", "--resume", "nothing", cwd=tmp_path))
    assert "summary.json: no such file" in refused(call("nasrec", "report", "nothing", cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    data = finished_run / "data"
    before = sorted(finished_run.rglob("*"))
    for folder, what in ((finished_run, "holds run.json"), (data, "holds prepared.json"), (tmp_path, "not empty")):
        line = refused(call("nasrec", "train", "dlrm", "--data", data, "--out", folder))
        assert line == f"nasrec: {folder}: {what}, and is no training's folder: choose another --out"
    assert sorted(finished_run.rglob("*")) == before


@pytest.mark.parametrize(("command", "option"), [
    ("codesign", ("--data", "synthetic")), ("search", ("--set", "seed=3")), ("rank", ("--preset", "fast")),
])  # fmt: skip
def test_options_that_a_resumed_run_would_not_heed(command: str, option: tuple[str, str], tmp_path: Path) -> None:
    line = refused(call("nasrec", command, "--resume", tmp_path, *option))
    assert line.startswith(f"nasrec: {option[0]} stands beside --resume, whose run goes on with what it began with")


def test_a_seed_beyond_what_a_generator_takes(tmp_path: Path, finished_run: Path) -> None:
    call_of = ("nasrec", "train", "dlrm", "--data", finished_run / "data", "--out", tmp_path / "t", "--seed", 2**63)
    assert f"training option seed is {2**63}: allowed are whole numbers from 0 to" in refused(call(*call_of))
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_nothing_is_made_for(tmp_path: Path, finished_run: Path) -> None:
    call_of = ("nasrec", "train", "dlrm", "--data", finished_run / "data", "--out", tmp_path / "t", "--device", "meta")
    assert refused(call(*call_of)) == "nasrec: device is 'meta': allowed are auto, cpu, cuda or cuda:N"
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_without_inputs_is_refused_by_either_package(finished_run: Path) -> None:
    arch = next(finished_run.rglob("arch.json"))
    assert refused(call("nasrec", "arch", "show", arch, "--dense", 0, "--sparse", 0)).startswith("nasrec: ")


# Damage in a run's folder


def cut(path: Path) -> None:
    """Cut off the last third of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def beyond(path: Path) -> None:
    """Put an id into row 5 that its table does not have."""
    ids = np.load(path)
    ids[5, 2] = 10**6
    np.save(path, ids)


def damage_journal(path: Path) -> None:
    """Overwrite a part in the middle of a search's journal."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = b"#" * 40
    path.write_bytes(content)


DAMAGES: list[tuple[str, Callable[[Path], None], list[str], str]] = [
    ("run.json", cut, [], "run.json, line "),
    ("stages/supernet.json", cut, [], "stages/supernet.json, line "),
    ("data/prepared.json", cut, [], "data/prepared.json, line "),
    ("data/ids.npy", cut, [], "data/ids.npy: not a whole array of int32 [2000, 26]"),
    ("data/ids.npy", beyond, ["baseline-dlrm"], "data/ids.npy, row 5, table 'C3': id 1000000, expected 0 to "),
    ("supernet.safetensors", cut, ["search-joint-0"], "supernet.safetensors: damaged"),
    ("supernet.safetensors", cut, ["supernet"], "supernet.safetensors: damaged"),
    ("search/joint-0.journal", damage_journal, ["search-joint-0"], "search/joint-0.journal, line "),
]


@pytest.mark.parametrize(("file", "damage", "undone", "message"), DAMAGES)
def test_a_damaged_file_of_a_run(
    file: str, damage: Callable[[Path], None], undone: list[str], message: str, tmp_path: Path, finished_run: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    damage(run / file)
    for stage in undone:
        (run / "stages" / f"{stage}.json").unlink()
    summary = (run / "summary.json").read_bytes()
    line = refused(call("nasrec", "codesign", "--resume", run))
    assert f"{run}/{message}" in line
    assert temporary_files(run) == []
    assert (run / "summary.json").read_bytes() == summary
    assert not any((run / "stages" / f"{stage}.json").exists() for stage in undone)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("weights.safetensors", Path.unlink, "weights.safetensors: "),
        ("weights.safetensors", cut, "weights.safetensors: damaged"),
        ("arch.json", cut, "arch.json, line "),
        ("chip.toml", Path.unlink, "chip.toml: no such file"),
    ],
)
def test_a_damaged_winner(
    file: str, damage: Callable[[Path], None], message: str, tmp_path: Path, finished_run: Path
) -> None:
    shutil.copytree(finished_run / "best" / "1", tmp_path / "1")
    damage(tmp_path / "1" / file)
    with pytest.raises(InputError) as caught:
        read_winner(tmp_path / "1")
    assert f"{tmp_path}/1/{message}" in str(caught.value)


def test_a_winner_that_is_missing(tmp_path: Path, finished_run: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / "best" / "1")
    line = refused(call("nasrec", "score", run, "--data", "synthetic:rows=100"))
    assert line == f"nasrec: {run}/best/1/arch.json: no such file"


def test_a_damaged_summary(tmp_path: Path, finished_run: Path) -> None:
    shutil.copy(finished_run / "summary.json", tmp_path)
    cut(tmp_path / "summary.json")
    assert "summary.json, line " in refused(call("nasrec", "report", tmp_path))
    (tmp_path / "summary.json").write_text('{"format": "nasrec.summary", "version": 1}')
    assert "summary.json: " in refused(call("nasrec", "report", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_an_unfinished_run_has_no_winners_to_score(tmp_path: Path, finished_run: Path) -> None:
    shutil.copy(finished_run / "run.json", tmp_path)
    line = refused(call("nasrec", "score", tmp_path, "--data", ROWS))
    assert line.endswith(f"no winner is trained yet: finish the run with --resume {tmp_path}")


def test_a_disk_that_fills_up_leaves_a_run_that_resumes(tmp_path: Path, finished_run: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for name in ("report.html", "report.png", "best/0/weights.safetensors", "stages/winner-0.json"):
        (run / name).unlink()
    for file_bytes, file in ((200_000, "best/0/"), (2_000_000, "report.html: File too large")):
        line = refused(call("nasrec", "codesign", "--resume", run, file_bytes=file_bytes), alone=False)
        assert file in line
        assert temporary_files(run) == []
        assert not (run / "report.html").exists()
        assert (run / "best" / "0" / "weights.safetensors").exists() == (file_bytes == 2_000_000), "it went on"


def test_a_workload_larger_than_its_chip(tmp_path: Path) -> None:
    write_workload(tmp_path / "workload.json", Workload("large", (MatVec("fc", 128 * 50, 16 * 10),)))
    # 50 blocks of 128 rows, 5 of 128 columns at four 2-bit cells a weight; an ISAAC tile has 12 x 8 crossbars
    line = refused(call("pimsim", "evaluate", "workload.json", "--set", "tiles=1", cwd=tmp_path))
    assert "needs 250 crossbars, the chip has 96" in line
    assert "154 too many" in line
