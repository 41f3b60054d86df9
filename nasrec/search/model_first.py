"""Model first, then chip: what most teams do today, as the baseline of the joint search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from nasrec.arch import Candidate, Precision
from nasrec.candidate_space import CandidateSpace
from nasrec.search.evolution import RegularizedEvolution, forms_of, tournament_winner, vary
from nasrec.search.parameters import candidate_of


class ModelFirst(RegularizedEvolution):
    """Half of the `budget` searches the model for log loss alone, at the highest precision with the numbers of a
    conventional chip (ISAAC's choices); the other half keeps the best model and searches its precision and its chip."""

    def __init__(
        self,
        space: CandidateSpace,
        *,
        seed: int,
        budget: int,
        population: int = 16,
        tournament: int = 4,
        reference: Sequence[float] | None = None,
    ) -> None:
        """`budget` is the number of evaluations in all; each half starts with at most a quarter of it at random."""
        population = min(population, max(2, budget // 4))
        super().__init__(space, seed=seed, population=population, tournament=tournament, reference=reference)
        self.budget = budget

    def next_candidate(self, known: Sequence[FrozenTrial], rng: np.random.Generator) -> Candidate:
        """The next model on the conventional chip, or the next chip and precision for the best model."""
        half = self.budget // 2
        if len(known) < half:
            return self._next_model(known, rng)
        best = min(known[:half], key=_by_log_loss)
        model = candidate_of(best.params, self.space)
        if len(known) - half < self.population:
            return self._redraw_hardware(model, rng)
        parent = candidate_of(self.parent(known[half:], rng).params, self.space)
        return vary(parent, self._mutate_hardware, self.mutations, rng, forms_of(known, self.space))

    def _next_model(self, known: Sequence[FrozenTrial], rng: np.random.Generator) -> Candidate:
        if len(known) < self.population:
            arch = self.space.arch.sample(rng).with_precision(self._highest)
            return self.space.settle(Candidate(arch, self.space.chip.conventional()))
        winner = tournament_winner(known[-self.population :], self.tournament, rng, _by_log_loss)
        parent, forms = candidate_of(winner.params, self.space), forms_of(known, self.space)
        return vary(parent, self._mutate_model, self.mutations, rng, forms)

    def _mutate_model(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        arch = self.space.arch.mutate(candidate.arch, rng).with_precision(self._highest)
        return self.space.settle(Candidate(arch, candidate.chip))

    def _redraw_hardware(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        arch, chip = self.space.arch.sample(rng), self.space.chip.sample(rng)
        return self.space.settle(Candidate(candidate.arch.with_precision_of(arch), chip))

    def _mutate_hardware(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        mutated = self.space.mutate(candidate, rng)
        return self.space.settle(Candidate(candidate.arch.with_precision_of(mutated.arch), mutated.chip))

    @property
    def _highest(self) -> Precision:
        return Precision(max(self.space.arch.weight_bits), max(self.space.arch.input_bits))


def _by_log_loss(trial: FrozenTrial) -> tuple[float, ...]:
    """The order in which the model is chosen, whatever its hardware costs and whichever budget that breaks.

    With several objectives log loss is the first; a single one has the hardware in it, and the score says the rest.
    """
    loss = trial.values[0] if len(trial.values) > 1 else trial.user_attrs["score"]["log_loss"]
    return loss, trial.number
