"""The silicon process that a chip's figures are stated for, and scaling from one node to another.

Stillmaker & Baas, Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm
(Integration 58, 2017). The coefficients are those of UCLA's nodeScale, from 45 nm down of high-performance devices.
Accelergy's library has the same for energy, but for 45 and 32 nm, where it takes the low-power rows; EPFL's
scaled-tech the same for delay at 45, 14, 10 and 7 nm. The other delays have this one source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pimsim.errors import InputError
from pimsim.quantity import NANO

_Entry = TypeVar("_Entry")
_AREA_BY_NODE_NM = {130: 1.0, 90: 0.44, 65: 0.23, 45: 0.16, 32: 0.072, 20: 0.033,  # Stillmaker & Baas, Integration'17
                    16: 0.03, 14: 0.027, 10: 0.016, 7: 0.0092}  # same table, relative to 130 nm
_ENERGY_BY_NODE_NM = {  # same paper: a2, a1, a0 of energy = a2·V² + a1·V + a0
    130: (7.171, -6.709, 2.904), 90: (4.762, -4.781, 2.092), 65: (3.755, -4.398, 1.975), 45: (1.018, -0.3107, 0.1539),
    32: (0.8367, -0.4341, 0.1701), 20: (0.373, -0.1582, 0.04104), 16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239), 10: (0.2068, -0.09311, 0.02375), 7: (0.1776, -0.09097, 0.02447)}
_DELAY_BY_NODE_NM = {  # same paper: a3 … a0 of delay = a3·V³ + a2·V² + a1·V + a0
    130: (-76.65, 334.9, -493.4, 275.8), 90: (-60.34, 262.5, -384.2, 210.9), 65: (-53.3, 230.4, -333.9, 178.6),
    45: (-501.6, 1567.0, -1619.0, 566.1), 32: (-1047.0, 2982.0, -2797.0, 873.5), 20: (0.0, 34.63, -66.37, 41.15),
    16: (0.0, 24.8, -47.52, 28.87), 14: (-40.66, 109.2, -100.6, 35.92), 10: (-34.95, 93.65, -85.99, 30.4),
    7: (-28.58, 76.6, -70.26, 24.69)}
_NOMINAL_V = {130: 1.3, 90: 1.2, 65: 1.1, 45: 1.0, 32: 0.9, 20: 0.9, 16: 0.85, 14: 0.8, 10: 0.75, 7: 0.7}  # V: PTM
# models; 45, 14, 10 and 7 nm as in EPFL's scaled-tech, the others recalled. Away from them a cubic means nothing.


@dataclass(frozen=True)
class Technology:
    """A process: gate length in metres, supply in volts, where its scaling comes from."""

    node_m: float
    vdd_v: float
    source: str

    @property
    def node_nm(self) -> int:
        """The node's usual name, in whole nanometres."""
        return round(self.node_m / NANO)

    def at(self, node_nm: int) -> Technology:
        """The process at another node, its supply in proportion to the nominal ones; itself where it is the same."""
        if node_nm == self.node_nm:
            return self
        scale = _known(node_nm, _NOMINAL_V) / _known(self.node_nm, _NOMINAL_V)
        source = (f"scaled from {self.node_nm} to {node_nm} nm by Stillmaker & Baas, high-performance devices at "
                  f"nominal supplies; before: {self.source}")
        return Technology(node_nm * NANO, self.vdd_v * scale, source)

    def area_scale(self, other: Technology) -> float:
        """Area of a circuit at `other` divided by its area here (Stillmaker & Baas, table of relative areas)."""
        return _known(other.node_nm, _AREA_BY_NODE_NM) / _known(self.node_nm, _AREA_BY_NODE_NM)

    def energy_scale(self, other: Technology) -> float:
        """Energy of a digital circuit at `other` divided by that here, both at the nominal supply of their nodes."""
        return _polynomial(other.node_nm, _ENERGY_BY_NODE_NM) / _polynomial(self.node_nm, _ENERGY_BY_NODE_NM)

    def delay_scale(self, other: Technology) -> float:
        """Delay of a digital circuit at `other` divided by that here, both at the nominal supply of their nodes."""
        return _polynomial(other.node_nm, _DELAY_BY_NODE_NM) / _polynomial(self.node_nm, _DELAY_BY_NODE_NM)


def _known(node_nm: int, by_node: Mapping[int, _Entry]) -> _Entry:
    """A node's entry in one of the tables; InputError where it has none."""
    if node_nm not in by_node:
        raise InputError(f"technology: no scaling for {node_nm} nm, allowed: {', '.join(map(str, by_node))}")
    return by_node[node_nm]


def _polynomial(node_nm: int, by_node: Mapping[int, tuple[float, ...]]) -> float:
    """A node's polynomial at its nominal supply."""
    volts, value = _known(node_nm, _NOMINAL_V), 0.0
    for coefficient in _known(node_nm, by_node):
        value = value * volts + coefficient
    return value
