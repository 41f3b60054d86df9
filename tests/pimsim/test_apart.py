"""Which designs are apart: worked by hand on made-up draws, and on chips whose order is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pimsim import InputError, MatVec, Workload, evaluate, presets
from pimsim.apart import Comparison, compare, design_of
from pimsim.sweep import Space, sweep
from pimsim.uncertainty import evaluate_uncertain, probability_less

SIZED = presets.isaac().with_tiles(None)
WORKLOAD = Workload("w", (MatVec("a", 300, 64, vectors=4), MatVec("b", 64, 32, after=("a",))))
# Four designs, two objectives, four draws. 1 is a trade-off with 0; 2 is 0 again; 3 is worse than 0 in three draws.
BY_HAND = Comparison(("energy_j", "area_m2"), np.zeros((4, 2)), np.array([
    [[1.0, 1.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]],
    [[2.0, 2.0, 2.0, 2.0], [4.0, 4.0, 4.0, 4.0]],
    [[1.0, 1.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]],
    [[2.0, 2.0, 2.0, 0.5], [5.0, 5.0, 5.0, 5.0]]]))


def test_probabilities_by_hand() -> None:
    better = BY_HAND.better()
    assert better[0].tolist() == [[0, 1, 0, .75], [0, 0, 0, 0], [0, 1, 0, .75], [.25, .25, .25, 0]]
    assert better[1, 1].tolist() == [1, 0, 1, 1]
    assert BY_HAND.dominates().tolist() == [[0, 0, 0, .75], [0, 0, 0, .75], [0, 0, 0, .75], [.25, 0, .25, 0]]
    assert BY_HAND.on_front().tolist() == [.75, 1, .75, .25]


def test_apart_by_hand() -> None:
    assert BY_HAND.apart().tolist() == [[False, True, False, False], [True, False, True, False],
                                        [False, True, False, False], [False, False, False, False]]
    assert BY_HAND.groups().tolist() == [0, 1, 0, 0]
    # 3 loses to 0 in three draws of four: enough if that is asked for, and then it stands alone.
    assert BY_HAND.apart(0.75)[0, 3]
    assert BY_HAND.apart(0.76)[0, 3] == np.False_
    assert BY_HAND.groups(0.75).tolist() == [0, 1, 0, 3]
    assert BY_HAND.intervals(1.0)[3].tolist() == [[0.5, 2.0], [5.0, 5.0]]


def test_chips_share_draws_with_their_own_evaluation() -> None:
    designs: list[dict[str, Any]] = [{"rows": 64}, {"rows": 128, "copies": 4}, {"adc_bits": 6, "adc_model": "survey"}]
    found = compare(WORKLOAD, SIZED, designs, samples=200, seed=5, gating="always_on")
    single = []
    for design in designs:
        options = {name: value for name, value in design.items() if name != "copies"}
        single.append(evaluate_uncertain(WORKLOAD, SIZED.with_options(**options), samples=200, seed=5,
                                         gating="always_on", copies=design.get("copies", 1)))
    better = found.better()
    for k, name in enumerate(found.objectives):
        for a in range(3):
            assert found.nominal[a, k] == getattr(single[a].report, name)
            for b in range(a):
                equal = 1 - better[k, a, b] - better[k, b, a]
                assert probability_less(single[a], single[b], name) == pytest.approx(better[k, a, b] + equal / 2)
    assert found.to_json()[0].keys() == {"intervals", "on_front", "like"}


def test_a_worse_chip_is_apart_and_an_equal_one_is_not() -> None:
    # One bit more for each converter: more energy, more area, no faster.
    found = compare(WORKLOAD, SIZED, [{"adc_bits": 8}, {"adc_bits": 9}, {"adc_bits": 8}], samples=100)
    assert found.dominates()[0, 1] == 1.0
    assert found.apart().tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    assert found.on_front().tolist() == [1.0, 0.0, 1.0]
    assert found.groups().tolist() == [0, 1, 0]


def test_rows_of_a_sweep_are_designs() -> None:
    (columns,) = sweep(WORKLOAD, Space(SIZED, {"rows": (64, 128), "adc_bits": (6, 8), "copies": (1, 2)}))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    found = compare(WORKLOAD, SIZED, [design_of(row) for row in rows], samples=10)
    for k, name in enumerate(found.objectives):
        assert found.nominal[:, k].tolist() == columns[name].tolist()


def test_designs_name_presets_and_settings() -> None:
    designs = [{"preset": "puma", "gating": "always_on"}, {"execution": "sequential", "budget_crossbars": 12}]
    found = compare(WORKLOAD, SIZED, designs, samples=10)
    puma = evaluate(WORKLOAD, presets.puma().with_tiles(None), gating="always_on")
    budget = evaluate(WORKLOAD, SIZED, execution="sequential", copies="budget", budget_crossbars=12)
    for k, name in enumerate(found.objectives):
        assert found.nominal[:, k].tolist() == [getattr(puma, name), getattr(budget, name)]
    assert design_of({"rows": 64, "copies": None, "energy_j": 1.0}) == {"rows": 64}


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(InputError, match="design 1 has 'energy_j', allowed: rows, columns"):
        compare(WORKLOAD, SIZED, [{}, {"energy_j": 1.0}])
    with pytest.raises(InputError, match=r"objectives has 'utilization', allowed: energy_j, .*area_m2"):
        compare(WORKLOAD, SIZED, [{}], ["utilization"], samples=2)
    with pytest.raises(InputError, match="needed: one or more"):
        compare(WORKLOAD, SIZED, [])
