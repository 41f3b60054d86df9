"""What each figure of a chip contributes to a result, found by asking the model itself instead of repeating it.

Energies, leakage and areas are linear in figures: with one figure at one and its like at zero, a result is the number
of times that the figure is used. Times are piecewise linear and grow with all time figures alike: what stretching one
of them after the other by a little adds is each one's share, and the shares leave no rest (Euler's theorem on
homogeneous functions). Where two ways are equally long, the first figure in the order of the chip has the share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pimsim.chip import Chip
from pimsim.figures import RATES, TIMES, Figure, Uncertainty, figures, uncertainty_of, with_figures
from pimsim.quantity import Number, Table

_STRETCH = 2.0**-16  # exact in binary; what is longer by less counts as equally long
_NOISE = 1e-9  # of a whole: below what stretching can tell from rounding


@dataclass(frozen=True)
class Share:
    """What one figure contributes to a component: `count` times its `value` (of a rate: over it) is `total`.

    `total` in J, W, m² or s. `at_bits`: where in its table a figure that depends on bits is read; None for a table of
    times or as a whole.
    """

    component: str
    figure: str
    at_bits: int | None
    value: float
    unit: str
    source: str
    uncertainty: Uncertainty
    count: float
    total: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"component": self.component, "figure": self.figure, "at_bits": self.at_bits, "value": self.value,
                "unit": self.unit, "source": self.source, "uncertainty": self.uncertainty.relative,
                "uncertainty_stated_by": self.uncertainty.stated_by or None, "count": self.count, "total": self.total}


def share_of(component: str, name: str, figure: Figure, count: float, at_bits: int | None = None) -> Share:
    """What `count` uses of a figure come to."""
    value = _value(figure, at_bits)
    return Share(component, name, at_bits, value, figure.unit, figure.source, uncertainty_of(name, figure), count,
                 count / value if figure.unit in RATES else count * value)


def added(groups: Iterable[tuple[Share, ...]]) -> tuple[Share, ...]:
    """Shares of several groups, those of one figure in one component added up; in the order of the first seen."""
    total: dict[tuple[str, str, int | None], Share] = {}
    for group in groups:
        for one in group:
            key = (one.component, one.figure, one.at_bits)
            known = total.get(key)
            total[key] = one if known is None else replace(
                known, count=known.count + one.count, total=known.total + one.total)
    return tuple(total.values())


class Counted:
    """As many chips as there are figures in `units`: in each of them one figure is 1, the others of them are 0."""

    def __init__(self, chip: Chip, units: tuple[str, ...]) -> None:
        """`chip` with arrays in the place of these figures, in `self.chip`; tables bit by bit."""
        self._keys: list[tuple[str, Figure, int | None]] = []
        for name, figure in figures(chip).items():
            if figure.unit in units:
                bits = range(figure.first, figure.first + len(figure.values)) if isinstance(figure, Table) else [None]
                self._keys += [(name, figure, at) for at in bits]
        values: dict[str, Any] = {}
        for (name, _, at), ones in zip(self._keys, np.eye(len(self._keys)), strict=True):
            values[name] = ones if at is None else (*values.get(name, ()), ones)
        self.chip = with_figures(chip, values)

    def shares(self, results: Mapping[str, Number]) -> tuple[Share, ...]:
        """Taken apart: what `self.chip` gave for each component, without figures that contribute nothing."""
        found = []
        for component, result in results.items():
            counts = np.broadcast_to(np.asarray(result, np.float64), len(self._keys))
            for index in np.flatnonzero(counts):
                name, figure, at = self._keys[index]
                found.append(share_of(component, name, figure, float(counts[index]), at))
        return tuple(one for one in found if one.total)


class Stretched:
    """`chip` itself, then chips whose first, first two, first three … time figures are a little longer."""

    def __init__(self, chip: Chip) -> None:
        """`chip` with arrays in the place of its times and rates, in `self.chip`."""
        self._keys = [(name, figure) for name, figure in figures(chip).items() if figure.unit in TIMES + RATES]
        values: dict[str, Any] = {}
        for i, (name, figure) in enumerate(self._keys):
            longer = np.where(np.arange(len(self._keys) + 1) > i, 1.0 + _STRETCH, 1.0)
            values[name] = _value(figure) / longer if figure.unit in RATES else _value(figure) * longer
        self.chip = with_figures(chip, values)

    def shares(self, component: str, seconds: Number) -> tuple[Share, ...]:
        """Taken apart: a time that `self.chip` gave."""
        every = np.broadcast_to(np.asarray(seconds, np.float64), len(self._keys) + 1)
        found = []
        for (name, figure), part in zip(self._keys, np.diff(every) / _STRETCH, strict=True):
            if abs(part) > _NOISE * every[0]:
                value = _value(figure)
                count = float(part * value if figure.unit in RATES else part / value)
                found.append(share_of(component, name, figure, count))
        return tuple(found)


def _value(figure: Figure, at_bits: int | None = None) -> float:
    if isinstance(figure, Table):
        if at_bits is None:
            raise ValueError("a figure that depends on bits has no value without them")
        return figure.values[at_bits - figure.first]
    return figure.value
