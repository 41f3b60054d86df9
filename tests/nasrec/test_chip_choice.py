"""The chip of a network: against every chip of the space, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasrec.arch import Candidate, ChipChoice
from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.chip_choice import judged_chips, on_best_chips
from nasrec.data.features import Features, Table
from nasrec.hardware import NUMERIC, CostedChips, cost_of, measure
from nasrec.search.objectives import Budget, front
from nasrec.space import FULL

FEATURES = Features(13, tuple(Table(f"C{i}", 1000) for i in range(26)))
CHIPS = ChipSpace(rows=(64, 128), adc_bits=(6, 8), columns_per_adc=(16, 64), copies=(1, 8))
LIMIT = 0.5


def made_up_chips(seed: int, count: int = 300) -> CostedChips:
    """Random genes and costs; a chip is lossless from 8 bits on."""
    rng = np.random.default_rng(seed)
    genes = {
        "rows": rng.choice([64, 128], count), "columns": np.arange(1, count + 1),
        "cell_bits": rng.choice([1, 2], count), "dac_bits": rng.choice([1, 2], count),
        "adc_bits": rng.choice([4, 5, 6, 7, 8, 9], count),
        "columns_per_adc": np.ones(count, np.int64), "copies": np.ones(count, np.int64),
    }  # fmt: skip
    costs = np.round(np.exp(rng.normal(size=(count, 3))) + genes["adc_bits"][:, None] / 9, 1)  # ties as well
    return CostedChips({name: each.astype(np.int64) for name, each in genes.items()}, costs, genes["adc_bits"] >= 8)


def rounding_loss(chip: ChipChoice) -> float:
    """Rises with every bit that lacks, steeper with more rows: what `judged_chips` takes for granted."""
    return 0.4 + 0.02 * max(0, 8 - chip.adc_bits) ** (1 + chip.rows // 128) * (chip.cell_bits + chip.dac_bits - 1)


@pytest.mark.parametrize("seed", range(20))
def test_judged_chips_are_the_front_of_all_useful_ones(seed: int) -> None:
    chips = made_up_chips(seed)
    asked: list[tuple[int, ...]] = []

    def loss(chip: ChipChoice) -> float:
        asked.append(tuple(getattr(chip, name) for name in NUMERIC))
        return rounding_loss(chip)

    every = [(rounding_loss(chips.choice(place)), *chips.costs[place]) for place in range(len(chips))]
    useful = [point for point in every if point[0] < LIMIT]
    found = judged_chips(chips, loss, LIMIT)
    assert sorted((loss, *chips.costs[place]) for place, loss in found) == sorted(useful[one] for one in front(useful))
    assert all(loss == every[place][0] for place, loss in found)
    assert sum(key[-1] >= 8 for key in asked) == 1, "all lossless chips compute the same numbers"
    assert len(asked) == len(set(asked)) < 8 * 4 + 1
    fewest = {key[:-1]: key[-1] for key in asked if key[-1] < 8}  # the last that was asked of each shape
    for shape, bits in fewest.items():
        above = [key[-1] for key in asked if key[:-1] == shape and bits < key[-1] < 8]
        assert all(rounding_loss(ChipChoice(shape[0], 1, *shape[1:], each)) < LIMIT for each in above)


def test_a_space_without_lossless_chips_is_judged_as_well() -> None:
    chips = made_up_chips(0)
    few = chips.genes["adc_bits"] < 8
    chips = CostedChips({name: each[few] for name, each in chips.genes.items()}, chips.costs[few], chips.lossless[few])
    useful = [(rounding_loss(chips.choice(place)), *costs) for place, costs in enumerate(chips.costs)]
    useful = [point for point in useful if point[0] < LIMIT]
    found = judged_chips(chips, rounding_loss, LIMIT)
    assert sorted((loss, *chips.costs[place]) for place, loss in found) == sorted(useful[one] for one in front(useful))


def test_where_no_chip_is_useful_the_least_log_loss_is_kept() -> None:
    chips = made_up_chips(0)
    few = chips.genes["adc_bits"] < 6
    chips = CostedChips({name: each[few] for name, each in chips.genes.items()}, chips.costs[few], chips.lossless[few])
    losses = [rounding_loss(chips.choice(place)) for place in range(len(chips))]
    found = judged_chips(chips, rounding_loss, min(losses))
    assert found and {loss for _, loss in found} == {min(losses)}


@pytest.mark.parametrize("limit_m2", [None, 3e-6, 1e-12])
def test_trials_move_to_the_best_chip_with_the_same_numbers(limit_m2: float | None) -> None:
    small = replace(FULL, blocks=1, dense_widths=(16, 32), weight_bits=(4, 8), input_bits=(4, 8))
    space, rng = CandidateSpace(small, CHIPS), np.random.default_rng(0)
    budget = Budget(area_m2=limit_m2)
    trials = []
    for number in range(6):
        candidate = space.sample(rng)
        cost = cost_of(measure(candidate, FEATURES))
        values = [0.4 + number / 100, cost.energy_j, cost.latency_s, cost.area_m2]
        feasible = limit_m2 is None or cost.area_m2 <= limit_m2
        trials.append({"number": number, "values": values, "feasible": feasible, "candidate": candidate.to_json()})
    for before, after in zip(trials, on_best_chips(trials, CHIPS, FEATURES, budget), strict=True):
        old, new = Candidate.from_json(before["candidate"]), Candidate.from_json(after["candidate"])
        assert after["number"] == before["number"] and after["values"][0] == before["values"][0]
        assert old.arch == new.arch
        assert all(getattr(old.chip, name) == getattr(new.chip, name) for name in NUMERIC)
        own = cost_of(measure(new, FEATURES))
        assert after["values"][1:] == pytest.approx([own.energy_j, own.latency_s, own.area_m2], rel=1e-12, abs=0.0)
        products = {}
        for columns in CHIPS.columns:
            for shared in CHIPS.columns_per_adc:
                for copies in CHIPS.copies:
                    chip = replace(old.chip, columns=columns, columns_per_adc=shared, copies=copies)
                    cost = cost_of(measure(replace(old, chip=chip), FEATURES))
                    if limit_m2 in (None, 1e-12) or cost.area_m2 <= limit_m2:
                        products[chip] = cost.energy_j * cost.latency_s * cost.area_m2
        if products:
            assert np.prod(after["values"][1:]) == pytest.approx(min(products.values()), rel=1e-9, abs=0.0)
        assert after["feasible"] == (limit_m2 is None or (limit_m2 == 3e-6 and bool(products)))
