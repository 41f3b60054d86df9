"""How a kernel is timed beside its peers: one process, one thread, taking turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from nasrec import kernels
from pimsim import _kernels as pimsim_kernels

Work = Callable[[], Any]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch and for our kernels."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    kernels.set_threads(1)
    pimsim_kernels.set_threads(1)
    yield
    torch.set_num_threads(before)
    kernels.set_threads(0)
    pimsim_kernels.set_threads(0)


@pytest.fixture
def beside(benchmark: Any, one_thread: None) -> Callable[..., None]:
    """A function that benchmarks `ours` and says in extra_info how much faster it is than each of `peers`.

    The times compared are medians of CPU time of this thread, a round of one call each at a time, so that what
    disturbs the machine disturbs all of them alike. With --benchmark-disable everything runs once, untimed.
    """

    def compare(ours: Work, peers: dict[str, Work], rounds: int = 21) -> None:
        contestants = {"ours": ours, **peers}
        for work in contestants.values():
            work()
        if not benchmark.disabled:
            seconds: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(rounds):
                for name, work in contestants.items():
                    start = time.thread_time()
                    work()
                    seconds[name].append(time.thread_time() - start)
            median = {name: statistics.median(times) for name, times in seconds.items()}
            benchmark.extra_info["isa"] = kernels.isa()
            for name in peers:
                benchmark.extra_info[f"{name}_ms"] = round(median[name] * 1e3, 4)
                benchmark.extra_info[f"ratio_to_{name}"] = round(median[name] / median["ours"], 2)
            benchmark.extra_info["ours_ms"] = round(median["ours"] * 1e3, 4)
        benchmark(ours)

    return compare
