"""All chips of a space at once, beside the same chips one by one."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.arch import Arch, BlockChoice, ChipChoice
from nasrec.data.features import Features, Table
from nasrec.hardware import NUMERIC, CostedChips, costed_chips, measure_workload, workload_of

FEATURES = Features(13, tuple(Table(f"C{i}", 100 + i) for i in range(26)))
BLOCK = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=True, fm=True)
VALUES = {
    "rows": (64, 128),
    "columns": (64, 128),
    "cell_bits": (1, 2),
    "dac_bits": (1, 2),
    "adc_bits": (5, 6, 8),
    "columns_per_adc": (16, 128, 256),
    "copies": (1, 4),
}


@pytest.fixture(scope="module")
def chips() -> CostedChips:
    return costed_chips(workload_of(Arch((BLOCK,)), FEATURES), VALUES)


def test_every_chip_costs_what_it_costs_alone(chips: CostedChips) -> None:
    workload = workload_of(Arch((BLOCK,)), FEATURES)
    found = {chips.choice(place): costs for place, costs in enumerate(chips.costs)}
    assert len(found) == len(chips) == 2 * 2 * 2 * 3 * 2 * (2 + 2)
    for choice, costs in found.items():
        alone = measure_workload(workload, choice)
        assert costs == pytest.approx([alone.energy_j, alone.latency_s, alone.area_m2], rel=1e-12, abs=0.0)


def test_of_values_that_mean_one_adc_per_crossbar_the_smallest_is_tried(chips: CostedChips) -> None:
    for columns in (64, 128):
        shared = chips.genes["columns_per_adc"][chips.genes["columns"] == columns]
        assert set(shared.tolist()) == {16, 128}


def test_lossless_chips_are_those_whose_adc_holds_every_sum(chips: CostedChips) -> None:
    # ISAAC (ISCA'16, section 5): log2 rows + cell bits + DAC bits, one less where either has one bit only, and one
    # less by flip encoding: 128 rows of 2-bit cells with 1-bit inputs need 8.
    for place, lossless in enumerate(chips.lossless):
        chip = chips.choice(place)
        largest = chip.rows * (2**chip.cell_bits - 1) * (2**chip.dac_bits - 1)
        assert lossless == (2 ** (chip.adc_bits + 1) > largest)
    by_hand = (chips.genes["rows"] == 128) & (chips.genes["cell_bits"] == 2) & (chips.genes["dac_bits"] == 1)
    assert set(chips.genes["adc_bits"][by_hand & chips.lossless].tolist()) == {8}


def test_chips_with_the_same_numbers_stand_together_once(chips: CostedChips) -> None:
    groups = list(chips.alike())
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(chips)))
    keys = [{tuple(int(chips.genes[name][place]) for name in NUMERIC) for place in group} for group in groups]
    assert all(len(key) == 1 for key in keys) and len(set.union(*keys)) == len(groups) == 2 * 2 * 2 * 3
    assert [key.pop() for key in keys] == sorted(chips_of_groups(chips, groups))


def chips_of_groups(chips: CostedChips, groups: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [tuple(int(chips.genes[name][group[-1]]) for name in NUMERIC) for group in groups]


def test_the_cheapest_lossless_chip(chips: CostedChips) -> None:
    place = chips.cheapest_lossless()
    assert place is not None and chips.lossless[place]
    assert not [one for one in range(len(chips)) if chips.lossless[one] and chips.costs[one, 0] < chips.costs[place, 0]]
    found = chips.to_json(place)
    workload = workload_of(Arch((BLOCK,)), FEATURES)
    alone = measure_workload(workload, ChipChoice(**found["chip"]))
    assert found["energy_j"] == pytest.approx(alone.energy_j, rel=1e-12, abs=0.0)
    lossy = costed_chips(workload, {**VALUES, "adc_bits": (3,)})
    assert lossy.cheapest_lossless() is None
