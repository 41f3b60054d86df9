"""The chip of a network: against every chip of the space, one by one."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from itertools import product

import numpy as np
import pytest

from nasrec.arch import Candidate, ChipChoice
from nasrec.candidate_space import ChipSpace
from nasrec.chip_choice import judged_chips, on_best_chip
from nasrec.data.features import Features, Table
from nasrec.hardware import NUMERIC, CostedChips, cost_of, is_lossless, measure
from nasrec.search.objectives import Budget, front
from nasrec.space import FULL

FEATURES = Features(13, tuple(Table(f"C{i}", 1000) for i in range(26)))
CHIPS = ChipSpace(
    rows=(64, 128), columns=(64, 128), cell_bits=(2,), dac_bits=(1,), adc_bits=(6, 8), columns_per_adc=(16, 64),
    copies=(1, 8),
)  # fmt: skip
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


def every_chip(space: ChipSpace) -> list[ChipChoice]:
    names = [field.name for field in fields(ChipSpace)]
    return [ChipChoice(**dict(zip(names, genes, strict=True))) for genes in product(*asdict(space).values())]


@pytest.mark.parametrize("adc_bits", [6, 8], ids=["rounding", "lossless"])
@pytest.mark.parametrize("limit_m2", [None, 2.5e-6, 1e-12])
@pytest.mark.parametrize("targets", [None, (1e-9, 1e-3, 1e-3), (1e-3, 1e-8, 1e-3)])
def test_the_best_chip_with_the_same_numbers(
    adc_bits: int, limit_m2: float | None, targets: tuple[float, float, float] | None
) -> None:
    """Of the two shapes with ADCs of 8 bits both are lossless (128 rows of 2 bits: ISAAC); with 6 bits neither."""
    small = replace(FULL, blocks=1, dense_widths=(16, 32), weight_bits=(4, 8), input_bits=(4, 8))
    rng, budget = np.random.default_rng(adc_bits), Budget(area_m2=limit_m2)
    for _ in range(2):
        candidate = Candidate(small.sample(rng), replace(CHIPS.sample(rng), cell_bits=2, dac_bits=1, adc_bits=adc_bits))
        found = on_best_chip(candidate, CHIPS, FEATURES, budget, targets)
        assert found.arch == candidate.arch and found.chip.adc_bits == adc_bits
        assert on_best_chip(found, CHIPS, FEATURES, budget, targets) == found

        def badness(chip: ChipChoice, candidate: Candidate = candidate) -> tuple[bool, float, float]:
            cost = cost_of(measure(replace(candidate, chip=chip), FEATURES))
            costs = (cost.energy_j, cost.latency_s, cost.area_m2)
            over = sum(max(0.0, np.log2(c / t)) for c, t in zip(costs, targets or costs, strict=True))
            return limit_m2 is not None and cost.area_m2 > limit_m2, round(over, 9), np.prod(costs)

        same = [chip for chip in every_chip(CHIPS) if chip.adc_bits == adc_bits]
        if adc_bits == 6:
            same = [chip for chip in same if chip.rows == candidate.chip.rows]
        assert found.chip in same
        beyond, over, costs = min(badness(chip) for chip in same)
        mine = badness(found.chip)
        assert mine[:2] == (beyond, over) and mine[2] == pytest.approx(costs, rel=1e-8, abs=0.0)


def test_lossless_chips_are_told_from_those_that_round() -> None:
    """ISAAC's choice needs its 8 bits; a bit more of a cell, a DAC or twice the rows one more."""
    chip = ChipChoice()
    assert is_lossless(chip) and not is_lossless(replace(chip, adc_bits=7))
    assert is_lossless(replace(chip, rows=64, adc_bits=7))
    for harder in (replace(chip, rows=256), replace(chip, dac_bits=2), replace(chip, cell_bits=4)):
        assert not is_lossless(harder)
