"""Blocks on several cores, their results in the order of the space."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from pimsim.sweep.space import Task

_Result = TypeVar("_Result")


class Workers(Protocol):
    """Where the blocks of a sweep are evaluated."""

    def run(self, work: Callable[[Task], _Result], tasks: Iterable[Task]) -> Iterator[_Result]:
        """What `work` makes of each task, in their order; only a few tasks are under way at a time."""


class Threads:
    """Threads of this process: NumPy lets go of Python's lock while it computes."""

    def __init__(self, count: int | None = None) -> None:
        """`count` None: one for each core that this process may use."""
        self.count = count or len(os.sched_getaffinity(0))

    def run(self, work: Callable[[Task], _Result], tasks: Iterable[Task]) -> Iterator[_Result]:
        """See `Workers`."""
        if self.count == 1:
            yield from map(work, tasks)
            return
        with ThreadPoolExecutor(self.count) as pool:
            waiting: deque[Future[_Result]] = deque()
            try:
                for task in tasks:
                    waiting.append(pool.submit(work, task))
                    if len(waiting) > 2 * self.count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
