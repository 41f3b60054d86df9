"""What the benchmarks of whole networks share: architectures, rows, turns between contestants, and the roofline."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import limits
from benchmarks.timing import Work, waited_s
from nasrec import kernels
from nasrec.arch import Arch
from nasrec.data.batch import Batch
from nasrec.data.features import Features, Table
from nasrec.sampling import full_path
from nasrec.space import FULL

BATCH = 512
TABLE_ROWS = 100_000


def features(rows: int = TABLE_ROWS) -> Features:
    """Criteo's kinds of inputs, with 26 tables of `rows` rows."""
    return Features(13, tuple(Table(f"C{index}", rows) for index in range(26)))


def architectures(kind: str, count: int) -> list[Arch]:
    """Draws of `kind` from the full space: "single-operator", "any-path", or the one "full-path"."""
    if kind == "full-path":
        return [full_path(FULL)]
    rng = np.random.default_rng(0)
    return [FULL.sample(rng, kind) for _ in range(count)]


@dataclass
class Rows:
    """Rows in memory, read as a data set is."""

    dense: np.ndarray[Any, Any]
    ids: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]

    @classmethod
    def drawn(cls, count: int, of: Features, seed: int = 0) -> Rows:
        """`count` rows, ids uniform: the worst case for caches."""
        rng = np.random.default_rng(seed)
        ids = np.stack([rng.integers(table.rows, size=count) for table in of.tables], 1)
        return cls(rng.random((count, of.dense), np.float32), ids, rng.integers(2, size=count).astype(np.float32))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, *, seed: int | None, start: int = 0, drop_last: bool = False) -> Iterator[Batch]:
        """As `nasrec.data.dataset.Dataset.batches`."""
        order = np.arange(len(self)) if seed is None else np.random.default_rng(seed).permutation(len(self))
        for first in range(start * size, len(self), size):
            rows = order[first : first + size]
            yield Batch(self.dense[rows], self.ids[rows], None, self.labels[rows])

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Dense numbers, ids, labels."""
        return torch.from_numpy(self.dense), torch.from_numpy(self.ids), torch.from_numpy(self.labels)


def turns(contestants: Mapping[str, Work], threads: int, rounds: Mapping[str, int]) -> dict[str, float]:
    """Seconds of a call of each: the median of `rounds[name]` calls after one that warms up, taken in turns.

    CPU time of the main thread with one thread, wall time with more: as `benchmarks.timing` has it.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1 + max(rounds.values())):
        for name, work in contestants.items():
            if number <= rounds[name]:
                start = clock()
                work()
                samples[name].append(clock() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in samples.items()}


def over(
    archs: Sequence[Arch], contestants: Mapping[str, Callable[[Arch], object]], threads: int, rounds: Mapping[str, int]
) -> dict[str, Any]:
    """Mean seconds a call over the architectures, each by `turns`; `waited` is the share of time without a core."""
    totals = dict.fromkeys(contestants, 0.0)
    started, before = time.perf_counter(), waited_s()
    for arch in archs:
        calls = {name: (lambda call=call, arch=arch: call(arch)) for name, call in contestants.items()}
        for name, seconds in turns(calls, threads, rounds).items():
            totals[name] += seconds / len(archs)
    return {**totals, "waited": (waited_s() - before) / (time.perf_counter() - started)}


def flops(archs: Sequence[Arch], call: Callable[[Arch], object]) -> float:
    """Mean floating-point operations of the matrix products of a call; those of our own kernels are not counted."""
    counter, threads = FlopCounterMode(display=False), torch.get_num_threads()
    torch.set_num_threads(1)  # what other threads compute is not counted
    with counter:
        for arch in archs:
            call(arch)
    torch.set_num_threads(threads)
    return counter.get_total_flops() / len(archs)


@cache
def peak_flops(threads: int) -> float:
    """The multiply-add peak of this machine, operations a second; 0 where there is no compiler."""
    return limits.rates(kernels.isa(), threads).get("fma_flops", 0.0)


def peak_memory_bytes() -> int:
    """The largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """The resident set of this process now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def told(found: Mapping[str, Any], threads: int, of_ours: float, of_theirs: float) -> dict[str, Any]:
    """What a benchmark's JSON says: times, their ratio, and each one's operations a second against the peak."""
    peak = peak_flops(threads)
    line: dict[str, Any] = {"threads": threads, "waited": round(found["waited"], 3)}
    line["ratio"] = round(found["masked"] / found["ours"], 2)
    for name, count in (("ours", of_ours), ("masked", of_theirs)):
        line[f"{name}_ms"] = round(found[name] * 1e3, 2)
        line[f"{name}_gflop"] = round(count / 1e9, 3)
        line[f"{name}_gflops"] = round(count / found[name] / 1e9, 1)
        line[f"{name}_of_peak"] = round(count / found[name] / peak, 3) if peak else None
    line["peak_memory_mib"] = peak_memory_bytes() >> 20
    return line
