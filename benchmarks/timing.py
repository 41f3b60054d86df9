"""How contestants are timed: in one process, taking turns, the median of the samples that nothing disturbed.

With one thread a sample is one call, in CPU time of the main thread: being descheduled doesn't count. With more it is
wall time of as many calls as fill a millisecond, and the sample is dropped where the threads of this process waited
for a core during `DIRTY` of it or more: a third runnable thread on two cores makes every parallel region wait.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Work = Callable[[], Any]

DIRTY = 0.03  # share of a sample that threads waited for a core
ENOUGH = 3  # clean samples without which a median is not to be trusted
FEWEST_ROUNDS = 5
SAMPLE_S = 1e-3  # what a sample in wall time lasts at least: waiting is counted too coarsely for less
FOREIGN = 0.2  # CPU time of other threads, relative to the main one's, above which CPU time does not tell the cost


@dataclass(frozen=True)
class Timing:
    """The median time of a call; how many samples it is the median of, and how many were dropped."""

    ms: float
    kept: int
    dropped: int
    calls: int  # in a sample
    other_threads: bool = False  # timed by the main thread's CPU time, and others worked too

    @property
    def trusted(self) -> bool:
        """Whether enough samples are clean, and all of the work was timed."""
        return self.kept >= ENOUGH and not self.other_threads


@dataclass
class Samples:
    """What has been measured of one contestant."""

    calls: int = 1
    clean_s: list[float] = field(default_factory=list)
    dirty_s: list[float] = field(default_factory=list)
    process_s: float = 0.0

    def timing(self) -> Timing:
        """The median of the clean samples; of all where none is clean, with `kept` 0."""
        median = statistics.median(self.clean_s or self.dirty_s)
        others = self.process_s > (1 + FOREIGN) * sum(self.clean_s) + 1e-3
        return Timing(median / self.calls * 1e3, len(self.clean_s), len(self.dirty_s), self.calls, others)


def waited_s(process: Path = Path("/proc/self")) -> float:
    """How long the threads of this process have waited on the run queue so far; 0 where the kernel doesn't say."""
    total = 0
    for task in (process / "task").glob("*"):
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[1])
        except (OSError, IndexError):  # the thread has ended, or the kernel keeps no such figure
            continue
    return total * 1e-9


def take_turns(
    contestants: Mapping[str, Work], threads: int, *, rounds: int, budget_s: float
) -> tuple[dict[str, Timing], float]:
    """The time of a call of each, and the share of the time that this process waited for a core.

    Everyone is called once in a round, `rounds` of them; fewer once `budget_s` is spent, but never less than five.
    With more than one thread it takes more rounds where samples were dropped, as long as `budget_s` lasts.
    """
    samples = {name: Samples(1 if threads == 1 else _calls(work)) for name, work in contestants.items()}
    gc.collect()
    gc.disable()
    started, waited_before, done = time.perf_counter(), waited_s(), 0
    try:
        while done < FEWEST_ROUNDS or (
            time.perf_counter() - started < budget_s and min(len(one.clean_s) for one in samples.values()) < rounds
        ):
            for name, work in contestants.items():
                (_cpu_sample if threads == 1 else _wall_sample)(work, samples[name])
            done += 1
    finally:
        gc.enable()
    share = (waited_s() - waited_before) / (time.perf_counter() - started)
    return {name: of_one.timing() for name, of_one in samples.items()}, share


def _cpu_sample(work: Work, samples: Samples) -> None:
    process, start = time.process_time(), time.thread_time()
    work()
    samples.clean_s.append(time.thread_time() - start)
    samples.process_s += time.process_time() - process


def _wall_sample(work: Work, samples: Samples) -> None:
    waited = waited_s()
    start = time.perf_counter()
    for _ in range(samples.calls):
        work()
    seconds = time.perf_counter() - start
    clean = waited_s() - waited < DIRTY * seconds
    (samples.clean_s if clean else samples.dirty_s).append(seconds)


def _calls(work: Work) -> int:
    """How many calls fill a sample."""
    fastest = math.inf
    for _ in range(3):
        start = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - start)
    return max(1, math.ceil(SAMPLE_S / fastest))
