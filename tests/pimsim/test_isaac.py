"""The ISAAC preset adds up to the published table (ISCA'16): IMA, tile, chip, peak rate, ADC share."""

from __future__ import annotations

import pytest

from pimsim.cost import Footprint, Parts, total_footprint
from pimsim.presets import isaac, preset


def _total(parts: Parts) -> Footprint:
    return total_footprint(parts)


@pytest.mark.parametrize(("level", "power_w", "area_mm2"), [("ima", 24.08e-3, 0.01312), ("tile", 329.8e-3, 0.3723)])
def test_ima_and_tile_meet_the_published_power_and_area(level: str, power_w: float, area_mm2: float) -> None:
    chip = isaac()
    total = _total(chip.tile.ima.parts() if level == "ima" else chip.tile.parts())
    assert total.peak_w == pytest.approx(power_w, rel=0.001)
    assert total.area_m2 == pytest.approx(area_mm2 * 1e-6, rel=0.001)


def test_chip_meets_the_published_power_area_rate_and_capacity() -> None:
    chip = isaac()
    total = _total(chip.parts(168, 0, 1, dram=False))
    assert total.peak_w == pytest.approx(65.8, rel=0.01)
    assert total.area_m2 == pytest.approx(85.4e-6, rel=0.01)
    assert chip.crossbars == 16_128
    assert chip.tops() == pytest.approx(41.29, rel=0.001)
    assert chip.crossbars * chip.crossbar.bits / 8 / 2**20 == 63.0


def test_adcs_take_the_published_share_of_power() -> None:
    chip = isaac()
    parts = chip.parts(168, 0, 1, dram=False)
    assert parts["adc"].peak_w == pytest.approx(32.26, rel=0.001)
    assert parts["adc"].peak_w / total_footprint(parts).peak_w == pytest.approx(0.490, rel=0.01)
    ima = chip.tile.ima.parts()
    assert ima["adc"].peak_w / total_footprint(ima).peak_w == pytest.approx(16 / 24.08, rel=0.001)


def test_a_crossbar_has_one_8_bit_adc_that_keeps_up_with_the_read_cycle() -> None:
    crossbar = isaac().crossbar
    assert (crossbar.adcs, crossbar.adc_bits) == (1, 8)
    assert crossbar.cycle_s == pytest.approx(100e-9)


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'isac', allowed: isaac"):
        preset("isac")
