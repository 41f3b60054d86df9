"""The joint search space: architecture with precision, and chip."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from nasrec.arch import Candidate, ChipChoice
from nasrec.space import Space


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

    def mutate(self, chip: ChipChoice, rng: np.random.Generator) -> ChipChoice:
        """Return `chip` with one gene moved to another of its values, where it has another."""
        free = [field.name for field in fields(self) if len(getattr(self, field.name)) > 1]
        if not free:
            return chip
        name = free[int(rng.integers(len(free)))]
        others = tuple(value for value in getattr(self, name) if value != getattr(chip, name))
        return replace(chip, **{name: _pick(rng, others)})


@dataclass(frozen=True)
class CandidateSpace:
    """Architectures (with their precision) times chips."""

    arch: Space
    chip: ChipSpace

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Draw architecture and chip independently."""
        return Candidate(self.arch.sample(rng), self.chip.sample(rng))

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """Return `candidate` with one field changed: in its model or in its chip with equal chance."""
        if rng.integers(2):
            return replace(candidate, chip=self.chip.mutate(candidate.chip, rng))
        return replace(candidate, arch=self.arch.mutate(candidate.arch, rng))


def _pick(rng: np.random.Generator, values: tuple[int, ...]) -> int:
    return values[int(rng.integers(len(values)))]
