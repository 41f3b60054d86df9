"""Both ADC models against the figures they were taken from."""

from __future__ import annotations

import numpy as np
import pytest

from pimsim.adc import ADC_MODELS, MOST_ADC_BITS, isaac_adc_energies
from pimsim.presets import isaac
from pimsim.survey import survey_area_m2, survey_energy_j
from tests.pimsim.near import near

TABLE = {4: (0.79, 361.0), 5: (0.99, 476.9), 6: (1.20, 626.9), 7: (1.42, 845.2), 8: (1.67, 1200.0),
         9: (1.969, 1827.9), 10: (2.379, 3002.0)}  # pJ, µm²: ISAAC's scaling


@pytest.mark.parametrize("bits", TABLE)
def test_isaac_table(bits: int) -> None:
    adc = ADC_MODELS["isaac"]()
    assert isaac_adc_energies().at(bits) == near(TABLE[bits][0] * 1e-12)
    assert adc.area_m2(bits) == near(TABLE[bits][1] * 1e-12)


def test_isaac_energy_is_table_power_over_rate_at_8_bits() -> None:
    assert ADC_MODELS["isaac"]().conversion_j(8) == near(2e-3 / 1.28e9)


@pytest.mark.parametrize(
    ("bits", "rate_hz", "node_nm", "picojoules"),
    [(4, 1e9, 32, 0.924), (6, 1e9, 32, 1.065), (8, 1e9, 32, 1.714), (8, 1.2e9, 32, 1.849), (8, 1e9, 22, 0.847),
     (8, 1e9, 65, 6.49), (8, 1e9, 130, 23.9)])
def test_survey_energy_to_three_digits(bits: int, rate_hz: float, node_nm: int, picojoules: float) -> None:
    assert survey_energy_j(bits, rate_hz, node_nm * 1e-9) * 1e12 == pytest.approx(picojoules, rel=0.001, abs=0.0)


def test_survey_area() -> None:
    assert survey_area_m2(8, 1.2e9, 32e-9) * 1e12 == pytest.approx(6313, rel=0.001, abs=0.0)
    assert survey_area_m2(8, 1e9, 22e-9) * 1e12 == pytest.approx(3334, rel=0.001, abs=0.0)


@pytest.mark.parametrize("model", ADC_MODELS)
def test_more_bits_never_cost_less(model: str) -> None:
    adc = ADC_MODELS[model]()  # type: ignore[index]
    bits = np.arange(1, MOST_ADC_BITS + 1)
    for figure in (adc.energy_j(bits), adc.area_m2(bits), adc.leakage_w(bits)):
        assert (figure > 0).all()
        assert (np.diff(figure) > 0).all()
    with pytest.raises(IndexError):
        adc.energy_j(0)
    with pytest.raises(IndexError):
        adc.energy_j(np.array([4, MOST_ADC_BITS + 1]))


def test_the_survey_is_taken_only_when_asked_for() -> None:
    assert isaac().crossbar.adc.model == "isaac"
    chosen = isaac().with_options(adc_model="survey").crossbar.adc
    assert chosen.model == "survey"
    assert chosen.conversion_j(8) == near(survey_energy_j(8, 1.28e9, 32e-9))
