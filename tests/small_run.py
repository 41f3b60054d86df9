"""A run that takes seconds, and how the tests start the installed commands."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROWS = "synthetic:rows=2000"
OPTIONS = """
[space]
blocks = 1
dense_widths = [8, 16]
sparse_widths = [8]
[supernet]
epochs = 1
batch_size = 128
[search]
evaluations = 8
population = 3
compare = ["random"]
[search.score]
fine_tune_rows = 256
fine_tune_steps = 5
calibration_rows = 128
rows = 256
[winners]
finalists = 3
rounds = 1
children = 2
epochs = 1
batch_size = 128
learning_rates = [0.12]
[baselines]
epochs = 1
batch_size = 128
learning_rates = [0.12]
"""


def command(name: str, *arguments: object) -> list[str]:
    """The command line of the installed `nasrec` or `pimsim`."""
    return [str(Path(sys.executable).with_name(name)), *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread a process, so that every test computes alike on any machine; wide lines, no colours."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def call(
    name: str, *arguments: object, cwd: Path | None = None, file_bytes: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; with `file_bytes`, no file can grow beyond it, as on a full disk."""

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        preexec_fn=limit,
        timeout=300,
        check=False,
    )


def succeed(name: str, *arguments: object, cwd: Path | None = None) -> str:
    """Run a command that must succeed; what it wrote to standard output."""
    done = call(name, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], *, alone: bool = True) -> str:
    """The line with which a command ended for bad input: exit code 2, no traceback, and nothing else on standard error.

    Without `alone`, lines about finished stages may stand before it.
    """
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith(("nasrec: ", "pimsim: "))] == lines[-1:], done.stderr
    if alone:
        assert len(lines) == 1, done.stderr
    return lines[-1]


def temporary_files(folder: Path) -> list[Path]:
    """What a command may not leave behind."""
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".preparing", ".lock"))]


def summary_of(run: Path) -> Any:
    """The content of a run's summary.json without its wall times."""
    return _without_wall_times(json.loads((run / "summary.json").read_text()))


def _without_wall_times(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_wall_times(value) for key, value in data.items() if key != "wall_s"}
    if isinstance(data, list):
        return [_without_wall_times(value) for value in data]
    return data
