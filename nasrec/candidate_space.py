"""The joint search space: architecture with precision, and chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np

from nasrec.arch import Candidate, ChipChoice
from nasrec.space import Space

MUTATE_TRIES = 16  # draws of a mutation, before the candidate is returned as it is


@dataclass(frozen=True)
class ChipSpace:
    """The values that each gene of a chip may take; the defaults bracket ISAAC's choice (128 x 128, 2, 1, 8, 128)."""

    rows: tuple[int, ...] = (64, 128, 256)
    columns: tuple[int, ...] = (64, 128, 256)
    cell_bits: tuple[int, ...] = (1, 2, 4)
    dac_bits: tuple[int, ...] = (1, 2)
    adc_bits: tuple[int, ...] = (4, 5, 6, 7, 8, 9)
    columns_per_adc: tuple[int, ...] = (8, 16, 32, 64, 128)
    copies: tuple[int, ...] = (1, 2, 4, 8, 16)

    def sample(self, rng: np.random.Generator) -> ChipChoice:
        """Draw every gene uniformly."""
        return ChipChoice(**{field.name: _pick(rng, getattr(self, field.name)) for field in fields(self)})

    def conventional(self) -> ChipChoice:
        """ISAAC's choices, or the values nearest to them."""
        nearest = {
            name: min((abs(value - goal), value) for value in getattr(self, name))[1]
            for name, goal in ChipChoice().to_json().items()
        }
        return ChipChoice(**nearest)

    def mutate(self, chip: ChipChoice, rng: np.random.Generator) -> ChipChoice:
        """Return `chip` with one gene moved to another of its values, where it has another."""
        free = [field.name for field in fields(self) if len(getattr(self, field.name)) > 1]
        if not free:
            return chip
        name = free[int(rng.integers(len(free)))]
        others = tuple(value for value in getattr(self, name) if value != getattr(chip, name))
        return replace(chip, **{name: _pick(rng, others)})


def _as_drawn(candidate: Candidate) -> Candidate:
    return candidate


@dataclass(frozen=True)
class CandidateSpace:
    """Architectures (with their precision) times chips.

    `settle` gives a drawn candidate the chip that it is judged on, say the best of those that compute the same numbers;
    settling twice is settling once. Without, that is the drawn one.
    """

    arch: Space
    chip: ChipSpace
    settle: Callable[[Candidate], Candidate] = field(default=_as_drawn, compare=False)

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Draw architecture and chip independently, and settle the chip."""
        return self.settle(Candidate(self.arch.sample(rng), self.chip.sample(rng)))

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """Return `candidate` with one field changed, in its model or in its chip with equal chance, and settled.

        A change that settling undoes is drawn again, `MUTATE_TRIES` times at most: so models change more often.
        """
        child = candidate
        for _ in range(MUTATE_TRIES):
            child = self.settle(self._changed(candidate, rng))
            if child != candidate:
                break
        return child

    def _changed(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        if rng.integers(2):
            return replace(candidate, chip=self.chip.mutate(candidate.chip, rng))
        return replace(candidate, arch=self.arch.mutate(candidate.arch, rng))


def _pick(rng: np.random.Generator, values: tuple[int, ...]) -> int:
    return values[int(rng.integers(len(values)))]
