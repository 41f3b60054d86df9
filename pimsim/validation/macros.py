"""ReRAM macros: once one point of a series is met, the others of the same macro; nothing across macros.

The point that is met is that of the most bits. A macro's efficiency and its latency are two series, with a factor
each. Published figures as abstracts and titles of the papers give them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.charge import reading
from pimsim.presets.macros import Use
from pimsim.validation.point import Factor, Point


@dataclass(frozen=True)
class Series:
    """One quantity of a macro in several uses, the first of which is met by a fitted factor."""

    target: str
    quantity: str
    vdd_v: float
    uses: tuple[tuple[str, Use, float], ...]

    @property
    def modelled(self) -> list[float]:
        """The quantity in every use, nothing fitted."""
        per_watt = self.quantity.endswith("TOPS/W")
        return [tops_per_w(use, self.vdd_v) if per_watt else nanoseconds(use, self.vdd_v) for _, use, _ in self.uses]


_XUE19_2B = Use(2, 3, 4, rows=9, pairs="subtracted")  # 4-bit result, 9 rows: abstract; signed pairs: its subtractor
_XUE19_1B = Use(1, 3, 3, rows=9, pairs="subtracted")  # assumption: same ADC step, so a bit less in is a bit less out
_XUE20_4B = Use(4, 4, 11, rows=9, dac_bits=2)  # 11-bit result: title; 9 rows follow; 2 bits a pulse: assumption
_XUE20_1B = Use(1, 1, 4, rows=9)  # 9 rows as above; 4 bits lose nothing
_HUNG_8B = Use(8, 8, 4, rows=8, accumulation="digital")  # 19-bit result: 8 rows lose nothing; one bit in time and space
_HUNG_1B = Use(1, 1, 4, rows=8, accumulation="digital")  # the same rows
_CHEN_CNN = Use(1, 2, 5, rows=9, pairs="subtracted")  # binary in, ternary weights; 3 x 3 kernel; lossless bits
_CHEN_FCN = Use(1, 2, 6, rows=25, pairs="subtracted")  # assumption: 25 rows; lossless bits
_LIU_2T2R = Use(1, 3, 8, rows=128, pairs="subtracted")  # 8-bit ADC: abstract; 128 rows: assumption
_LIU_1T1R = Use(1, 3, 8, rows=128, pairs="converted")  # the two cells of a weight in columns of their own

SERIES = (
    Series("Xue ISSCC'19, 55 nm", "efficiency, TOPS/W", 1.0,  # V: assumption, nominal
           (("2-bit inputs", _XUE19_2B, 21.9), ("1-bit inputs", _XUE19_1B, 53.17))),
    Series("Xue ISSCC'19, 55 nm", "latency, ns", 1.0,
           (("2-bit inputs", _XUE19_2B, 14.6), ("1-bit inputs", _XUE19_1B, 11.75))),
    Series("Xue ISSCC'20, 22 nm", "efficiency, TOPS/W", 0.8,  # V: assumption, nominal
           (("4 x 4 bits", _XUE20_4B, 28.9), ("binary", _XUE20_1B, 121.3))),
    Series("Xue ISSCC'20, 22 nm", "latency, ns", 0.8, (("4 x 4 bits", _XUE20_4B, 18.3), ("binary", _XUE20_1B, 9.8))),
    Series("Hung ISSCC'22, 22 nm", "efficiency, TOPS/W", 0.8,  # V: assumption, nominal
           (("8 x 8 bits", _HUNG_8B, 21.6), ("binary", _HUNG_1B, 1286.4))),
    Series("Chen ISSCC'18, 65 nm", "latency, ns", 1.2,  # V: assumption, nominal
           (("fully connected", _CHEN_FCN, 15.6), ("convolution", _CHEN_CNN, 14.8))),
)
_LIU_VDD_V = 1.8  # V: assumption, nominal at 130 nm
_LIU_RATIO = 1.9  # Liu ISSCC'20: power of 1T1R pairs over 2T2R


def tops_per_w(use: Use, vdd_v: float) -> float:
    """Operations (two per MAC, at the use's own bits) per joule, in 10^12."""
    energies, _ = reading(use.product, use.crossbar(vdd_v))
    total = 0.0
    for energy in energies.values():
        total += float(energy)
    return 2 * use.rows / total / 1e12


def nanoseconds(use: Use, vdd_v: float) -> float:
    """Time of one result, ns."""
    _, seconds = reading(use.product, use.crossbar(vdd_v))
    return float(seconds) / 1e-9


def validate() -> tuple[list[Point], list[Factor]]:
    """Every series, its first point met; and the saving of 2T2R cells, for which nothing is fitted."""
    points: list[Point] = []
    factors: list[Factor] = []
    for series in SERIES:
        modelled = series.modelled
        factor = series.uses[0][2] / modelled[0]
        factors.append(Factor(series.target, series.quantity, factor, f"meets the point of {series.uses[0][0]}"))
        for index, ((name, _, published), model) in enumerate(zip(series.uses, modelled, strict=True)):
            points.append(Point(series.target, f"{name}: {series.quantity}", "predicted" if index else "calibrated",
                                published, factor * model))
    saving = tops_per_w(_LIU_2T2R, _LIU_VDD_V) / tops_per_w(_LIU_1T1R, _LIU_VDD_V)
    points.append(Point("Liu ISSCC'20, 130 nm", "power of 1T1R over 2T2R", "predicted", _LIU_RATIO, saving))
    return points, factors
