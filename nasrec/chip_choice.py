"""The chip of a network: costs of all chips of a space are known at once, only their numbers have to be computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np

from nasrec.arch import Candidate, ChipChoice
from nasrec.candidate_space import ChipSpace
from nasrec.data.features import Features
from nasrec.hardware import NUMERIC, CostedChips, costed_chips, is_lossless, workload_of
from nasrec.search.objectives import Budget, front, targeted_costs


def on_best_chip(
    candidate: Candidate, space: ChipSpace, features: Features, budget: Budget, targets: Sequence[float] | None = None
) -> Candidate:
    """`candidate` on the best chip of `space` that computes the same numbers as its own: its log loss is the same.

    Those are all lossless chips where its own is one, else those that agree in `NUMERIC`. Best is the least product of
    energy, latency and area, after what is above `targets` where there are any (`targeted_costs`), among the chips
    within `budget` where any is; of equals the first of the space. Where none can be built, `candidate` as it is.
    """
    lossless = is_lossless(candidate.chip)
    if not lossless:
        space = replace(space, **{name: (getattr(candidate.chip, name),) for name in NUMERIC})
    chips = costed_chips(workload_of(candidate.arch, features), asdict(space))
    same = np.flatnonzero(chips.lossless) if lossless else np.arange(len(chips))
    if not len(same):
        return candidate
    allowed = same[budget.allows(chips.costs[same])]
    pool = allowed if len(allowed) else same
    products = np.log(chips.costs[pool]).sum(axis=1).round(9)  # so that equal products are equal, however summed
    above = np.zeros(len(pool)) if targets is None else targeted_costs(chips.costs[pool], targets)
    return replace(candidate, chip=chips.choice(pool[np.lexsort((products, above))[0]]))


def judged_chips(chips: CostedChips, log_loss: Callable[[ChipChoice], float], limit: float) -> list[tuple[int, float]]:
    """The chips that no other beats in log loss and all costs: place in `chips`, log loss; lossless ones first.

    `log_loss` computes a network's with the numbers of a chip. All lossless chips compute the same ones, so they ask
    for it once. ADCs that round are taken to make it no better, and worse with fewer bits (assumptions): a chip that
    a lossless one beats in every cost is not judged, nor one with fewer bits than an ADC that brings `limit` or more.
    Where all bring that, those of the least log loss that was found are all there is.
    """
    found: list[tuple[int, float]] = []
    lossless = np.flatnonzero(chips.lossless)
    beaten = chips.costs[:0]
    if len(lossless):
        members = lossless[front(chips.costs[lossless].tolist())]
        loss = log_loss(chips.choice(members[0]))
        found += [(int(place), loss) for place in members]
        beaten = chips.costs[members]
    useless: set[tuple[int, ...]] = set()
    least_useless: list[tuple[int, float]] = []
    for group in reversed([group for group in chips.alike() if not chips.lossless[group[0]]]):
        first = chips.choice(group[0])
        shape = (first.rows, first.cell_bits, first.dac_bits)
        members = group[front(chips.costs[group].tolist())]
        members = members[[not np.any(np.all(beaten <= costs, axis=1)) for costs in chips.costs[members]]]
        if shape in useless or not len(members):
            continue
        loss = log_loss(chips.choice(members[0]))
        if loss >= limit:
            useless.add(shape)
            if not least_useless or loss < least_useless[0][1]:
                least_useless = [(int(place), loss) for place in members]
        else:
            found += [(int(place), loss) for place in members]
    found = found or least_useless
    best = front([(loss, *chips.costs[place]) for place, loss in found])
    return [found[place] for place in best]
