"""The planted truth against brute force, its stated distribution, and what a first-order model can see of it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from nasrec.data.planted import (
    CATEGORIES,
    GATED_TRIPLES,
    INTEGERS,
    LABEL_RATE,
    SIZES,
    TERM_STD,
    ZIPF_EXPONENT,
    Draw,
    PlantedTruth,
    generator,
    planted_truth,
)

ROWS = 200_000


@pytest.fixture(scope="module")
def truth() -> PlantedTruth:
    return planted_truth(0)


@pytest.fixture(scope="module")
def draw(truth: PlantedTruth) -> Draw:
    return truth.draw(ROWS, np.random.default_rng(5))


def test_shape_is_criteos(draw: Draw) -> None:
    assert SIZES[0] == 10 and SIZES[-1] == 100_000 and len(SIZES) == CATEGORIES == 26 and INTEGERS == 13
    ratios = np.array(SIZES[1:]) / np.array(SIZES[:-1])
    assert ratios.min() > 1.3 and ratios.max() < 1.6  # log-spaced: 10**(4/25) = 1.445 but for rounding
    assert (draw.values >= 0).all() and (draw.values < np.array(SIZES)).all()
    missing = np.isnan(draw.integers).mean(axis=0)
    assert missing.min() == 0 and 0.4 < missing.max() < 0.5
    known = draw.integers[~np.isnan(draw.integers)]
    assert (known >= 0).all() and (known == np.floor(known)).all() and (known == 0).any()


@pytest.mark.parametrize("field", [0, 12, 25])
def test_values_are_zipf(draw: Draw, field: int) -> None:
    weights = np.arange(1, SIZES[field] + 1) ** -ZIPF_EXPONENT
    expected = ROWS * weights / weights.sum()
    seen = np.bincount(draw.values[:, field], minlength=SIZES[field])
    assert np.all(np.abs(seen[:10] - expected[:10]) < 5 * np.sqrt(expected[:10]))


def test_label_rate_on_fresh_rows(truth: PlantedTruth, draw: Draw) -> None:
    assert truth.probability(draw).mean() == pytest.approx(LABEL_RATE, abs=0.004)


def test_terms_have_the_stated_strength_and_are_uncorrelated(truth: PlantedTruth, draw: Draw) -> None:
    terms = truth.terms(draw) * truth._term_scale
    assert terms.std(axis=0) == pytest.approx(TERM_STD, rel=0.03)
    assert np.abs(np.corrcoef(terms.T)[np.triu_indices(3, 1)]).max() < 0.1


def test_probability_is_the_sum_over_all_pairs_and_triples(truth: PlantedTruth, draw: Draw) -> None:
    for row in range(20):
        values, counts = draw.values[row], np.nan_to_num(draw.integers[row])
        dense = (np.log1p(counts) - truth._log_shift) / truth._log_spread
        vectors = [truth._pair[field][values[field]].astype(float) for field in range(CATEGORIES)]
        vectors += [dense[number] * truth._directions[number] for number in range(INTEGERS)]
        first = sum(truth._weights[field][values[field], 0] for field in range(CATEGORIES)) + dense @ truth._slopes
        pairwise = sum(float(a @ b) for a, b in combinations(vectors, 2))
        gated = 0.0
        for (gate, left, right), (_, _, u, _, w) in zip(GATED_TRIPLES, truth._gated, strict=True):
            opened = (
                float(truth._open[gate][values[gate]])
                if gate < CATEGORIES
                else 1 / (1 + np.exp(-4 * dense[gate - CATEGORIES]))
            )
            gated += opened * float(u[values[left]] @ w[values[right]])
        logit = truth._bias + ((np.array([first, pairwise, gated]) - truth._term_mean) * truth._term_scale).sum()
        one = Draw(draw.values[row : row + 1], draw.integers[row : row + 1])
        assert truth.probability(one)[0] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)


def test_interactions_leave_no_first_order_trace(truth: PlantedTruth, draw: Draw) -> None:
    terms = truth.terms(draw) * truth._term_scale
    interactions = terms[:, 1:].sum(axis=1)
    interactions -= interactions.mean()
    for field in (0, 5, 12, 20):
        for value in range(3):
            chosen = interactions[draw.values[:, field] == value]
            assert abs(chosen.mean()) < 5 * chosen.std() / np.sqrt(len(chosen))


def test_gates_are_open_half_of_the_time(truth: PlantedTruth, draw: Draw) -> None:
    for gate, opened in truth._open.items():
        assert 0.1 < opened[draw.values[:, gate]].mean() < 0.55


def test_a_model_that_knows_the_first_order_stays_far_above_the_optimum(truth: PlantedTruth, draw: Draw) -> None:
    # Fields are independent and interactions centred: the best first-order model is close to a rescaled first order.
    chance = truth.probability(draw)
    labels = np.random.default_rng(6).random(ROWS) < chance
    optimum = -np.mean(np.where(labels, np.log(chance), np.log1p(-chance)))
    first = truth.terms(draw)[:, 0]

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] + weights[1] * first
        return float(np.mean(np.logaddexp(0, logits) - labels * logits))

    assert minimize(loss, np.zeros(2)).fun - optimum > 0.05


def test_a_world_is_a_function_of_its_seed(truth: PlantedTruth) -> None:
    rows = truth.draw(100, generator(0, 9))
    assert np.array_equal(PlantedTruth(0).probability(rows), truth.probability(rows))
    assert not np.allclose(planted_truth(1).probability(rows), truth.probability(rows))
