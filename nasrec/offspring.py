"""Architectures that are not known yet: drawn at random, or one or two mutations away from a known one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from nasrec.arch import Arch
from nasrec.liveness import network
from nasrec.space import Space

FRESH_TRIES = 64  # draws for an architecture, or a candidate, that is not known yet, before a known one is taken
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Finalist:
    """An architecture that is trained from scratch.

    `number` is its place among those that the search scored, None where it was not; `parent` the finalist that it is
    mutated from, None for those of the search and for random ones.
    """

    arch: Arch
    number: int | None
    parent: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"arch": self.arch.to_json(), "number": self.number, "parent": self.parent}


def add_finalists(finalists: list[Finalist], parents: Sequence[int | None], space: Space, seed: int) -> None:
    """Append a finalist for each of `parents`: one or two mutations away from it, or a random one for None.

    A known network is mutated or drawn again; where the space has no other one (`FRESH_TRIES`), none is appended.
    """
    seen = {network(finalist.arch) for finalist in finalists}
    for parent in parents:
        rng = np.random.default_rng([seed, len(finalists), 2])  # searches have [seed, n], [seed, n, 1], [seed, n, 3]
        arch = _drawn(space, rng, None if parent is None else finalists[parent].arch, seen)
        if network(arch) not in seen:
            seen.add(network(arch))
            finalists.append(Finalist(arch, None, parent))


def fresh(drawn: Drawn, again: Callable[[Drawn], Drawn], known: Callable[[Drawn], bool]) -> Drawn:
    """`drawn`, put through `again` while it is `known`, `FRESH_TRIES` times at most: then a known one is returned."""
    for _ in range(FRESH_TRIES):
        if not known(drawn):
            break
        drawn = again(drawn)
    return drawn


def _drawn(space: Space, rng: np.random.Generator, parent: Arch | None, seen: Collection[Arch]) -> Arch:
    arch = space.sample(rng)  # for a child as well: published searches depend on the order of draws
    if parent is not None:
        arch = parent
        for _ in range(int(rng.integers(1, 3))):
            arch = space.mutate(arch, rng)

    def again(known: Arch) -> Arch:
        return space.sample(rng) if parent is None else space.mutate(known, rng)

    return fresh(arch, again, lambda arch: network(arch) in seen)
