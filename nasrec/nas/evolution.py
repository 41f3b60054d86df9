"""Which architectures a search scores next: a function of the seed and of what has been scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nasrec.arch import Arch
from nasrec.liveness import canonical
from nasrec.nas.options import EvolutionOptions
from nasrec.nas.trials import Trial
from nasrec.offspring import fresh
from nasrec.space import Space


def next_architectures(
    known: Sequence[Trial], space: Space, options: EvolutionOptions, strategy: str, seed: int
) -> list[Arch]:
    """What is scored after the trials `known`: the rest of the first population or of a generation; empty at the end.

    Regularised evolution (Real et al., AAAI 2019) as NASRec runs it: one tournament among the newest `population`
    trials before a generation gives the parent of all its children. `strategy` "random" draws every architecture at
    random instead. A draw that equals a known network up to genes that nobody reads is drawn, or mutated, again: it
    would teach nothing. Architecture n depends on (`seed`, n) and the trials before it, so a search goes on after any
    of them.
    """
    first, last = _batch(len(known), options)
    space = replace(space, connections=options.connections)
    alive = known[max(0, first - options.population) : first]
    generation = (first - options.population) // options.children
    random = strategy == "random" or first < options.population
    parent = None if random else _tournament_winner(alive, options.tournament, np.random.default_rng([seed, first, 1]))
    seen = {canonical(trial.arch) for trial in known}
    drawn: list[Arch] = []

    def known_form(arch: Arch) -> bool:
        return canonical(arch) in seen

    for number in range(len(known), last):
        rng = np.random.default_rng([seed, number])
        if parent is None:
            arch = fresh(space.sample(rng), lambda _, rng=rng: space.sample(rng), known_form)  # type: ignore[misc]
        else:
            arch = parent.arch
            for _ in range(options.mutations_at(generation)):
                arch = space.mutate(arch, rng)
            arch = fresh(arch, lambda arch, rng=rng: space.mutate(arch, rng), known_form)  # type: ignore[misc]
        seen.add(canonical(arch))
        drawn.append(arch)
    return drawn


def _batch(done: int, options: EvolutionOptions) -> tuple[int, int]:
    """The numbers of the first and after the last architecture of the batch that number `done` is in."""
    if done < options.population:
        return 0, options.population
    if done >= options.evaluations:
        return done, done
    first = done - (done - options.population) % options.children
    return first, first + options.children


def _tournament_winner(alive: Sequence[Trial], size: int, rng: np.random.Generator) -> Trial:
    entrants = rng.choice(len(alive), size=min(size, len(alive)), replace=False)
    return alive[min(entrants, key=lambda index: (alive[index].value, index))]
