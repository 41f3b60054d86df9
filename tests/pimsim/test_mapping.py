"""Blocks, copies and capacity, on both sides of every boundary."""

from __future__ import annotations

import pytest

from pimsim import Elementwise, Gather, InputError, MatVec, Workload, place, presets
from pimsim.mapping import place_matvec, place_table, require_fit

CROSSBAR = presets.isaac().crossbar  # 128 x 128, 2 bits a cell


@pytest.mark.parametrize(("inputs", "outputs", "blocks"), [
    (128, 32, (1, 1)), (129, 32, (2, 1)), (128, 33, (1, 2)), (1, 1, (1, 1)), (1000, 100, (8, 4))])
def test_a_matrix_takes_one_more_block_with_one_row_or_column_too_many(
        inputs: int, outputs: int, blocks: tuple[int, int]) -> None:
    placement = place_matvec(MatVec("m", inputs, outputs, weight_bits=8), CROSSBAR, 1)  # 4 cells a weight
    assert (placement.row_blocks, placement.column_blocks) == blocks
    assert placement.cells == inputs * outputs * 4


def test_copies_are_capped_by_the_vectors() -> None:
    for copies, kept in ((1, 1), (3, 3), (4, 4), (5, 4)):
        placement = place_matvec(MatVec("m", 200, 32, vectors=4), CROSSBAR, copies)
        assert (placement.copies, placement.crossbars) == (kept, 2 * kept)


@pytest.mark.parametrize(("rows", "length", "crossbars"), [
    (256, 16, 1),  # 16 x 8 bits in 64 cells: two table rows in a line
    (257, 16, 2),
    (128, 32, 1), (129, 32, 2),  # a line each
    (128, 33, 2), (129, 33, 4),  # a row over two arrays
])
def test_tables_fill_lines_before_they_take_another_array(rows: int, length: int, crossbars: int) -> None:
    assert place_table(Gather("t", rows, length), CROSSBAR).crossbars == crossbars


def test_utilization_counts_the_cells_in_use() -> None:
    workload = Workload("w", (MatVec("m", 64, 32), Elementwise("e", "relu", 5)))
    mapping = place(workload, presets.isaac())
    assert mapping.utilization == 0.5
    assert mapping.placements["e"].unit == "vector_unit"
    assert place(Workload("w", (Elementwise("e", "relu", 5),)), presets.isaac()).utilization == 0


def _matrix(crossbars: int) -> Workload:
    return Workload("w", (MatVec("m", 128 * crossbars, 32),))


def test_a_workload_that_just_fits_and_one_crossbar_too_many() -> None:
    chip = presets.isaac().with_tiles(2)
    require_fit(place(_matrix(192), chip), chip)
    with pytest.raises(InputError) as caught:
        require_fit(place(_matrix(193), chip), chip)
    assert str(caught.value) == "needs 193 crossbars, the chip has 192: 1 too many; give chips=2"
    require_fit(place(_matrix(193), chip, chips=2), chip)
    with pytest.raises(InputError, match="needs 400 crossbars, 2 chips have 384: 16 too many; give chips=3"):
        require_fit(place(_matrix(400), chip, chips=2), chip)


def test_tables_fill_the_tiles_of_a_fixed_chip_and_a_dram_tier_helps() -> None:
    chip = presets.isaac().with_tiles(1)
    workload = Workload("w", (Gather("big", 100 * 256, 16), Gather("small", 10, 16), MatVec("m", 128, 32)))
    with pytest.raises(InputError, match=r"needs 102 crossbars, the chip has 96: 6 too many; give chips=2, "
                                         r"or a DRAM tier for tables"):
        require_fit(place(workload, chip), chip)
    assert place(workload, chip, dram=True).crossbars == 1
    only = place(workload, chip, dram_tables=["big"])
    require_fit(only, chip)
    assert (only.crossbars, only.placements["big"].unit, only.placements["small"].unit) == (2, "dram", "bank")


def test_a_chip_sized_to_its_workload_has_the_tiles_and_banks_it_needs() -> None:
    chip = presets.isaac().with_tiles(None)
    workload = Workload("w", (Gather("t", 256 * 257, 16), MatVec("m", 128 * 97, 32)))
    mapping = place(workload, chip)
    assert (mapping.in_tiles, mapping.tiles, mapping.in_banks, mapping.banks) == (97, 2, 257, 2)
    require_fit(mapping, chip)


@pytest.mark.parametrize(("settings", "message"), [
    ({"copies": 0}, "copies is 0"), ({"chips": 0}, "chips is 0"), ({"dram_tables": ["x"]}, "dram_tables has 'x'")])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        place(_matrix(1), presets.isaac(), **settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allowed: 1"):
        place(_matrix(1), presets.isaac().with_tiles(None), chips=2)
