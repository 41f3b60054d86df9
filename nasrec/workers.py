"""Independent pieces of work side by side, each in a process of its own with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from nasrec import progress
from nasrec.errors import WorkerLost

PARENT_CHECK_S = 0.2

_number: int | None = None


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_number() -> int | None:
    """Which of its pool's workers this process is, from 0; None where it is none."""
    return _number


def run_in_processes(jobs: Sequence[Callable[[], Any]], workers: int) -> None:
    """Call every job (picklable), at most `workers` at a time; the first error stops the rest and is raised.

    Each process computes with 1 / `workers` of the cores, also where there are fewer jobs, or with as many threads as
    OMP_NUM_THREADS says. Raises WorkerLost when a process is killed from outside.
    """
    with working_processes(workers, threads=max(1, cores() // workers)) as pool:
        futures = [pool.submit(job) for job in jobs]
        finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()


@contextmanager
def working_processes(workers: int, *, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Yield `workers` processes that take calls; each computes with `threads` threads, or as OMP_NUM_THREADS says.

    They are spawned, not forked: an OpenMP pool does not survive a fork. They end when the block ends, and when this
    process ends, however it ends, so that nothing writes to a run that is resumed. Raises WorkerLost when one of them
    is killed from outside; an error in the block ends them at once.
    """
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Value("i", 0)
    pool = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(os.getpid(), started))
    try:
        with _environment_of_workers(threads):
            for _ in range(workers):
                pool.submit(os.getpid)  # a call for which no process is free yet starts one
        yield pool
    except BrokenProcessPool:
        raise WorkerLost("a worker process was killed from outside; too little memory is a common cause") from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _environment_of_workers(threads: int) -> Iterator[None]:
    """What processes spawned in this block inherit: a number of threads, and deaf ears to Ctrl-C.

    OpenMP reads its settings when torch is loaded, which a spawned process does before its initialiser runs. A
    terminal sends Ctrl-C to every process; only the first is to hear it, and it ends the others.
    """
    ours = "OMP_NUM_THREADS" not in os.environ
    if ours:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    resource_tracker.ensure_running()  # started by the first spawn otherwise, and it lifts the mask as it does so
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if ours:
            del os.environ["OMP_NUM_THREADS"]


def _start_worker(parent: int, started: Synchronized[int]) -> None:
    global _number
    if os.getppid() != parent:
        os._exit(1)
    with started.get_lock():
        _number = started.value
        started.value += 1
    progress.print_lines_only()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
