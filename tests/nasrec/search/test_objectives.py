"""Fronts, knees and hypervolumes against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.arch import Candidate, Precision
from nasrec.hardware import HardwareCost
from nasrec.score import Score
from nasrec.search.objectives import Budget, front, hypervolume, hypervolume_curve, knee, targeted_score
from nasrec.winners import pick_finalists, pick_winners

REFERENCE = (0.5, 1e-3, 1e-3, 1e-3)


def test_hypervolume_is_a_product_of_sides() -> None:
    # 0.1 nats by 1, 2 and 3 decades.
    assert hypervolume([(0.4, 1e-4, 1e-5, 1e-6)], REFERENCE) == pytest.approx(0.1 * 1 * 2 * 3)


def test_hypervolume_of_two_points_counts_the_overlap_once() -> None:
    points = [(0.4, 1e-4, 1e-4, 1e-4), (0.3, 1e-4, 1e-4, 1e-3)]
    assert hypervolume(points[1:], REFERENCE) == 0.0  # on the reference in one objective
    assert hypervolume(points, REFERENCE) == pytest.approx(0.1)
    better = [(0.4, 1e-4, 1e-4, 1e-5), (0.3, 1e-4, 1e-4, 1e-4)]
    assert hypervolume(better, REFERENCE) == pytest.approx(0.1 * 2 + 0.2 * 1 - 0.1 * 1)


def test_a_point_beyond_the_reference_adds_nothing() -> None:
    assert hypervolume([(0.6, 1e-6, 1e-6, 1e-6)], REFERENCE) == 0.0


def test_curve_never_falls() -> None:
    points = [(0.45, 1e-4, 1e-4, 1e-4), (0.49, 1e-3, 1e-3, 1e-3), (0.3, 1e-5, 1e-5, 1e-5)]
    curve = hypervolume_curve(points, REFERENCE)
    assert curve[0] == curve[1] < curve[2]


def test_front_keeps_the_first_of_equal_points() -> None:
    assert front([(1, 2, 3, 4), (1, 2, 3, 4), (2, 1, 3, 4), (2, 2, 3, 4)]) == [0, 2]


def test_knee_is_the_point_nearest_the_ideal_corner() -> None:
    points = [(0.30, 1e-2, 1e-2, 1e-2), (0.31, 1e-5, 1e-5, 1e-5), (0.50, 1e-6, 1e-6, 1e-6)]
    assert knee(points) == 1


def test_targets_charge_doublings_only_above_the_target() -> None:
    assert targeted_score((0.4, 1.0, 1.0, 1.0), (1.0, 2.0, 4.0)) == 0.4
    assert targeted_score((0.4, 4.0, 1.0, 1.0), (1.0, 2.0, 4.0), weight=0.01) == pytest.approx(0.42)


def test_budget_is_exceeded_just_above_its_limit() -> None:
    score = Score(0.4, None, HardwareCost(2e-6, 3e-6, 4e-6, 1e-6, 10))
    assert all(excess <= 0 for excess in Budget(energy_j=2e-6).excess(score))
    assert Budget(energy_j=1.999e-6).excess(score)[0] > 0
    assert all(excess <= 0 for excess in Budget().excess(score))
    costs = np.array([(2e-6, 3e-6, 4e-6), (2e-6, 3e-6, 4.1e-6), (1e-9, 3.1e-6, 1e-9)])
    assert Budget(energy_j=2e-6, area_m2=4e-6).allows(costs).tolist() == [True, False, True]
    assert Budget(latency_s=3e-6).allows(costs).tolist() == [True, True, False]
    assert Budget().allows(costs).all()


def trial(number: int, values: tuple[float, ...], candidate: dict, feasible: bool = True) -> dict:
    return {"number": number, "values": list(values), "feasible": feasible, "candidate": candidate}


def test_winners_are_three_different_useful_candidates(candidates) -> None:
    rows = [
        trial(0, (0.30, 9e-4, 9e-4, 9e-4), candidates[0]),
        trial(1, (0.31, 1e-5, 1e-5, 1e-5), candidates[1]),
        trial(2, (0.45, 1e-6, 1e-6, 1e-6), candidates[2]),
        trial(3, (0.90, 1e-9, 1e-9, 1e-9), candidates[3]),  # cheapest of all, and useless
        trial(4, (0.10, 1e-9, 1e-9, 1e-9), candidates[4], feasible=False),
    ]
    assert dict(pick_winners(rows, REFERENCE)) == {"log_loss": 0, "knee": 1, "energy": 2}


def test_the_winner_by_energy_is_the_cheapest_that_does_not_do_worse_than_asked(candidates) -> None:
    rows = [trial(i, (0.30 + i / 20, 1e-4 / 2**i, 1e-4, 1e-4), candidates[i]) for i in range(4)]
    assert dict(pick_winners(rows, REFERENCE, [0.41, 0.48]))["energy"] == 2
    assert dict(pick_winners(rows, REFERENCE, [0.48, 0.40]))["energy"] == 2  # as good is not worse
    assert dict(pick_winners(rows, REFERENCE, [0.29, 0.41]))["energy"] == 2  # nobody reaches the first
    assert dict(pick_winners(rows, REFERENCE, [0.29]))["energy"] == 3  # the cheapest
    assert dict(pick_winners(rows, REFERENCE, [0.32, 0.41]))["energy"] == 2  # only the least log loss reaches the first


def test_of_equal_log_losses_the_least_product_of_costs_wins(candidates) -> None:
    costs = [(8e-5, 1e-5, 1e-5), (2e-5, 2e-5, 1e-5), (1e-5, 9e-5, 1e-5)]
    rows = [trial(i, (0.30, *one), candidates[i]) for i, one in enumerate(costs)]
    assert dict(pick_winners(rows, REFERENCE))["log_loss"] == 1


def test_winners_exist_even_when_one_candidate_rules(candidates) -> None:
    rows = [trial(i, (0.3 + i / 100, 1e-6, 1e-6, 1e-6), candidates[i]) for i in range(4)]
    assert pick_winners(rows, REFERENCE) == [("knee", 2), ("log_loss", 0), ("energy", 1)]


def test_winners_fall_back_to_feasible_trials_where_fewer_than_three_are_useful(candidates) -> None:
    rows = [trial(i, (0.49 + i / 100, 1e-6 / 2**i, 1e-6, 1e-6), candidates[i]) for i in range(5)]
    assert {number for _, number in pick_winners(rows, REFERENCE)} == {0, 1, 2}  # never the cheapest, worst ones


def test_one_candidate_wins_only_once(candidates) -> None:
    rows = [trial(i, (0.30, 1e-6, 1e-6, 1e-6), candidates[0]) for i in range(3)]
    rows += [trial(3, (0.31, 1e-5, 1e-5, 1e-5), candidates[1])]
    assert sorted(number for _, number in pick_winners(rows, REFERENCE)) == [0, 3]


def test_finalists_have_the_least_log_losses_and_spread_over_the_front_by_turns(candidates) -> None:
    same_network = {**candidates[0], "chip": candidates[1]["chip"]}
    arch = Candidate.from_json(candidates[0]).arch
    other = arch.with_precision(next(p for p in (Precision(8, 4), Precision(4, 8)) if arch != arch.with_precision(p)))
    other_bits = {**candidates[0], "arch": other.to_json()}
    rows = [
        trial(0, (0.30, 9e-4, 9e-4, 9e-4), candidates[0]),
        trial(1, (0.305, 9.5e-4, 9.5e-4, 9.5e-4), same_network),
        trial(2, (0.31, 1e-5, 1e-5, 1e-5), candidates[1]),
        trial(3, (0.45, 1e-6, 1e-6, 1e-6), candidates[2]),  # adds less to the volume than the one before
        trial(4, (0.46, 5e-4, 5e-4, 5e-4), candidates[3]),
        trial(5, (0.90, 1e-9, 1e-9, 1e-9), candidates[4]),  # useless
        trial(6, (0.305, 9.5e-4, 9.5e-4, 9.5e-4), other_bits),
    ]
    found = [candidate.to_json() for candidate in pick_finalists(rows, REFERENCE, 4)]
    assert found == [candidates[0], candidates[1], candidates[2], candidates[3]]
    second, third = (0.301, 8.9e-4, 8.9e-4, 8.9e-4), (0.302, 8.8e-4, 8.8e-4, 8.8e-4)
    nearly = [rows[0], trial(7, second, candidates[4]), trial(8, third, candidates[5]), *rows[2:4]]
    found = [candidate.to_json() for candidate in pick_finalists(nearly, REFERENCE, 5)]
    assert found == [candidates[0], candidates[4], candidates[1], candidates[5], candidates[2]], "by turns"
    found = [candidate.to_json() for candidate in pick_finalists(rows, REFERENCE, 9)]
    assert found[4:] == [other_bits], "the same network comes last with other bits, and not with another chip"
