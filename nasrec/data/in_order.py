"""Work on pieces of data in several threads, the results in the order of the pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 3  # one more than keeps two cores busy; polars spreads its part of the work over all cores itself

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    threads: int = THREADS,
    start: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """`work` of each of `pieces`, `threads` at a time; at most one more than those is kept in memory.

    It pays where `work` spends its time in NumPy, polars or torch, which let other threads run. `start` is called in
    each thread before its first piece. An error of a piece is raised after the results of all pieces before it.
    """
    coming: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=start) as pool:
        for piece in pieces:
            coming.append(pool.submit(work, piece))
            if len(coming) > threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
