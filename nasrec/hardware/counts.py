"""How large an architecture is: multiply-accumulates and parameters, block by block."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasrec.arch import EMBEDDING_DIM, Arch
from nasrec.data.features import Features
from nasrec.hardware.workload import workload_of
from nasrec.liveness import live_blocks
from pimsim import Elementwise, MatMul, MatVec, Workload

HEAD = "head"


@dataclass(frozen=True)
class PartCounts:
    """One block (named by its number, from 1) or the head.

    `macs` and `live_parameters` are of what reaches the head, `product_macs` those of `macs` whose operands are both
    activations; `parameters` counts dead operators too.
    """

    name: str
    live: bool
    macs: int
    product_macs: int
    parameters: int
    live_parameters: int


@dataclass(frozen=True)
class Counts:
    """The sizes of a whole model, of one inference.

    `macs`: multiply-accumulates of live operators: linear layers, all pairs of a dot product (both triangles), the
    products of attention; no look-ups, no LayerNorm, nothing element by element. `dense_parameters`: weights, biases
    and attention's LayerNorms of every operator, dead ones too, without embedding tables, as the official standalone
    model holds them with LayerNorm off; `live_dense_parameters` without the dead ones. `embedding_parameters`: of all
    tables.
    """

    macs: int
    product_macs: int
    dense_parameters: int
    live_dense_parameters: int
    live_blocks: int
    embedding_parameters: int
    parts: tuple[PartCounts, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, whole numbers all."""
        return asdict(self)


def counts_of(arch: Arch, features: Features) -> Counts:
    """Count `arch` on inputs of `features`, from the very operations that a chip is charged for (`workload_of`)."""
    live, whole = _parts(workload_of(arch, features)), _parts(workload_of(arch, features, dead=True))
    parts = []
    for index, state in enumerate((*live_blocks(arch), None)):
        key = HEAD if state is None else str(index + 1)
        macs, products, parameters = live.get(key, (0, 0, 0))
        alive = state is None or state.alive
        parts.append(PartCounts(key, alive, macs, products, whole.get(key, (0, 0, 0))[2], parameters))
    return Counts(
        macs=sum(part.macs for part in parts),
        product_macs=sum(part.product_macs for part in parts),
        dense_parameters=sum(part.parameters for part in parts),
        live_dense_parameters=sum(part.live_parameters for part in parts),
        live_blocks=sum(part.live for part in parts[:-1]),
        embedding_parameters=EMBEDDING_DIM * sum(table.rows for table in features.tables),
        parts=tuple(parts),
    )


def _parts(workload: Workload) -> dict[str, tuple[int, int, int]]:
    """Per block (its number) and head: MACs, those of products of activations, parameters."""
    found: dict[str, tuple[int, int, int]] = {}
    for op in workload.ops:
        root, *rest = op.name.split(".")
        if root not in (HEAD, "blocks"):
            continue
        key = HEAD if root == HEAD else str(int(rest[0]) + 1)
        macs, products, parameters = found.get(key, (0, 0, 0))
        if isinstance(op, MatVec):
            macs += op.macs
            parameters += (op.inputs + 1) * op.outputs  # every layer has a bias where no LayerNorm follows it
        elif isinstance(op, MatMul):
            macs += op.macs
            products += op.macs
        elif isinstance(op, Elementwise) and op.kind == "layernorm":
            parameters += 2 * EMBEDDING_DIM  # one scale and one shift for each number of a row, whichever the row
        found[key] = (macs, products, parameters)
    return found
