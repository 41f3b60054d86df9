"""Regularised evolution over candidates as an Optuna sampler, for one objective or several."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from nasrec.arch import Arch, Candidate, ChipChoice
from nasrec.candidate_space import CandidateSpace
from nasrec.liveness import canonical
from nasrec.offspring import fresh
from nasrec.search.objectives import comparable, front
from nasrec.search.parameters import candidate_of, distributions_of, parameters_of


class RegularizedEvolution(BaseSampler):
    """Evolution over candidates: the first `population` are random networks, each later candidate is a mutated parent.

    The first ones have the numbers of a conventional chip: most chips of a space round too much to tell networks apart.

    With one objective this is regularised evolution (Real et al., AAAI 2019): the newest `population` trials live and a
    tournament of `tournament` of them gives the parent. With several, parents come from the front of all feasible
    trials: each time a random weighting of the objectives, scaled to the front's range, picks one (a Chebyshev
    scalarisation), so that every part of the front is worked on. `reference` says beyond which values a candidate is of
    no use, as hypervolume counts: once there are trials within, every second parent comes from the front of those (most
    of a whole front may be what costs least and predicts nothing, but that is where cheap ones come from). A child
    differs by one to `mutations` mutations, more until it is none of those known. The generator is made anew from
    (`seed`, finished trials) for every trial: a resumed study goes on as an uninterrupted one would.
    """

    def __init__(
        self,
        space: CandidateSpace,
        *,
        seed: int,
        population: int = 16,
        tournament: int = 4,
        mutations: int = 6,
        reference: Sequence[float] | None = None,
    ) -> None:
        """Keep the settings; `population` random candidates come first."""
        self.space = space
        self.seed = seed
        self.population = population
        self.tournament = tournament
        self.mutations = mutations
        self.reference = reference
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All genes of the space are drawn together."""
        return distributions_of(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the next candidate."""
        known = [done for done in finished_trials(study) if set(search_space) <= set(done.params)]
        rng = np.random.default_rng([self.seed, len(known), 3])  # the supernet's steps have [seed, n], finalists 2
        return parameters_of(self.next_candidate(known, rng), self.space)

    def next_candidate(self, known: Sequence[FrozenTrial], rng: np.random.Generator) -> Candidate:
        """The child of a tournament's winner, or a random candidate while the first population fills."""
        if len(known) < self.population:
            return self.space.settle(Candidate(self.space.arch.sample(rng), self.space.chip.conventional()))
        parent = candidate_of(self.parent(known, rng).params, self.space)
        return vary(parent, self.space.mutate, self.mutations, rng, forms_of(known, self.space))

    def parent(self, known: Sequence[FrozenTrial], rng: np.random.Generator) -> FrozenTrial:
        """The trial to mutate."""
        if len(known[0].values) == 1:
            return tournament_winner(known[-self.population :], self.tournament, rng, by_objective)
        return weighted_front_member(known, rng, self.reference)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is not a gene of the space is drawn at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Give parallel workers different children (called by Optuna in each)."""
        self.seed = int(np.random.default_rng().integers(2**31))
        self._independent.reseed_rng()


class RandomCandidates(RegularizedEvolution):
    """Random search over the same space: the baseline that every search has to beat at equal evaluations."""

    def next_candidate(self, known: Sequence[FrozenTrial], rng: np.random.Generator) -> Candidate:
        """A random candidate, whatever is known."""
        return self.space.sample(rng)


def finished_trials(study: Study) -> list[FrozenTrial]:
    """The completed trials in the order of their numbers."""
    return sorted(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=lambda trial: trial.number)


def tournament_winner(
    trials: Sequence[FrozenTrial],
    size: int,
    rng: np.random.Generator,
    order: Callable[[FrozenTrial], tuple[float, ...]],
) -> FrozenTrial:
    """The first in `order` of `size` distinct trials."""
    entrants = [trials[index] for index in rng.choice(len(trials), size=min(size, len(trials)), replace=False)]
    winner: FrozenTrial = min(entrants, key=order)
    return winner


def by_objective(trial: FrozenTrial) -> tuple[float, ...]:
    """The order of trials with one objective: an infeasible one is best only by the least excess."""
    return _excess(trial.constraints), trial.values[0], trial.number


def weighted_front_member(
    trials: Sequence[FrozenTrial], rng: np.random.Generator, reference: Sequence[float] | None = None
) -> FrozenTrial:
    """A member of the front by a random weighting: of all feasible trials or, every second time where there are any, of
    those below `reference`; the least infeasible trial if none is feasible."""
    feasible = [trial for trial in trials if _excess(trial.constraints) == 0.0]
    if not feasible:
        return min(trials, key=lambda trial: (_excess(trial.constraints), trial.number))
    if reference is not None and rng.integers(2):
        feasible = [trial for trial in feasible if all(np.less(trial.values, reference))] or feasible
    members = [feasible[index] for index in front([trial.values for trial in feasible])]
    points = comparable(np.array([trial.values for trial in members]))
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    weights = rng.dirichlet(np.ones(scaled.shape[1]))
    return members[int(np.argmin((scaled * weights).max(axis=1)))]


def form_of(candidate: Candidate) -> tuple[Arch, ChipChoice]:
    """What scoring reads of `candidate`: two with one form have one score."""
    return canonical(candidate.arch), candidate.chip


def forms_of(trials: Sequence[FrozenTrial], space: CandidateSpace) -> set[tuple[Arch, ChipChoice]]:
    """The forms of the candidates of `trials`."""
    return {_form_of_genes(space, tuple(trial.params.items())) for trial in trials}


@lru_cache(maxsize=1 << 16)
def _form_of_genes(space: CandidateSpace, genes: tuple[tuple[str, Any], ...]) -> tuple[Arch, ChipChoice]:
    """Kept, as every new candidate is compared with all before it."""
    return form_of(candidate_of(dict(genes), space))


def vary(
    candidate: Candidate,
    mutate: Callable[[Candidate, np.random.Generator], Candidate],
    mutations: int,
    rng: np.random.Generator,
    known: Container[tuple[Arch, ChipChoice]],
) -> Candidate:
    """Apply `mutate` one to `mutations` times; a child of a `known` form is mutated again (`FRESH_TRIES` at most)."""
    child = candidate
    for _ in range(1 + int(rng.integers(mutations))):
        child = mutate(child, rng)
    return fresh(child, lambda one: mutate(one, rng), lambda one: form_of(one) in known)


def _excess(constraints: Mapping[str, float]) -> float:
    return sum(max(0.0, value) for value in constraints.values())
