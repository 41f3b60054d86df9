"""Copies under a budget: the least number of rounds, found exactly, for one design and for many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Gather, InputError, MatVec, Workload, evaluate, place, presets
from pimsim.copies import levelled_rounds, round_counts
from pimsim.mapping import excess

SIZED = presets.isaac().with_tiles(None)
CONVOLUTIONS = Workload("w", (
    Gather("t", 1000, 16),
    MatVec("a", 27, 64, vectors=49),
    MatVec("b", 576, 64, vectors=16, after=("a",)),
    MatVec("c", 576, 128, vectors=4, after=("b",)),
    MatVec("d", 128, 10, after=("c",)),
))


@settings(max_examples=100, deadline=None)
@given(stages=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 20)), min_size=1, max_size=6),
       budgets=st.lists(st.integers(1, 4000), min_size=1, max_size=5))
def test_the_least_rounds_of_all(stages: list[tuple[int, int]], budgets: list[int]) -> None:
    most = max(v for v, _ in stages)

    def least(budget: int) -> int:
        fits = (r for r in range(1, most + 1) if sum(x * -(-v // r) for v, x in stages) <= budget)
        return next(fits, most)

    expected = [least(budget) for budget in budgets]
    assert [levelled_rounds(stages, budget) for budget in budgets] == expected
    assert levelled_rounds(stages, np.array(budgets)).tolist() == expected
    doubled = [(v, np.array([[x], [2 * x]])) for v, x in stages]
    grid = levelled_rounds(doubled, np.array([budgets]))
    assert isinstance(grid, np.ndarray)
    assert grid[0].tolist() == expected
    assert grid[1].tolist() == [levelled_rounds([(v, 2 * x) for v, x in stages], b) for b in budgets]


@pytest.mark.parametrize("vectors", [(1,), (2, 3), (16, 49), (12544, 3136, 784)])
def test_every_number_of_rounds_that_changes_something_is_looked_at(vectors: tuple[int, ...]) -> None:
    changes = {r for v in vectors for r in range(1, v + 1) if r == 1 or -(-v // r) < -(-v // (r - 1))}
    assert changes <= set(round_counts(vectors))
    assert len(round_counts(vectors)) < 5 * sum(v**0.5 + 1 for v in vectors)


def test_a_budget_on_both_sides_of_the_next_copy() -> None:
    stored = {name: p.crossbars for name, p in place(CONVOLUTIONS, SIZED).placements.items() if p.unit == "crossbars"}
    assert stored == {"a": 2, "b": 10, "c": 20, "d": 1}
    for budget, copies in ((33, (1, 1, 1, 1)), (34, (1, 1, 1, 1)), (35, (2, 1, 1, 1)), (38, (3, 1, 1, 1)),
                           (39, (4, 1, 1, 1)), (48, (4, 1, 1, 1)), (49, (4, 2, 1, 1)),
                           (2 * 49 + 160 + 80 + 1, (49, 16, 4, 1))):
        mapping = place(CONVOLUTIONS, SIZED, copies="budget", budget_crossbars=budget)
        assert tuple(mapping.placements[name].copies for name in "abcd") == copies, budget
        assert mapping.in_tiles <= budget
        assert excess(mapping, SIZED) == 0
    with pytest.raises(InputError, match="one copy of every matrix is 1 crossbars above the budget"):
        evaluate(CONVOLUTIONS, SIZED, copies="budget", budget_crossbars=32)


def test_latency_never_rises_with_the_budget_and_energy_stays() -> None:
    reports = [evaluate(CONVOLUTIONS, SIZED, copies="budget", budget_crossbars=n) for n in range(33, 400, 7)]
    assert len({report.dynamic_j for report in reports}) == 1
    latencies = [report.latency_s for report in reports]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[-1] < latencies[0] / 5
    intervals = [report.interval_s for report in reports]
    assert intervals == sorted(intervals, reverse=True)


def test_an_area_budget_is_kept_and_used() -> None:
    least = evaluate(CONVOLUTIONS, SIZED).area_m2
    for factor in (1.0, 1.5, 2.0, 6.0):
        report = evaluate(CONVOLUTIONS, SIZED, copies="budget", budget_area_m2=factor * least * (1 + 1e-12))
        assert report.area_m2 <= factor * least * (1 + 1e-9)
        tile = (evaluate(CONVOLUTIONS, SIZED, copies=49).area_m2 - least) / (
            evaluate(CONVOLUTIONS, SIZED, copies=49).mapping.tiles - 1)
        room = int((factor * least - (least - tile)) / tile + 1e-9) * 96
        same = evaluate(CONVOLUTIONS, SIZED, copies="budget", budget_crossbars=room)
        assert same.mapping.placements == report.mapping.placements
    with pytest.raises(InputError, match="above the budget"):
        evaluate(CONVOLUTIONS, SIZED, copies="budget", budget_area_m2=least / 2)


def test_a_chip_of_fixed_size_is_its_own_budget() -> None:
    chip = presets.isaac().with_tiles(1)
    mapping = place(CONVOLUTIONS, chip, copies="budget")
    assert 33 < mapping.in_tiles <= 96
    assert excess(mapping, chip) == 0
    table = place(CONVOLUTIONS, chip, copies="budget", dram=True)
    assert table.in_tiles <= 96
    two = place(CONVOLUTIONS, presets.isaac().with_tiles(4), copies="budget", chips=2)
    assert two.placements["a"].copies > mapping.placements["a"].copies


@pytest.mark.parametrize(("settings", "message"), [
    ({"copies": "all"}, "copies is 'all', allowed: a whole number from 1 up, or 'budget'"),
    ({"copies": 2.5}, "copies is 2.5, allowed: a whole number from 1 up, or 'budget'"),
    ({"copies": True}, "copies is True, allowed: a whole number from 1 up, or 'budget'"),
    ({"copies": "budget", "budget_crossbars": 99.5}, "budget_crossbars is 99.5, allowed: whole numbers"),
    ({"copies": "budget"}, "needed: budget_crossbars or budget_area_m2"),
    ({"copies": 2, "budget_crossbars": 100}, "a budget is given with copies 2"),
    ({"copies": "budget", "budget_crossbars": 0}, "budget_crossbars is 0"),
    ({"copies": "budget", "budget_area_m2": 0.0}, "budget_area_m2 is 0"),
    ({"copies": "budget", "budget_area_m2": 1.0, "budget_crossbars": 3}, "both given"),
])
def test_budgets_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        place(CONVOLUTIONS, SIZED, **settings)  # type: ignore[arg-type]


def test_an_area_budget_on_a_fixed_chip_is_refused() -> None:
    with pytest.raises(InputError, match="allowed only on a chip sized to its workload"):
        place(CONVOLUTIONS, presets.isaac(), copies="budget", budget_area_m2=1e-6)
