"""Rows of a table that are looked up together, put together: a greedy grouping from a trace of bags."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from heapq import heappop, heappush

from pimsim.errors import InputError
from pimsim.workload import Gather

Bags = Iterable[tuple[int, ...]]


def group_rows(bags: Bags, size: int) -> dict[int, int]:
    """The group of each row that occurs in `bags`; no group holds more than `size` rows.

    Greedy, after ReCross (arXiv 2509.10627): a group starts with the most used row left and takes, one by one, the row
    that occurs most often together with those already in it; where there is none, the next most used row.
    """
    used: Counter[int] = Counter()
    together: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for bag in bags:
        rows = sorted(set(bag))
        used.update(rows)
        for row in rows:
            together[row].update(other for other in rows if other != row)
    waiting = sorted(used, key=lambda row: (-used[row], row))
    group_of: dict[int, int] = {}
    next_hot, group = 0, 0
    while len(group_of) < len(waiting):
        ties: Counter[int] = Counter()
        nearest: list[tuple[int, int, int]] = []  # a heap: most ties first, then most used, then least id
        for _ in range(min(size, len(waiting) - len(group_of))):
            while next_hot < len(waiting) and waiting[next_hot] in group_of:
                next_hot += 1
            row = _nearest(nearest, ties, group_of, otherwise=waiting[next_hot])
            group_of[row] = group
            for other, count in together[row].items():
                if other not in group_of:
                    ties[other] += count
                    heappush(nearest, (-ties[other], -used[other], other))
        group += 1
    return group_of


def _nearest(nearest: list[tuple[int, int, int]], ties: Counter[int], group_of: dict[int, int], *,
             otherwise: int) -> int:
    """The row with the most ties to the group; entries whose ties have grown since are passed over."""
    while nearest:
        count, _, row = heappop(nearest)
        if row not in group_of and -count == ties[row]:
            return row
    return otherwise


def groups_per_bag(bags: Bags, group_of: dict[int, int]) -> float:
    """Mean number of different groups in a bag; a row that no group holds counts as a group of its own."""
    touched = [len({group_of.get(row, -1 - row) for row in bag}) for bag in bags if bag]
    return sum(touched) / len(touched)


@lru_cache(maxsize=256)
def grouped_blocks(op: Gather, size: int) -> float:
    """Share of the rows of a bag that still need a block of their own when rows are grouped: blocks per lookup.

    Every other bag of the trace makes the groups, the bags between measure them, so that a grouping is not measured
    on what it was made from. InputError without a trace of at least two bags.
    """
    bags = [bag for bag in op.trace if bag]
    if len(bags) < 2:
        raise InputError(f"{op.name}: field 'trace' has {len(bags)} bags, needed to group rows: at least 2")
    measured = bags[1::2]
    lookups = sum(len(bag) for bag in measured) / len(measured)
    return groups_per_bag(measured, group_rows(bags[::2], size)) / lookups
