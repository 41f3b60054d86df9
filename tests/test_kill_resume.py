"""A run that is killed or stopped at any moment goes on to the same summary as one that was left in peace.

Moments are counted in changes to the run's folder (files created, grown, renamed), not in seconds: they spread over a
run of any speed. A small run makes 200 to 300 of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest
from small_run import ROWS, command, environment, succeed, summary_of, temporary_files

from nasrec.files import remove_leftovers
from nasrec.search.study import open_study, repair_journal

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="left out: watches processes through /proc, which only Linux has"
)
MOST_CHANGES = 60
PATIENCE_S = 120.0


@contextlib.contextmanager
def running(run: Path, options: Path, workers: int) -> Iterator[subprocess.Popen[str]]:
    """The job as its user would start it: anew, or resumed if there is something to resume."""
    if (run / "run.json").exists():
        arguments: list[object] = ["codesign", "--resume", run]
    else:
        arguments = ["codesign", "--data", ROWS, "--config", options, "--out", run, "--workers", workers]
    with started(*arguments) as process:
        yield process


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command of nasrec, killed at the end."""
    process = subprocess.Popen(
        command("nasrec", *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,  # a process group of its own, as a terminal gives to a command
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_changes(run: Path, process: subprocess.Popen[str], count: int) -> bool:
    """Wait until the folder has changed `count` times; False if the process ends before."""
    last = contents(run)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        assert time.monotonic() < deadline, "nothing happens"
        now = contents(run)
        if now != last:
            last, count = now, count - 1
        if count <= 0:
            return True
        time.sleep(0.002)
    return False


def contents(run: Path) -> dict[str, int]:
    sizes = {}
    for folder, _, names in os.walk(run):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                sizes[f"{folder}/{name}"] = os.lstat(f"{folder}/{name}").st_size
    return sizes


def children_of(parent: int) -> set[int]:
    """The processes that `parent` has started."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.add(int(stat.parent.name))
    return found


def wait_for_the_end(processes: set[int], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while alive := {process for process in processes if is_alive(process)}:
        assert time.monotonic() < deadline, f"processes {alive} outlive the one that started them"
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill_and_resume(run: Path, options: Path, workers: int, seed: int, moments: int = 5) -> None:
    """Kill the job at so many moments and finish it: only the first process is killed, workers end by themselves."""
    rng = np.random.default_rng([seed, workers])
    killed = 0
    for _ in range(moments):
        with running(run, options, workers) as process:
            if not wait_for_changes(run, process, int(rng.integers(0, MOST_CHANGES + 1))):
                assert process.returncode == 0
                break
            children = children_of(process.pid)
            process.kill()
            process.wait()
            wait_for_the_end(children, within_s=10)
            killed += 1
    assert killed >= min(moments, 3), "the moments lie beyond the end of the run"
    succeed("nasrec", "codesign", "--resume", run)
    assert temporary_files(run) == []


def test_a_killed_run_resumes_to_the_same_summary(tmp_path: Path, options_file: Path, finished_run: Path) -> None:
    kill_and_resume(tmp_path / "run", options_file, workers=1, seed=0, moments=3)
    assert summary_of(tmp_path / "run") == summary_of(finished_run)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_anywhere_resumes_to_the_same_summary(
    workers: int, seed: int, tmp_path: Path, options_file: Path, finished_run: Path
) -> None:
    kill_and_resume(tmp_path / "run", options_file, workers, seed)
    assert summary_of(tmp_path / "run") == summary_of(finished_run)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_nsga2_resumes_to_the_same_summary(workers: int, tmp_path: Path, options_file: Path) -> None:
    options = tmp_path / "nsga2.toml"
    options.write_text(options_file.read_text().replace("[search]", '[search]\nsampler = "nsga2"'))
    whole = tmp_path / "whole"
    succeed("nasrec", "codesign", "--data", ROWS, "--config", options, "--out", whole, "--workers", workers)
    kill_and_resume(tmp_path / "run", options, workers, seed=4)
    assert summary_of(tmp_path / "run") == summary_of(whole)


def test_control_c_leaves_a_run_that_resumes(tmp_path: Path, options_file: Path, finished_run: Path) -> None:
    run = tmp_path / "run"
    with running(run, options_file, workers=2) as process:
        assert wait_for_changes(run, process, 12)
        deadline = time.monotonic() + PATIENCE_S
        while not (run / "stages" / "data.json").exists() or len(children_of(process.pid)) < 3:  # two, and a tracker
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = children_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"nasrec: stopped; go on with: nasrec codesign --resume {run}"
    assert "Traceback" not in said
    wait_for_the_end(children, within_s=10)
    assert temporary_files(run) == []
    succeed("nasrec", "codesign", "--resume", run)
    assert summary_of(run) == summary_of(finished_run), "two workers find what one finds"


@pytest.mark.parametrize("what", ["prepare", "train"])
def test_control_c_says_how_to_go_on(what: str, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows", tmp_path / "out"
    if what == "prepare":
        arguments: list[object] = ["prepare", "synthetic", "rows=20000000,seed=0", out]
        begun, hint = tmp_path / ".out.preparing", "the same command goes on"
    else:
        succeed("nasrec", "prepare", "synthetic", "rows=20000,seed=0", rows)
        arguments = ["train", "logistic_regression", "--data", rows, "--out", out, "--epochs", 100_000]
        begun, hint = out / "vocabulary", "the same command goes on from its last checkpoint"
    with started(*arguments) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not begun.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"nasrec: stopped; {hint}"
    assert "Traceback" not in said


def test_a_worker_killed_from_outside_is_one_line(tmp_path: Path, options_file: Path) -> None:
    run = tmp_path / "run"
    with running(run, options_file, workers=2) as process:
        deadline = time.monotonic() + PATIENCE_S
        while len(workers := [child for child in children_of(process.pid) if is_worker(child)]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(workers[0], signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert "Traceback" not in said
    assert "killed from outside" in said.splitlines()[-1]
    assert f"--resume {run}" in said.splitlines()[-1]


def is_worker(process: int) -> bool:
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def test_a_torn_journal_and_a_stale_lock_are_repaired(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    study = open_study(journal, objectives=1)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    whole = journal.read_bytes()
    study.add_trial(optuna.trial.create_trial(value=2.0))
    journal.write_bytes(journal.read_bytes()[: len(whole) + 30])
    (tmp_path / "search.journal.lock").symlink_to(journal)
    repair_journal(journal)
    assert journal.read_bytes() == whole
    again = open_study(journal, objectives=1)
    again.add_trial(optuna.trial.create_trial(value=3.0))
    assert [trial.value for trial in open_study(journal, objectives=1).trials] == [1.0, 3.0]
    repair_journal(tmp_path / "absent.journal")


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "best").mkdir()
    leftover = tmp_path / "best" / f".weights.safetensors.{gone.pid}.tmp"
    being_written = tmp_path / f".summary.json.{os.getppid()}.tmp"
    kept = tmp_path / "notes.tmp"
    for file in (leftover, being_written, kept):
        file.touch()
    remove_leftovers(tmp_path)
    assert [file.exists() for file in (leftover, being_written, kept)] == [False, True, True]
