"""Options of a chip: what follows from them, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pimsim import InputError, presets
from pimsim.crossbar import Arithmetic
from pimsim.technology import Technology

ISAAC = presets.isaac()


def test_component_counts_follow_the_options() -> None:
    base = ISAAC.crossbar.parts()
    double = ISAAC.with_options(rows=256).crossbar.parts()
    assert double["dac"].area_m2 == pytest.approx(2 * base["dac"].area_m2)
    assert double["input_register"].area_m2 == pytest.approx(2 * base["input_register"].area_m2)
    assert double["sample_hold"] == base["sample_hold"]
    wide = ISAAC.with_options(columns=256, columns_per_adc=128).crossbar
    assert wide.adcs == 2
    for name in ("adc", "sample_hold", "shift_add", "array", "output_register"):
        assert wide.parts()[name].area_m2 == pytest.approx(2 * base[name].area_m2)
    assert wide.parts()["dac"].area_m2 == base["dac"].area_m2


@pytest.mark.parametrize(("columns_per_adc", "adcs", "cycle_ns"), [(128, 1, 100), (64, 2, 100), (48, 3, 100)])
def test_more_adcs_do_not_read_faster_than_the_array(columns_per_adc: int, adcs: int, cycle_ns: float) -> None:
    crossbar = ISAAC.with_options(columns_per_adc=columns_per_adc).crossbar
    assert (crossbar.adcs, crossbar.cycle_s) == (adcs, pytest.approx(cycle_ns * 1e-9))


def test_columns_that_share_an_adc_set_the_cycle() -> None:
    crossbar = ISAAC.with_options(columns=256, columns_per_adc=256).crossbar
    assert crossbar.cycle_s == pytest.approx(200e-9)


def test_dac_figures_double_with_each_bit() -> None:
    one, two = (ISAAC.with_options(dac_bits=bits).crossbar for bits in (1, 2))
    assert two.parts()["dac"].area_m2 == pytest.approx(2 * one.parts()["dac"].area_m2)
    assert two.dac.energy.at(2) == pytest.approx(2 * one.dac.energy.at(1))


def test_adc_bits_below_lossless_are_allowed_and_cheaper() -> None:
    low = ISAAC.with_options(adc_bits=4)
    assert low.crossbar.parts()["adc"].area_m2 == pytest.approx(361e-12)
    assert low.arithmetic_options() == {
        "rows": 128, "cell_bits": 2, "dac_bits": 1, "adc_bits": 4, "flip": True, "encoding": "offset",
        "crossbar_rows": 128}
    lossless = ISAAC.with_options(adc_bits=None, rows=512, active_rows=16)
    assert (lossless.arithmetic_options()["rows"], lossless.arithmetic_options()["crossbar_rows"]) == (16, 512)
    assert lossless.arithmetic_options()["adc_bits"] == 5


@pytest.mark.parametrize("options", [{}, {"rows": 64, "dac_bits": 2}, {"cell_bits": 4, "rows": 4096, "dac_bits": 8},
                                     {"encoding": "differential", "flip": False, "active_rows": 9}])
def test_the_functional_crossbar_computes_as_the_chip_is_costed(options: dict[str, Any]) -> None:
    arithmetic = Arithmetic(**ISAAC.with_options(adc_bits=None, **options).arithmetic_options())
    assert arithmetic.lossless_adc_bits == arithmetic.adc_bits


@pytest.mark.parametrize(("options", "message"), [
    ({"rows": 1}, "chip.rows is 1, allowed: whole numbers from 2 to 4096"),
    ({"rows": 4097}, "chip.rows is 4097"),
    ({"rows": 64.0}, "chip.rows is 64.0"),
    ({"rows": True}, "chip.rows is True"),
    ({"rows": None}, "chip.rows is None"),
    ({"rows": np.array([64, 0])}, "allowed: whole numbers from 2 to 4096"),
    ({"cell_bits": 5}, "chip.cell_bits is 5, allowed: whole numbers from 1 to 4"),
    ({"columns_per_adc": 129}, "chip.columns_per_adc is 129, allowed: 1 to 128"),
    ({"active_rows": 129}, "chip.active_rows is 129, allowed: 1 to 128"),
    ({"encoding": "twos"}, "chip.encoding is 'twos', allowed: offset, differential"),
    ({"encoding": "differential"}, "chip.flip is True, allowed with encoding 'differential': only False"),
    ({"flip": 1}, "chip.flip is 1, allowed: True, False"),
    ({"adc_model": "table"}, "chip.adc_model is 'table', allowed: isaac, survey"),
    ({"row": 1}, "no chip option 'row', allowed: rows, columns"),
])
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ISAAC.with_options(**options)
    assert message in str(caught.value)


def test_both_sides_of_the_boundaries_are_allowed() -> None:
    for options in ({"rows": 2}, {"rows": 4096}, {"columns_per_adc": 1}, {"active_rows": 128}, {"cell_bits": 4},
                    {"rows": np.int64(64)}, {"encoding": "differential", "flip": False}):
        chip = ISAAC.with_options(**options)
        assert {name: chip.options()[name] for name in options} == options


@pytest.mark.parametrize("tiles", [0, -1, 1.0, True])
def test_impossible_numbers_of_tiles_are_refused(tiles: Any) -> None:
    with pytest.raises(InputError, match=r"chip\.tiles is"):
        ISAAC.with_tiles(tiles)


def test_a_chip_without_a_size_has_no_peak_rate() -> None:
    with pytest.raises(ValueError, match="with_tiles"):
        ISAAC.with_tiles(None).tops()


def test_area_scales_with_the_node() -> None:
    at_32, at_65 = ISAAC.technology, Technology(65e-9, 1.2, "hand-made")
    assert at_32.area_scale(at_65) == pytest.approx(0.23 / 0.072)
    with pytest.raises(InputError, match="no scaling for 28 nm, allowed: 130"):
        at_32.area_scale(Technology(28e-9, 1.0, "hand-made"))


def test_pairs_skipping_and_interconnect_are_options() -> None:
    chip = ISAAC.with_options(encoding="differential", flip=False, pairs="subtracted", zero_skipping=True,
                              interconnect="mesh")
    assert (chip.crossbar.readout.pairs, chip.crossbar.readout.zero_skipping, chip.interconnect) == (
        "subtracted", True, "mesh")
    assert ISAAC.with_options(**chip.options()) == chip
    for options, message in (
        ({"pairs": "subtracted"}, "chip.encoding is 'offset', allowed with pairs 'subtracted': only 'differential'"),
        ({"interconnect": "ring"}, "chip.interconnect is 'ring', allowed: flat, htree, mesh"),
        ({"zero_skipping": 1}, "chip.zero_skipping is 1, allowed: True, False"),
    ):
        with pytest.raises(InputError, match=message):
            ISAAC.with_options(**options)
    with pytest.raises(InputError, match=r"chip\.zero_skipping is True, allowed on neurram: only False"):
        presets.neurram().with_options(zero_skipping=True)
