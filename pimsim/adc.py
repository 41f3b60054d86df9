"""The analog-to-digital converter, by models that are chosen by name and never mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pimsim.quantity import GIGA, MILLI, MM2, NANO, PICO, UM2, Count, Number, Quantity, Table
from pimsim.survey import SURVEY, survey_area_m2, survey_energy_j

AdcModel = Literal["isaac", "survey", "puma", "neurram", "macro"]
MOST_ADC_BITS = 25  # the widest lossless conversion that the allowed crossbars can ask for: a signed column of 24

_ISAAC = "ISAAC, ISCA'16, component table"
_PUMA = "PUMA, ASPLOS'19, simulator constants"
PUMA_STAGE_S = 2 * 128 * 128 * 2208 / 52.31e12 / 16
"""Stage of PUMA's pipeline, s: 2208 units of 128 x 128 at 52.31 TOPS leave 1383 ns for 16 input bits. By construction:
the component table's own stages (100 ns a read, 128 ns in the instruction table) give 45.2 and 35.3 TOPS."""
# ISAAC'16's scaling of one ADC from 4 to 10 bits at 32 nm, as tabulated in Accelergy's library.
_ISAAC_ADC_PJ = (0.79, 0.99, 1.20, 1.42, 1.67, 1.969, 2.379)  # pJ per conversion, Accelergy library, isaac_adc
_ISAAC_ADC_UM2 = (361.0, 476.9, 626.9, 845.2, 1200.0, 1827.9, 3002.0)  # µm², Accelergy library, isaac_adc
_ADC_SOURCE = (
    "Accelergy library isaac_adc for 4 to 10 bits; assumption: below in proportion to the bits, above by the ratio "
    "of 10 to 9 bits"
)


@dataclass(frozen=True)
class Adc:
    """An analog-to-digital converter whose energy, area and leakage depend on the bits of the conversion.

    `model` names where the tables come from; models are never mixed. `rate` is in conversions per second, or, of a
    `serial` converter, in steps per second, one step a bit.
    """

    model: AdcModel
    energy: Table
    area: Table
    leakage: Table
    rate: Quantity
    serial: bool = False

    @classmethod
    def survey(cls, node_m: float, rate: Quantity, leakage_share: Quantity) -> Adc:
        """The regression over published ADCs at `node_m` and `rate`; `leakage_share` of its energy is leakage.

        Below 4 bits, where the regression has no data: in proportion to the bits (assumption).
        """
        bits = range(1, MOST_ADC_BITS + 1)
        scale = [min(b, 4) / 4 for b in bits]
        total = [s * survey_energy_j(max(b, 4), rate.value, node_m) for s, b in zip(scale, bits, strict=True)]
        area = [s * survey_area_m2(max(b, 4), rate.value, node_m) for s, b in zip(scale, bits, strict=True)]
        share = leakage_share.value
        return cls(
            "survey",
            Table(1, tuple(e * (1.0 - share) for e in total), "J", SURVEY, 0.5),
            Table(1, tuple(area), "m²", SURVEY, 0.5),
            Table(1, tuple(e * share * rate.value for e in total), "W", leakage_share.source),
            rate,
        )

    def energy_j(self, bits: Count) -> Number:
        """Dynamic energy of one conversion."""
        return self.energy.at(bits)

    def area_m2(self, bits: Count) -> Number:
        """Area of one converter."""
        return self.area.at(bits)

    def leakage_w(self, bits: Count) -> Number:
        """Leakage of one converter."""
        return self.leakage.at(bits)

    def steps(self, bits: Count) -> Count:
        """Steps of one conversion, each of which gives a number to add up: its bits if serial, else one."""
        return bits if self.serial else 1

    def rate_hz(self, bits: Count) -> Number:
        """Conversions per second."""
        return self.rate.value / bits if self.serial else self.rate.value

    def conversion_j(self, bits: Count) -> Number:
        """Energy of one conversion at full rate with the leakage of that time: power over rate."""
        return self.energy.at(bits) + self.leakage.at(bits) / self.rate_hz(bits)


def _extended(values: tuple[float, ...], scale: float) -> tuple[float, ...]:
    """A table for 4 to 10 bits, scaled and carried on to 1 and to `MOST_ADC_BITS`."""
    below = [values[0] * bits / 4 for bits in (1, 2, 3)]
    ratio = values[-1] / values[-2]
    above = [values[-1]]
    while len(below) + len(values) + len(above) - 1 < MOST_ADC_BITS:
        above.append(above[-1] * ratio)
    return tuple(scale * value for value in (*below, *values, *above[1:]))


def isaac_adc_energies() -> Table:
    """Energy of one conversion as tabulated, before the preset scales it to the power of ISAAC's own table."""
    return Table(1, _extended(_ISAAC_ADC_PJ, PICO), "J", _ADC_SOURCE)


def isaac_adc() -> Adc:
    """8 bits, 1.28 GS/s, 2 mW: energy is power over rate; the tabulated energies (6 % above) give the other bits."""
    rate = Quantity(1.28 * GIGA, "Hz", _ISAAC)
    power = Quantity(2.0 * MILLI, "W", _ISAAC)  # of one ADC at 8 bits
    leakage = Quantity(0.2 * MILLI, "W", _PUMA)  # of the same 2 mW
    by_bits = _extended(_ISAAC_ADC_PJ, 1.0 / _ISAAC_ADC_PJ[4])
    dynamic = (power.value - leakage.value) / rate.value
    return Adc(
        "isaac",
        Table(1, tuple(dynamic * share for share in by_bits), "J", f"{_ISAAC}: 2 mW less leakage, at 1.28 GS/s", 0.067,
              "the paper's table and Accelergy's library are 6.7 % apart"),
        Table(1, _extended(_ISAAC_ADC_UM2, UM2), "m²", _ADC_SOURCE, 0.2),
        Table(1, tuple(leakage.value * share for share in by_bits), "W", f"{_PUMA}: 0.2 of 2 mW"),
        rate,
    )


def puma_adc() -> Adc:
    """8 bits, 2 mW, in proportion to the bits; 128 columns take turns within one stage of the pipeline."""
    rate = Quantity(128 / PUMA_STAGE_S, "Hz", "128 columns in a stage; the stage follows from PUMA's peak rate")
    bits = range(1, MOST_ADC_BITS + 1)
    dynamic, leakage = 0.225 * MILLI, 0.025 * MILLI  # W per bit, PUMA: 1.8 and 0.2 mW at 8 bits
    source = f"{_PUMA}: 1.8 + 0.2 mW at 8 bits, in proportion to the bits"
    return Adc(
        "puma",
        Table(1, tuple(dynamic * b / rate.value for b in bits), "J", source),
        Table(1, tuple(0.0012 * MM2 * b / 8 for b in bits), "m²", f"{_PUMA}: 0.0012 mm²; assumption: as the power"),
        Table(1, tuple(leakage * b for b in bits), "W", source),
        rate,
    )


def survey_adc(node_m: float = 32 * NANO) -> Adc:
    """The regression's ADC at ISAAC's rate, and at its node unless another is given."""
    share = Quantity(0.2, "1", "hwcomponents-adc: 20 % of the energy booked as leakage")
    return Adc.survey(node_m, Quantity(1.28 * GIGA, "Hz", _ISAAC), share)


ADC_NODE_NM = 32
"""The node of `ADC_MODELS`."""
ADC_MODELS: dict[AdcModel, Callable[[], Adc]] = {
    "isaac": isaac_adc, "survey": survey_adc, "puma": puma_adc}
"""The models that a chip at that node may choose between; a preset's own converter may be another one."""
