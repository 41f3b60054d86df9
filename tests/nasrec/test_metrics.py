"""Log loss and AUC against hand-worked cases and slow definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.errors import InputError
from nasrec.metrics import auc, log_loss, row_losses


def test_log_loss_by_hand():
    # Probabilities 1/2 and 3/4 (log odds ln 3), labels 1 and 0: -(ln 1/2 + ln 1/4) / 2 = 1.5 ln 2.
    assert log_loss([0.0, math.log(3)], [1, 0]) == pytest.approx(1.5 * math.log(2), rel=1e-15)


def test_log_loss_survives_extreme_logits():
    assert log_loss([1e4, -1e4], [1, 0]) == 0.0
    assert log_loss([1e4, -1e4], [0, 1]) == 1e4
    assert log_loss(np.array([-800.0]), [0]) == 0.0  # math.exp(-800) underflows; nothing is lost


def test_loss_against_a_known_probability_is_its_entropy():
    p = 0.2
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert row_losses([math.log(p / (1 - p))], [p])[0] == pytest.approx(entropy, rel=1e-14)


def test_counts_that_differ_are_refused():
    with pytest.raises(InputError, match="3 logits and 2 labels"):
        log_loss([0.0, 1.0, 2.0], [0, 1])
    with pytest.raises(InputError, match="0 logits"):
        log_loss([], [])
    with pytest.raises(InputError, match="1 scores and 2 labels"):
        auc([0.0], [0, 1])


def test_auc_by_hand():
    assert auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75  # of the four pairs one is in the wrong order
    assert auc([3, 2, 1], [0, 0, 1]) == 0.0
    assert auc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5  # all tied
    assert auc([1, 1, 2], [0, 1, 1]) == 0.75  # one pair tied, one right


def test_auc_of_a_single_class_is_undefined():
    assert auc([0.1, 0.9], [1, 1]) is None
    assert auc([0.1, 0.9], [0, 0]) is None
    assert auc([], []) is None


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=40))
def test_auc_counts_pairs(rows: list[tuple[int, bool]]):
    good = [score for score, label in rows if label]
    bad = [score for score, label in rows if not label]
    wins = sum((a > b) + 0.5 * (a == b) for a in good for b in bad)
    expected = None if not good or not bad else wins / (len(good) * len(bad))
    found = auc([score for score, _ in rows], [label for _, label in rows])
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))
