"""What a candidate costs on its chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pimsim
from nasrec.arch import Candidate, ChipChoice
from nasrec.data.features import Features
from nasrec.errors import InputError
from nasrec.hardware.chip import chip_of
from nasrec.hardware.workload import workload_of
from pimsim import Report, Workload


@dataclass(frozen=True)
class HardwareCost:
    """Energy (dynamic and static) and latency of one inference, the chip's area, and the interval between inferences.

    Units: joules, seconds, square metres, seconds. `crossbars` counts those in use.
    """

    energy_j: float
    latency_s: float
    area_m2: float
    interval_s: float
    crossbars: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "hardware") -> HardwareCost:
        """Rebuild from `to_json`; raises InputError naming `where`."""
        try:
            return cls(**data)
        except TypeError as error:
            raise InputError(f"{where}: not a hardware cost: {error}") from None


def cost_of(report: Report) -> HardwareCost:
    """The figures of a report that the search compares."""
    return HardwareCost(
        energy_j=float(report.energy_j),
        latency_s=float(report.latency_s),
        area_m2=float(report.area_m2),
        interval_s=float(report.interval_s),
        crossbars=int(report.crossbars),
    )


def breakdown_of(report: Report) -> dict[str, Any]:
    """A report as plain values for a run's summary: totals, then energy, latency and area by operator and component."""
    return {
        **cost_of(report).to_json(),
        "dynamic_j": float(report.dynamic_j),
        "static_j": float(report.static_j),
        "gating": report.gating,
        "utilization": float(report.mapping.utilization),
        "by_op": [
            {"name": op.name, "energy_j": float(op.cost.energy_j), "latency_s": float(op.cost.latency_s)}
            for op in report.by_op.values()
        ],
        "by_component": [
            {
                "name": name,
                "energy_j": float(part.dynamic_j) + float(part.static_j),
                "area_m2": float(part.footprint.area_m2),
            }
            for name, part in report.by_component.items()
        ],
    }


def measure(candidate: Candidate, features: Features) -> Report:
    """Evaluate `candidate` on its own chip; raises InputError if it does not fit."""
    return measure_workload(workload_of(candidate.arch, features), candidate.chip)


def measure_workload(workload: Workload, choice: ChipChoice) -> Report:
    """Evaluate `workload` on the chip that `choice` describes; raises InputError if it does not fit."""
    try:
        return pimsim.evaluate(workload, chip_of(choice), copies=choice.copies)
    except pimsim.InputError as error:
        raise InputError(str(error)) from None
