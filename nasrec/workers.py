"""Independent pieces of work side by side, each in a process of its own with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from typing import Any

from nasrec import progress

PARENT_CHECK_S = 0.2


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_processes(jobs: Sequence[Callable[[], Any]], workers: int) -> None:
    """Call every job (picklable), at most `workers` at a time; the first error stops the rest and is raised.

    Processes are spawned, not forked: an OpenMP pool does not survive a fork. They end when this process ends,
    however it ends, so that nothing writes to a run that is resumed.
    """
    workers = min(workers, len(jobs))
    threads = max(1, cores() // workers)
    # OpenMP reads its settings when torch is loaded, which a spawned process does before its initialiser runs.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    )
    try:
        futures = [pool.submit(job) for job in jobs]
        finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _start_worker(parent: int) -> None:
    progress.print_lines_only()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
