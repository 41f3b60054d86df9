"""Pools of processes: who is who."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from nasrec.workers import run_in_processes, worker_number

WORKERS = 3


def note_number(folder: Path, job: int) -> None:
    """Leave a file that says which worker did `job`; wait until another worker has begun each of the first jobs."""
    (folder / f"job-{job}").write_text(str(worker_number()))
    end = time.monotonic() + 60
    while job < WORKERS and len(list(folder.iterdir())) < WORKERS and time.monotonic() < end:
        time.sleep(0.01)


def test_workers_are_numbered(tmp_path: Path) -> None:
    assert worker_number() is None
    run_in_processes([partial(note_number, tmp_path, job) for job in range(5)], WORKERS)
    numbers = [int((tmp_path / f"job-{job}").read_text()) for job in range(5)]
    assert sorted(numbers[:WORKERS]) == [0, 1, 2] and set(numbers) == {0, 1, 2}
    assert worker_number() is None
