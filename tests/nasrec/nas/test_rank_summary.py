"""`rank.json` from hand-made truths and scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from nasrec.nas.rank_picture import interval, save_rank_picture
from nasrec.nas.rank_summary import correlations, noise, subnet_rows


def truth(loss: float | None) -> dict[str, Any]:
    return {"log_loss": loss, "test": None if loss is None else {"log_loss": loss + 1}}


def score(before: float | None, after: float) -> dict[str, Any]:
    return {"before": before, "after": after, "auc": 0.7}


TRUTHS = {
    (0, 0, 0.1): truth(0.3),
    (0, 0, 0.2): truth(0.35),
    (0, 1, 0.1): truth(None),
    (0, 1, 0.2): truth(0.5),
    (1, 0, 0.1): truth(0.6),
    (2, 0, 0.1): truth(None),
    (3, 0, 0.1): truth(0.8),
    (3, 0, 0.2): truth(0.7),
    (3, 1, 0.1): truth(None),
}
SCORES = {
    "single-operator": {1: {0: score(0.9, 0.3), 1: score(0.8, 0.4), 2: score(0.1, 0.1), 3: score(None, 0.5)}},
    "any-path": {1: {3: score(0.5, 0.5)}},
}


def test_rows() -> None:
    rows = subnet_rows(TRUTHS, SCORES)
    assert [row["subnet"] for row in rows] == [0, 1, 3], "no training of subnet 2 came to anything"
    assert rows[0]["validation"] == pytest.approx(0.4) and rows[0]["test"] == pytest.approx(1.4)
    assert rows[0]["by_seed"] == {"0": 0.3, "1": 0.5} and rows[0]["learning_rates"] == {"0": 0.1, "1": 0.2}
    assert rows[2]["by_seed"] == {"0": 0.7} and rows[2]["learning_rates"] == {"0": 0.2}
    # Subnet 0 alone has both seeds: with seed 0 it lost 0.1 less than with both.
    assert rows[1]["validation"] == pytest.approx(0.7) and rows[2]["test"] == pytest.approx(1.8)
    assert set(rows[0]["one_shot"]) == {"single-operator"} and set(rows[2]["one_shot"]) == set(SCORES)


def test_correlations() -> None:
    found = correlations(subnet_rows(TRUTHS, SCORES), "single-operator", resamples=100, seed=0)
    assert found["after"]["validation"]["count"] == 3
    assert found["after"]["validation"]["kendall"]["value"] == 1
    assert found["after"]["test"]["kendall"]["value"] == 1
    assert found["before"]["validation"]["count"] == 2, "a score that is no number is left out"
    assert found["before"]["validation"]["kendall"]["value"] == -1
    alone = correlations(subnet_rows(TRUTHS, SCORES), "any-path", resamples=100, seed=0)
    assert alone["after"]["validation"] == {
        "count": 1,
        "kendall": {"value": None, "low": None, "high": None},
        "pearson": {"value": None, "low": None, "high": None},
    }


def test_the_mean_over_supernets_counts_where_all_have_scored() -> None:
    second = {0: score(0.3, 0.9), 1: score(None, 0.2), 3: score(0.4, 0.1)}
    first = {0: score(0.5, 0.1), 1: score(0.8, 0.4)}
    rows = subnet_rows(TRUTHS, {"single-path": {5: first, 6: second}})
    shots = [row["one_shot"].get("single-path") for row in rows]
    assert shots[0] == {
        "before": pytest.approx(0.4), "after": pytest.approx(0.5), "auc": pytest.approx(0.7),
        "by_supernet": {"5": first[0], "6": second[0]},
    }  # fmt: skip
    assert shots[1]["before"] is None and shots[1]["after"] == pytest.approx(0.3)
    assert shots[2] is None, "supernet 5 has not scored subnet 3"
    # Subnet 0 is the better one: by the mean of .5 and .3 it is not, nor by supernet 6; by supernet 5 it is.
    taus = [
        correlations(rows, "single-path", seed, resamples=10, seed=0)["after"]["validation"]["kendall"]["value"]
        for seed in (None, 5, 6)
    ]
    assert taus == [-1, 1, -1]


def test_a_seed_that_is_bad_for_all_changes_no_order() -> None:
    """Quality plus seed: what is left of a truth is the quality, whichever subnets were trained with the bad seed."""
    quality, seeds = [0.31, 0.33, 0.32, 0.30], [(0, 1), (0, 1), (0,), (1,)]
    truths = {
        (number, seed, 0.1): truth(quality[number] + 0.05 * seed)
        for number, chosen in enumerate(seeds)
        for seed in chosen
    }
    rows = subnet_rows(truths, {})
    assert [row["validation"] for row in rows] == pytest.approx([loss + 0.025 for loss in quality])
    found = noise(rows, resamples=100, seed=0)
    assert found["seed_effects"] == pytest.approx({"0": -0.025, "1": 0.025})
    assert found["over_seeds"] == pytest.approx(0, abs=1e-12)


def test_noise() -> None:
    losses = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (1, 1): 5.0}
    rows = subnet_rows({(number, seed, 0.1): truth(loss) for (number, seed), loss in losses.items()}, {})
    found = noise(rows, resamples=100, seed=0)
    assert found["seed_effects"] == {"0": -0.5, "1": 0.5}
    assert found["over_seeds"] == pytest.approx(1.0)  # beyond that, 4 squares of 0.5, over one degree
    assert found["over_subnets"] == pytest.approx(math.sqrt(4.5))  # of 2 and 5
    assert found["between_seeds"]["count"] == 2 and found["between_seeds"]["kendall"]["value"] == 1
    nothing = noise([], resamples=100, seed=0)
    assert nothing == {"seed_effects": {}, "over_seeds": None, "over_subnets": None, "between_seeds": None}


@pytest.mark.parametrize("strategies", [["single-operator", "any-path"], []])
def test_picture(tmp_path: Path, strategies: list[str]) -> None:
    rows = subnet_rows(TRUTHS, SCORES)
    found = {name: correlations(rows, name, resamples=10, seed=0) for name in strategies}
    save_rank_picture({"subnets": rows, "strategies": found}, tmp_path / "rank.png")
    assert (tmp_path / "rank.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["rank.png"]


def test_interval() -> None:
    assert interval({"value": 0.514, "low": 0.4, "high": 0.6}) == "0.51 [0.40, 0.60]"
    assert interval({"value": 0.5, "low": None, "high": None}) == "0.50"
    assert interval({"value": None, "low": None, "high": None}) == "–"
