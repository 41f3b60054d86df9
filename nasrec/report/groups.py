"""The operations of a workload gathered into the operators that a reader knows."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.report.summary import Hardware


@dataclass(frozen=True)
class OperatorShare:
    """One operator with all its layers and helper operations: energy per inference and the sum of their latencies."""

    name: str
    energy_j: float
    latency_s: float


def by_operator(hardware: Hardware) -> list[OperatorShare]:
    """The operators of a model in order of execution; energies add up to the total of the operations."""
    energy: dict[str, float] = {}
    latency: dict[str, float] = {}
    for part in hardware.by_op:
        name = operator_of(part.name)
        energy[name] = energy.get(name, 0.0) + part.energy_j
        latency[name] = latency.get(name, 0.0) + part.latency_s
    return [OperatorShare(name, energy[name], latency[name]) for name in energy]


def operator_of(name: str) -> str:
    """The operator that an operation belongs to: `blocks.1.dot.output.rescale` is part of "2 dot" (counted from 1)."""
    parts = name.split(".")
    if parts[0] == "blocks" and len(parts) > 2:
        return f"{int(parts[1]) + 1} {parts[2]}"
    return {"tables": "embeddings"}.get(parts[0], parts[0])
