"""The planted truth: Criteo-shaped rows whose click probability is known exactly.

Every field is drawn independently of the others, so what a first-order model cannot see it cannot guess from
correlations either. The log odds of a click are a sum of three centred terms of stated standard deviation:

- first order: one weight per category value, one slope per (log-transformed, standardised) integer;
- pairwise: the sum over all pairs of the 39 fields of the dot product of two latent vectors of `PAIR_RANK` numbers;
  a category value has a vector of its own, an integer has one direction times its value (a factorization machine,
  Rendle, ICDM 2010);
- gated: `u.w` of two category fields times a gate in 0..1 that a third field opens: an integer by being above its
  mean, or a category by its value.

The root mean square of a field's numbers over the rows is (10 / size)**SIZE_DECAY, and within a field they fall with
the rank of a value as (1 + rank / RANK_SCALE)**-0.5: as in real logs, rare values of large fields say little, and what
is there to be found does not hide where 400,000 rows cannot show it. A missing integer counts as 0, as it does for
every model that reads log(max(x, 0) + 1). All constants are design choices of this project (assumptions about what a
click log looks like); `python -m benchmarks.planted_gap` measures what they lead to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PLANTED = "planted_probability"  # the extra column of a source whose truth is known
INTEGERS = 13
CATEGORIES = 26
SIZES: tuple[int, ...] = tuple(round(float(n)) for n in np.geomspace(10, 100_000, CATEGORIES))
ZIPF_EXPONENT = 1.05
LABEL_RATE = 0.25

PAIR_RANK = 3
GATE_RANK = 2
SIZE_DECAY = 0.6
RANK_SCALE = 5.0
INTEGER_STRENGTH = 0.6  # of an integer's slope and direction, beside 1.0 of a field of ten values
TERM_STD = (0.8, 1.2, 0.35)  # first order, pairwise, gated: standard deviation in log odds
CALIBRATION_ROWS = 1 << 17

# (gate, left, right): a gate below 26 is a category, otherwise the integer gate - 26; left and right are categories.
GATED_TRIPLES = ((26, 1, 4), (31, 0, 6), (2, 3, 5), (4, 7, 0), (35, 2, 8))


@dataclass(frozen=True)
class Draw:
    """Rows as drawn.

    `values` int32 [N, 26] are ranks within a field, 0 the most frequent; `integers` float64 [N, 13] are counts, NaN
    where missing.
    """

    values: NDArray[np.int32]
    integers: NDArray[np.float64]


class PlantedTruth:
    """One world, a function of `seed` alone: how rows are distributed, and how likely a click is given a row."""

    def __init__(self, seed: int) -> None:
        rng = generator(seed, 0)
        self._cumulative = [_zipf_cumulative(size) for size in SIZES]
        self._log_mean = rng.uniform(0.3, 5.0, INTEGERS)
        self._log_std = rng.uniform(0.8, 1.8, INTEGERS)
        self._missing = rng.permutation(np.linspace(0.0, 0.45, INTEGERS))
        self._weights = [self._latents(field, 1, rng) for field in range(CATEGORIES)]
        self._pair = [self._latents(field, PAIR_RANK, rng) for field in range(CATEGORIES)]
        self._open = {gate: self._gate(gate, rng) for gate, _, _ in GATED_TRIPLES if gate < CATEGORIES}
        self._gated = [
            (gate, left, self._latents(left, GATE_RANK, rng), right, self._latents(right, GATE_RANK, rng))
            for gate, left, right in GATED_TRIPLES
        ]
        self._slopes = rng.choice([-1.0, 1.0], INTEGERS) * INTEGER_STRENGTH
        self._directions = rng.choice([-1.0, 1.0], (INTEGERS, PAIR_RANK)) * INTEGER_STRENGTH
        self._calibrate(self.draw(CALIBRATION_ROWS, generator(seed, 2)))

    def draw(self, rows: int, rng: np.random.Generator) -> Draw:
        """Draw `rows` rows from `rng`."""
        values = np.empty((rows, CATEGORIES), np.int32)
        for field, cumulative in enumerate(self._cumulative):
            values[:, field] = np.searchsorted(cumulative, rng.random(rows), side="right")
        integers = np.floor(np.exp(self._log_mean + self._log_std * rng.standard_normal((rows, INTEGERS))))
        integers[rng.random((rows, INTEGERS)) < self._missing] = np.nan
        return Draw(values, integers)

    def probability(self, draw: Draw) -> NDArray[np.float64]:
        """The true probability of a click for each row of `draw`, float64 [N]."""
        return _sigmoid(self._bias + self._log_odds(self.terms(draw)))

    def terms(self, draw: Draw) -> NDArray[np.float64]:
        """The first-order, pairwise and gated terms of each row before they are centred and scaled, float64 [N, 3]."""
        dense = (_log(draw.integers) - self._log_shift) / self._log_spread
        first = dense @ self._slopes
        total = (dense @ self._directions).astype(np.float32)
        squares = np.square(dense) @ np.square(self._directions).sum(axis=1)
        for field, (weights, pair) in enumerate(zip(self._weights, self._pair, strict=True)):
            value = draw.values[:, field]
            first += weights[value, 0]
            total += pair[value]
            squares += np.square(pair).sum(axis=1)[value]
        gated = np.zeros(len(dense))
        for gate, left, u, right, w in self._gated:
            products = np.einsum("nk,nk->n", u[draw.values[:, left]], w[draw.values[:, right]])
            opened = (
                self._open[gate][draw.values[:, gate]]
                if gate < CATEGORIES
                else _sigmoid(4.0 * dense[:, gate - CATEGORIES])
            )
            gated += opened * products
        return np.stack([first, 0.5 * (np.square(total).sum(axis=1) - squares), gated], axis=1)

    def _latents(self, field: int, rank: int, rng: np.random.Generator) -> NDArray[np.float32]:
        # Centred under the field's own distribution: products then leave no trace in the first order.
        size = SIZES[field]
        share = np.diff(self._cumulative[field], prepend=0.0)
        numbers = rng.standard_normal((size, rank)) / np.sqrt(1 + np.arange(size) / RANK_SCALE)[:, None]
        numbers -= share @ numbers
        strength = (10 / size) ** SIZE_DECAY / np.sqrt(share @ np.square(numbers))
        return np.asarray(numbers * strength, np.float32)

    def _gate(self, field: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        # Values in random order open the gate until half of the rows would find it open.
        order = rng.permutation(SIZES[field])
        share = np.diff(self._cumulative[field], prepend=0.0)
        opened = np.zeros(SIZES[field], bool)
        opened[order] = np.cumsum(share[order]) < 0.5
        return opened

    def _log_odds(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(((terms - self._term_mean) * self._term_scale).sum(axis=1))

    def _calibrate(self, sample: Draw) -> None:
        logs = _log(sample.integers)
        self._log_shift, self._log_spread = logs.mean(axis=0), logs.std(axis=0)
        terms = self.terms(sample)
        self._term_mean, self._term_scale = terms.mean(axis=0), np.asarray(TERM_STD) / terms.std(axis=0)
        log_odds = self._log_odds(terms)
        low, high = -20.0, 20.0
        for _ in range(60):  # bisection to the last bit: the mean probability grows with the bias
            self._bias = (low + high) / 2
            if _sigmoid(self._bias + log_odds).mean() < LABEL_RATE:
                low = self._bias
            else:
                high = self._bias


@lru_cache(maxsize=4)
def planted_truth(seed: int) -> PlantedTruth:
    """The world of `seed`; kept, as making one takes about a second."""
    return PlantedTruth(seed)


def generator(*key: int) -> np.random.Generator:
    """The random stream that belongs to `key`: (seed, 0) the world, (seed, 1, block) its rows, (seed, 2) calibration.

    PCG64 is named so that the rows do not change when NumPy chooses another default.
    """
    numbers: Sequence[int] = key
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(numbers)))


def _log(integers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log1p(np.nan_to_num(integers)))


def _zipf_cumulative(size: int) -> NDArray[np.float64]:
    weights = np.arange(1, size + 1, dtype=np.float64) ** -ZIPF_EXPONENT
    cumulative = np.cumsum(weights) / weights.sum()
    cumulative[-1] = 1.0  # rounding must not leave a gap that a draw could fall into
    return np.asarray(cumulative)


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
