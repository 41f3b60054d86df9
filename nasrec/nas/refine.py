"""Evolution that goes on with training from scratch: where a log is short, that tells more than a supernet does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.nas.retrain import penalties_of, train_all, trained_value
from nasrec.nas.run import SearchRun
from nasrec.offspring import Finalist, add_finalists


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
