"""What a rank study found, from the subnets that are finished: the content of `rank.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from nasrec.nas.rank_correlation import correlate

RANK_FORMAT = "nasrec.rank"
TIMES = ("before", "after")  # one-shot scores before and after post-training fine-tuning
SPLITS = ("validation", "test")

Result = Mapping[str, Any]

_Seed = TypeVar("_Seed", int, str)


def subnet_rows(
    truths: Mapping[tuple[int, int, float], Result], scores: Mapping[str, Mapping[int, Mapping[int, Result]]]
) -> list[dict[str, Any]]:
    """A row for every subnet with a truth: its number, its log losses from scratch, its one-shot scores.

    `truths` maps (subnet, seed, learning rate) to what training from scratch reached, `scores` strategy, a supernet's
    seed and subnet to one-shot scores. What counts is their mean over the supernets, once all have scored a subnet;
    `by_supernet` has each. With each seed the learning rate best on validation counts: `by_seed` has its validation log
    loss, `learning_rates` the rate itself; `validation` and `test` are means over the seeds, each log loss less what
    its seed adds to every subnet's, as not all subnets are trained with every seed. A training that diverged does not
    count, and a subnet without any other has no row.
    """
    best: dict[int, dict[int, tuple[float, float, float]]] = {}
    for (number, seed, rate), truth in sorted(truths.items()):
        if truth["log_loss"] is not None:
            found = (truth["log_loss"], rate, truth["test"]["log_loss"])
            seeds = best.setdefault(number, {})
            seeds[seed] = min(seeds.get(seed, found), found)
    validation = _mean_over_seeds([{seed: loss for seed, (loss, _, _) in seeds.items()} for seeds in best.values()])
    test = _mean_over_seeds([{seed: loss for seed, (_, _, loss) in seeds.items()} for seeds in best.values()])
    return [
        {
            "subnet": number,
            "validation": validation[place],
            "test": test[place],
            "by_seed": {str(seed): loss for seed, (loss, _, _) in seeds.items()},
            "learning_rates": {str(seed): rate for seed, (_, rate, _) in seeds.items()},
            "one_shot": {
                strategy: _over_supernets({seed: of_seed[number] for seed, of_seed in found.items()})
                for strategy, found in scores.items()
                if found and all(number in of_seed for of_seed in found.values())
            },
        }
        for place, (number, seeds) in enumerate(best.items())
    ]


def _over_supernets(scores: Mapping[int, Result]) -> dict[str, Any]:
    """The mean of a subnet's `scores`, by the supernet's seed, and each; a mean with a None is None."""
    means = {}
    for name in ("before", "after", "auc"):
        values = [score[name] for score in scores.values()]
        means[name] = None if None in values else math.fsum(values) / len(values)
    return {**means, "by_supernet": {str(seed): dict(score) for seed, score in scores.items()}}


def _mean_over_seeds(subnets: Sequence[Mapping[_Seed, float]]) -> list[float]:
    """The mean log loss of each of `subnets`, each loss less the effect of its seed."""
    effects = seed_effects(subnets)
    return [float(np.mean([loss - effects[seed] for seed, loss in losses.items()])) for losses in subnets]


def seed_effects(subnets: Sequence[Mapping[_Seed, float]]) -> dict[_Seed, float]:
    """What each seed adds to a log loss: its mean less that of all seeds, over those of `subnets` that have them all.

    0 for every seed where no subnet has them all. The effects of all seeds add up to 0.
    """
    seeds = sorted({seed for losses in subnets for seed in losses})
    whole = [losses for losses in subnets if len(losses) == len(seeds)]
    mean = float(np.mean([list(losses.values()) for losses in whole])) if whole else 0.0
    return {seed: float(np.mean([losses[seed] for losses in whole])) - mean if whole else 0.0 for seed in seeds}


def correlations(
    rows: Sequence[Result], strategy: str, supernet: int | None = None, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Kendall and Pearson of `strategy`: before and after fine-tuning, against validation and against test.

    Of the mean score of all its supernets, or of the one with the seed `supernet`. A subnet whose one-shot score is
    None (not finite) is left out; `count` in each result is the number of pairs.
    """
    found: dict[str, Any] = {}
    for time in TIMES:
        for split in SPLITS:
            scored = [(row["one_shot"][strategy], row[split]) for row in rows if strategy in row["one_shot"]]
            shots = [(shot if supernet is None else shot["by_supernet"][str(supernet)], loss) for shot, loss in scored]
            pairs = [(shot[time], loss) for shot, loss in shots if shot[time] is not None]
            one_shot, truth = np.asarray(pairs, np.float64).reshape(-1, 2).T
            found.setdefault(time, {})[split] = correlate(one_shot, truth, resamples=resamples, seed=seed).to_json()
    return found


def noise(rows: Sequence[Result], *, resamples: int, seed: int) -> dict[str, Any]:
    """How much of the truth is chance, from subnets trained with several seeds.

    `seed_effects` is what each seed adds to every subnet's log loss, which changes no order. `over_seeds` is the
    standard deviation over the seeds of one subnet beyond that (pooled), `over_subnets` that of the subnets' means;
    None where there are too few. `between_seeds` are the correlations of the first two seeds' log losses: no
    score can be expected to agree with a truth of one seed better than its square root says (attenuation, Spearman
    1904, for Pearson's).
    """
    effects = seed_effects([row["by_seed"] for row in rows])
    groups = [np.asarray([loss - effects[seed] for seed, loss in row["by_seed"].items()]) for row in rows]
    freedom = sum(len(group) - 1 for group in groups) - max(0, len(effects) - 1)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    means = np.asarray([group.mean() for group in groups])
    seeds = sorted(effects, key=int)
    between = None
    if len(seeds) > 1:
        first, second = seeds[:2]
        both = [row["by_seed"] for row in rows if {first, second} <= set(row["by_seed"])]
        pairs = np.asarray([(by[first], by[second]) for by in both], np.float64).reshape(-1, 2)
        between = correlate(*pairs.T, resamples=resamples, seed=seed).to_json()
    return {
        "seed_effects": effects,
        "over_seeds": math.sqrt(squares / freedom) if freedom > 0 else None,
        "over_subnets": float(means.std(ddof=1)) if len(means) > 1 else None,
        "between_seeds": between,
    }
