"""A preparation that is killed at any moment goes on to the same files; one that cannot go on begins anew."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nasrec.data import read_rows
from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.data.synthetic import write_criteo
from nasrec.errors import InputError

ROWS = 3000
SCHEMA = """
files = ["log.csv"]
[columns]
y = "label"
tags = "bag"
user = "category"
x = "dense"
"""
RUN = """
import os, signal, sys
from pathlib import Path
from nasrec.data import delimited, read_rows
from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source

delimited.BLOCK_BYTES, read_rows.KEEP_ROWS = 20_000, int(sys.argv[5])
calls = 0

def progress(done, total):
    global calls
    calls += 1
    if calls == int(sys.argv[4]):
        os.kill(os.getpid(), int(sys.argv[6]))

prepare(open_source(sys.argv[1]), Path(sys.argv[2]), seed=0, options=EncodingOptions(sys.argv[3]), progress=progress)
print(calls)
"""


def run(
    source: str, out: Path, categories: str, kill_at: int = 0, keep_rows: int = 100, by: int = signal.SIGKILL
) -> subprocess.CompletedProcess[str]:
    arguments = [source, str(out), categories, str(kill_at), str(keep_rows), str(int(by))]
    return subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("logs")
    write_criteo(folder / "train.txt", ROWS)
    lines = [f"{n % 2},{'|'.join(str(n * k % 97) for k in range(n % 4))},u{n * 31 % 801},{n}\n" for n in range(ROWS)]
    (folder / "log.csv").write_text("y,tags,user,x\n" + "".join(lines))
    (folder / "schema.toml").write_text(SCHEMA)
    return {"criteo": f"criteo:{folder / 'train.txt'}", "table": f"table:{folder / 'schema.toml'}"}


@pytest.mark.parametrize(
    ("kind", "categories"), [("criteo", "vocabulary"), ("criteo", "hash"), ("table", "vocabulary")]
)
def test_killed_again_and_again_it_ends_with_the_same_files(
    tmp_path: Path, logs: dict[str, str], kind: str, categories: str
) -> None:
    whole = run(logs[kind], tmp_path / "whole", categories)
    assert whole.returncode == 0, whole.stderr
    calls = int(whole.stdout)
    out = tmp_path / "out"
    # Each process is killed a few steps later than it began; the last ones in the second pass.
    for kill_at in (1, 4, max(1, calls - 8), 1):
        killed = run(logs[kind], out, categories, kill_at)
        assert killed.returncode == -signal.SIGKILL and not out.exists()
        assert [path.name for path in tmp_path.iterdir() if path.name != "whole"] == [".out.preparing"]
    last = run(logs[kind], out, categories)
    assert last.returncode == 0, last.stderr
    assert int(last.stdout) < calls, "the last process had less to do"
    assert files_of(out) == files_of(tmp_path / "whole")


def test_killed_between_two_notes(tmp_path: Path, logs: dict[str, str]) -> None:
    run(logs["criteo"], tmp_path / "whole", "vocabulary")
    assert run(logs["criteo"], tmp_path / "out", "vocabulary", 9, keep_rows=1000).returncode == -signal.SIGKILL
    assert run(logs["criteo"], tmp_path / "out", "vocabulary", keep_rows=1000).returncode == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_stopped_by_the_user_it_goes_on(tmp_path: Path, logs: dict[str, str]) -> None:
    assert run(logs["criteo"], tmp_path / "out", "hash", 5, by=signal.SIGINT).returncode != 0
    assert (tmp_path / ".out.preparing").is_dir()
    resumed = run(logs["criteo"], tmp_path / "out", "hash")
    assert resumed.returncode == 0 and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_job_begins_anew(tmp_path: Path, logs: dict[str, str]) -> None:
    run(logs["criteo"], tmp_path / "out", "hash", 5)
    run(logs["criteo"], tmp_path / "whole", "vocabulary")
    assert run(logs["criteo"], tmp_path / "out", "vocabulary").returncode == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_changed_log_begins_anew(tmp_path: Path) -> None:
    write_criteo(tmp_path / "train.txt", ROWS)
    source = f"criteo:{tmp_path / 'train.txt'}"
    run(source, tmp_path / "out", "hash", 5)
    write_criteo(tmp_path / "train.txt", ROWS, seed=1)
    assert run(source, tmp_path / "out", "hash").returncode == 0
    run(source, tmp_path / "whole", "hash")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_file_cut_off_behind_the_back_of_the_notes(tmp_path: Path, logs: dict[str, str]) -> None:
    run(logs["criteo"], tmp_path / "out", "hash", 5)
    cut = tmp_path / ".out.preparing" / "ids.npy"
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(InputError, match=r"ids.npy: cut off, expected at least \d+ bytes"):
        prepare(open_source(logs["criteo"]), tmp_path / "out", seed=0, options=EncodingOptions("hash"))
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_one_folder(tmp_path: Path, logs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(logs["criteo"], tmp_path / "out", "hash", 5)
    monkeypatch.setattr("nasrec.data.workplace.is_running", lambda process: True)
    with pytest.raises(InputError, match=r"out: process \d+ is preparing data there"):
        prepare(open_source(logs["criteo"]), tmp_path / "out", seed=0, options=EncodingOptions("hash"))
    assert (tmp_path / ".out.preparing" / read_rows.PROGRESS_JSON).exists()
