"""Evolution that goes on with training from scratch: where a log is short, that tells more than a supernet does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.liveness import network
from nasrec.nas.evolution import fresh
from nasrec.nas.retrain import penalties_of, train_all, trained_value
from nasrec.nas.run import SearchRun
from nasrec.space import Space


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


def refined(run: SearchRun, features: Features, best: Sequence[tuple[int, Arch]]) -> list[Finalist]:
    """The search's `best` (number, architecture), and what `run.options.refine` adds to them, trained on the way.

    Finalist n depends on the seed, n and the trainings before its round: each is a stage of the run, so a killed
    refinement goes on. No network comes twice; a space may have too few for all that `refine` asks for.
    """
    section = run.options.refine
    space = replace(run.options.space.space(), connections=run.options.evolution.connections)
    finalists = [Finalist(arch, number, None) for number, arch in best]
    if section.rounds + section.fresh == 0:
        return finalists
    add_finalists(finalists, [None] * section.fresh, space, run.options.seed)
    for _ in range(section.rounds):
        order = _order(run, features, finalists)[: section.parents]
        random = run.options.strategy == "random"
        parents = [None if random else order[child % len(order)] for child in range(section.children)]
        add_finalists(finalists, parents, space, run.options.seed)
    return finalists


def _order(run: SearchRun, features: Features, finalists: Sequence[Finalist]) -> list[int]:
    """The places of `finalists` by what the search minimises, with the log loss of training; trains the new ones."""
    rate, seed = run.options.retrain.learning_rates[0], run.options.retrain.seeds[0]
    archs = [finalist.arch for finalist in finalists]
    penalties = penalties_of(run, archs, features)
    found = train_all(run, archs, [(place, rate, seed) for place in range(len(archs))])
    return sorted(range(len(archs)), key=lambda place: trained_value(found[place, rate, seed], penalties[place]))


def add_finalists(finalists: list[Finalist], parents: Sequence[int | None], space: Space, seed: int) -> None:
    """Append a finalist for each of `parents`: one or two mutations away from it, or a random one for None.

    A known network is mutated or drawn again; where the space has no other one (`FRESH_TRIES`), none is appended.
    """
    seen = {network(finalist.arch) for finalist in finalists}
    for parent in parents:
        rng = np.random.default_rng([seed, len(finalists), 2])  # the search has [seed, n] and [seed, n, 1]
        arch = _drawn(space, rng, None if parent is None else finalists[parent].arch, seen)
        if network(arch) not in seen:
            seen.add(network(arch))
            finalists.append(Finalist(arch, None, parent))


def _drawn(space: Space, rng: np.random.Generator, parent: Arch | None, seen: Collection[Arch]) -> Arch:
    arch = space.sample(rng)  # for a child as well: published searches depend on the order of draws
    if parent is not None:
        arch = parent
        for _ in range(int(rng.integers(1, 3))):
            arch = space.mutate(arch, rng)

    def again(known: Arch) -> Arch:
        return space.sample(rng) if parent is None else space.mutate(known, rng)

    return fresh(arch, again, lambda arch: network(arch) in seen)
