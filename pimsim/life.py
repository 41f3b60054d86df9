"""How long cells last when a model and its tables are written anew, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pimsim.cell import Cell
from pimsim.errors import InputError
from pimsim.mapping import Mapping
from pimsim.quantity import Number
from pimsim.workload import Gather, Workload

DAY_S = 86_400.0


@dataclass(frozen=True)
class Life:
    """Wear and cost of updates.

    `updates_per_day`: how often a day the cells of each op are written anew; ops without cells are not in it.
    `lifetime_s`: until the first cells wear out, infinite without updates. `energy_per_day_j` writes all of that;
    `per_inference_j` is its share in one of the inferences that come every `interval_s`, which no other figure of a
    report contains.
    """

    updates_per_day: dict[str, float]
    lifetime_s: float
    energy_per_day_j: Number
    interval_s: Number

    @property
    def inferences_per_day(self) -> Number:
        """Inferences in a day of one every `interval_s`."""
        return DAY_S / self.interval_s

    @property
    def per_inference_j(self) -> Number:
        """The share of one inference in the energy of a day's updates."""
        return self.energy_per_day_j * self.interval_s / DAY_S

    @property
    def first_worn(self) -> str | None:
        """The op whose cells wear out first; None without updates."""
        worn = max(self.updates_per_day, key=self.updates_per_day.__getitem__, default=None)
        return worn if worn is not None and self.updates_per_day[worn] else None

    def to_json(self) -> dict[str, Any] | None:
        """Plain values of one design; None without updates."""
        if self.first_worn is None:
            return None
        return {"updates_per_day": self.updates_per_day, "lifetime_s": self.lifetime_s, "first_worn": self.first_worn,
                "energy_per_day_j": float(self.energy_per_day_j), "inferences_per_day": float(self.inferences_per_day),
                "per_inference_j": float(self.per_inference_j)}


def life(workload: Workload, mapping: Mapping, cell: Cell, updates_per_day: float, interval_s: Number) -> Life:
    """What `updates_per_day` updates of the model do, with an inference every `interval_s`.

    An update writes every cell of the model once (assumption). A table with updates of its own follows those instead.
    Lifetime is endurance over the updates of the cells that are written most often.
    """
    if not 0.0 <= updates_per_day < float("inf"):
        raise InputError(f"updates_per_day is {updates_per_day!r}, allowed: 0 or more")
    updates: dict[str, float] = {}
    energy: Number = 0.0
    for op in workload.live().ops:
        placement = mapping.placements[op.name]
        if placement.unit in ("vector_unit", "dram"):
            continue
        own = op.updates_per_day if isinstance(op, Gather) else 0.0
        updates[op.name] = own or updates_per_day
        energy = energy + placement.cells * cell.write.value * updates[op.name]
    most = max(updates.values(), default=0.0)
    lifetime = cell.endurance.value / most * DAY_S if most else float("inf")
    return Life(updates, lifetime, energy, interval_s)
