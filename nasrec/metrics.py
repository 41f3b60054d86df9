"""How good a model's predictions are: log loss with its standard error, and the area under the ROC curve."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec.errors import InputError

UNUSABLE = 1e6
"""Log loss, in nats, that a search takes for that of a network whose logits are not finite: it ranks last, and can be
written down, as infinity and NaN cannot."""


def row_losses(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the log loss of each row in float64: log(1 + e^z) - y z, which no logit overflows.

    `logits` [N] are natural log odds, `labels` [N] are 0 or 1 (or a probability, for the loss against a known truth).
    Raises InputError if the two differ in length or are empty.
    """
    z = np.asarray(logits, dtype=np.float64).reshape(-1)
    y = np.asarray(labels, dtype=np.float64).reshape(-1)
    if z.size != y.size or z.size == 0:
        raise InputError(f"metrics: {z.size} logits and {y.size} labels: allowed are equal counts from 1")
    return np.asarray(np.logaddexp(0.0, z) - y * z)


def log_loss(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean log loss (binary cross-entropy, nats per row) of `logits` [N] against 0/1 `labels` [N]."""
    return float(row_losses(logits, labels).mean())


def usable(loss: float) -> float:
    """`loss`, or `UNUSABLE` where it is not finite."""
    return loss if math.isfinite(loss) else UNUSABLE


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Return the area under the ROC curve, or None when only one class is present (it is undefined then).

    It is the probability that a positive row scores above a negative one, ties counting half: the Mann-Whitney
    statistic from mid-ranks. `scores` [N] may be logits or probabilities; `labels` [N] are 0 or 1.
    """
    ranked = np.asarray(scores, dtype=np.float64).reshape(-1)
    positive = np.asarray(labels).reshape(-1) > 0
    if ranked.size != positive.size:
        raise InputError(f"metrics: {ranked.size} scores and {positive.size} labels: allowed are equal counts")
    positives = int(positive.sum())
    negatives = positive.size - positives
    if positives == 0 or negatives == 0:
        return None
    _, rank, ties = np.unique(ranked, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(ties) - (ties - 1) / 2
    rank_sum = float(mid_ranks[rank][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
