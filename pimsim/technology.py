"""The silicon process that a chip's figures are stated for, and scaling from one node to another."""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.errors import InputError
from pimsim.quantity import NANO

_AREA_BY_NODE_NM = {130: 1.0, 90: 0.44, 65: 0.23, 45: 0.16, 32: 0.072, 20: 0.033,  # Stillmaker & Baas, Integration'17
                    16: 0.03, 14: 0.027, 10: 0.016, 7: 0.0092}  # same table, relative to 130 nm


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

    def area_scale(self, other: Technology) -> float:
        """Area of a circuit at `other` divided by its area here (Stillmaker & Baas, table of relative areas)."""
        for node in (self.node_nm, other.node_nm):
            if node not in _AREA_BY_NODE_NM:
                allowed = ", ".join(map(str, _AREA_BY_NODE_NM))
                raise InputError(f"technology: no area scaling for {node} nm, allowed: {allowed}")
        return _AREA_BY_NODE_NM[other.node_nm] / _AREA_BY_NODE_NM[self.node_nm]
