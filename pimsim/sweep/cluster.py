"""The blocks of a sweep on the workers of a dask.distributed scheduler."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

from pimsim.errors import InputError
from pimsim.sweep.memory import keep_freed_memory
from pimsim.sweep.space import Task

_Result = TypeVar("_Result")
_AHEAD = 3  # blocks under way for each thread of the cluster
_CONNECT_S = 30.0


class Cluster:
    """Every worker that the scheduler at `address` (tcp://…) has, now or later; each needs pimsim installed.

    A block is pure: when a worker dies, the scheduler gives its blocks to another one, and each result is taken once.
    """

    def __init__(self, address: str) -> None:
        """Connect; InputError without `distributed`, OSError where no scheduler answers."""
        try:
            import distributed
        except ImportError:
            raise InputError(f"--cluster {address}: needs the extra 'cluster': pip install '.[cluster]'") from None
        try:
            self.client: Any = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except ValueError as error:
            raise InputError(f"--cluster {address}: {error}, expected tcp://host:port") from None

    def run(self, work: Callable[[Task], _Result], tasks: Iterable[Task]) -> Iterator[_Result]:
        """See `Workers`."""
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(self.client.submit(_done, work, task, pure=False))
            if len(waiting) >= _AHEAD * max(1, sum(self.client.nthreads().values())):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Let go of the scheduler, which goes on."""
        self.client.close()


def _done(work: Callable[[Task], _Result], task: Task) -> _Result:
    _prepare()
    return work(task)


@cache
def _prepare() -> None:
    """Once in each process of the cluster."""
    keep_freed_memory()
