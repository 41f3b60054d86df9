"""What a rank study found, from the subnets that are finished: the content of `rank.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasrec.nas.rank_correlation import correlate

RANK_FORMAT = "nasrec.rank"
TIMES = ("before", "after")  # one-shot scores before and after post-training fine-tuning
SPLITS = ("validation", "test")

Result = Mapping[str, Any]


def subnet_rows(
    truths: Mapping[tuple[int, int, float], Result], scores: Mapping[str, Mapping[int, Result]]
) -> list[dict[str, Any]]:
    """A row for every subnet with a truth: its number, its log losses from scratch, its one-shot scores.

    `truths` maps (subnet, seed, learning rate) to what training from scratch reached, `scores` strategy and subnet to
    one-shot scores. With each seed the learning rate best on validation counts: `by_seed` has its validation log loss,
    `learning_rates` the rate itself; `validation` and `test` are means over the seeds. A training that diverged does
    not count, and a subnet without any other has no row.
    """
    best: dict[int, dict[int, tuple[float, float, float]]] = {}
    for (number, seed, rate), truth in sorted(truths.items()):
        if truth["log_loss"] is not None:
            found = (truth["log_loss"], rate, truth["test"]["log_loss"])
            seeds = best.setdefault(number, {})
            seeds[seed] = min(seeds.get(seed, found), found)
    return [
        {
            "subnet": number,
            "validation": float(np.mean([loss for loss, _, _ in seeds.values()])),
            "test": float(np.mean([loss for _, _, loss in seeds.values()])),
            "by_seed": {str(seed): loss for seed, (loss, _, _) in seeds.items()},
            "learning_rates": {str(seed): rate for seed, (_, rate, _) in seeds.items()},
            "one_shot": {strategy: found[number] for strategy, found in scores.items() if number in found},
        }
        for number, seeds in best.items()
    ]


def correlations(rows: Sequence[Result], strategy: str, *, resamples: int, seed: int) -> dict[str, Any]:
    """Kendall and Pearson of `strategy`: before and after fine-tuning, against validation and against test.

    A subnet whose one-shot score is None (not finite) is left out; `count` in each result is the number of pairs.
    """
    found: dict[str, Any] = {}
    for time in TIMES:
        for split in SPLITS:
            pairs = [
                (row["one_shot"][strategy][time], row[split])
                for row in rows
                if strategy in row["one_shot"] and row["one_shot"][strategy][time] is not None
            ]
            one_shot, truth = np.asarray(pairs, np.float64).reshape(-1, 2).T
            found.setdefault(time, {})[split] = correlate(one_shot, truth, resamples=resamples, seed=seed).to_json()
    return found


def noise(rows: Sequence[Result], *, resamples: int, seed: int) -> dict[str, Any]:
    """How much of the truth is chance, from subnets trained with several seeds.

    `over_seeds` is the standard deviation over the seeds of one subnet (pooled), `over_subnets` that of the subnets'
    means; None where there are too few. `between_seeds` are the correlations of the first two seeds' log losses: no
    score can be expected to agree with a truth of one seed better than its square root says (attenuation, Spearman
    1904, for Pearson's).
    """
    groups = [np.asarray(list(row["by_seed"].values())) for row in rows]
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    means = np.asarray([group.mean() for group in groups])
    seeds = sorted({seed for row in rows for seed in row["by_seed"]}, key=int)
    between = None
    if len(seeds) > 1:
        first, second = seeds[:2]
        both = [row["by_seed"] for row in rows if {first, second} <= set(row["by_seed"])]
        pairs = np.asarray([(by[first], by[second]) for by in both], np.float64).reshape(-1, 2)
        between = correlate(*pairs.T, resamples=resamples, seed=seed).to_json()
    return {
        "over_seeds": math.sqrt(squares / freedom) if freedom else None,
        "over_subnets": float(means.std(ddof=1)) if len(means) > 1 else None,
        "between_seeds": between,
    }
