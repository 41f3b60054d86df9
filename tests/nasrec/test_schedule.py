"""The learning rate at its corners."""

from __future__ import annotations

import pytest

from nasrec.schedule import learning_rate


def test_warm_up_is_linear_and_ends_at_the_peak():
    rates = [learning_rate(step, 100, peak=0.12) for step in range(12)]
    assert rates[0] == pytest.approx(0.012)
    assert rates[4] == pytest.approx(0.06)
    assert rates[9] == 0.12  # last step of the warm-up
    assert rates[10] < 0.12  # first of the cosine


def test_cosine_is_half_way_in_the_middle_and_ends_at_the_final_rate():
    assert learning_rate(54, 100, peak=0.12) == pytest.approx(0.06, rel=1e-6)  # 45 of 90 falling steps
    assert learning_rate(99, 100, peak=0.12) == pytest.approx(1e-8)
    assert learning_rate(99, 100, peak=0.12, final=0.0) == 0.0


def test_corners():
    assert learning_rate(0, 1, peak=0.1) == 0.1  # a single step, which is to learn something
    assert learning_rate(0, 10, peak=0.1, warmup=0.0) < 0.1
    assert learning_rate(9, 10, peak=0.1, warmup=1.0) == 0.1


def test_it_never_leaves_its_range():
    for steps in (1, 2, 3, 7, 50):
        rates = [learning_rate(step, steps, peak=0.2, warmup=0.3) for step in range(steps)]
        assert all(1e-8 * (1 - 1e-9) <= rate <= 0.2 for rate in rates)
