"""Kendall, Pearson and their intervals against scipy, by hand, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nasrec.errors import InputError
from nasrec.nas.rank_correlation import Estimate, _kendall, _pearson, correlate

UNDEFINED = Estimate(None, None, None)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_values_are_those_of_scipy(count: int, ties: bool) -> None:
    rng = np.random.default_rng([count, ties])
    x = rng.normal(size=count)
    y = x + rng.normal(size=count)
    if ties:
        x, y = np.round(x), np.round(y)
        x[0], y[0], x[1], y[1] = 9, 8, 10, 11
    found = correlate(x, y, resamples=10)
    assert found.count == count
    assert found.kendall.value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)


def test_weights_mean_repeated_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=12), rng.normal(size=12)
    weights = rng.multinomial(12, np.full(12, 1 / 12), size=5)
    kendall, pearson = (statistic(x, y, weights.astype(float)) for statistic in (_kendall, _pearson))
    for row, counts in enumerate(weights):
        a, b = np.repeat(x, counts), np.repeat(y, counts)
        assert kendall[row] == pytest.approx(stats.kendalltau(a, b).statistic)
        assert pearson[row] == pytest.approx(stats.pearsonr(a, b).statistic)


def test_by_hand() -> None:
    found = correlate([1, 2, 3, 4], [1, 3, 2, 4])  # five pairs in the same order, one in the other
    assert found.kendall.value == pytest.approx(4 / 6)
    assert found.pearson.value == pytest.approx(0.8)


def test_rounding_takes_nothing_beyond_one() -> None:
    """Resamples of three pairs that hold two different ones have an r of exactly -1 or 1."""
    found = correlate([0.5127106669184163, 0.5135106688892563, 0.5136130122428747], [0.5190, 0.5040, 0.5096])
    assert (found.pearson.low, found.pearson.high) == (-1.0, 1.0)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of a bivariate normal distribution, tau = 2 / pi arcsin(r) (Kendall and Gibbons)."""
    r, runs, inside = 0.6, 200, np.zeros(2)
    for run in range(runs):
        rng = np.random.default_rng([7, run])
        x = rng.normal(size=100)
        found = correlate(x, r * x + np.sqrt(1 - r * r) * rng.normal(size=100), resamples=400)
        for place, (estimate, truth) in enumerate([(found.kendall, 2 / np.pi * np.arcsin(r)), (found.pearson, r)]):
            assert estimate.low is not None and estimate.high is not None
            inside[place] += estimate.low <= truth <= estimate.high
    assert ((inside / runs >= 0.89) & (inside / runs <= 0.99)).all()  # 0.95 within four standard errors


def test_interval_is_deterministic_and_narrows() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    assert correlate(x, y) == correlate(x, y)
    wide, narrow = correlate(x[:40], y[:40]).kendall, correlate(x, y).kendall
    assert wide.low is not None and wide.high is not None and narrow.low is not None and narrow.high is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_what_has_no_order_is_undefined() -> None:
    for count in (0, 1):
        assert correlate([1.0] * count, [1.0] * count).kendall == UNDEFINED
    flat = correlate([0.1] * 5, [1, 2, 3, 4, 5])  # the mean of five times 0.1 is not 0.1 in floats
    assert flat.kendall == flat.pearson == UNDEFINED


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, float("nan"), 2.0]])
def test_refuses(bad: list[float]) -> None:
    with pytest.raises(InputError, match="equal counts of finite numbers"):
        correlate(bad, [1.0, 2.0, 3.0])
