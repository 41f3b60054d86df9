"""The operations of the hand-made baselines, so that they are costed on the same chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasrec.data.features import Features
from nasrec.hardware.workload import EMBEDDING_BITS, FLOAT_BITS
from pimsim import Elementwise, Gather, MatMul, MatVec, Workload

if TYPE_CHECKING:  # costs are counted without waiting for torch
    from nasrec.model.baselines import LayerShape


def baseline_workload(
    name: str,
    layers: Sequence[LayerShape],
    interaction: str,
    interaction_rows: int,
    features: Features,
    *,
    length: int,
) -> Workload:
    """One inference of a baseline at 8-bit weights and inputs.

    `layers` in order of execution: "dot" has those of the bottom MLP (named `bottom...`) before the others, "fm" those
    that project the dense inputs (`dense_row`) or weigh them (`dense_first_order`). `interaction` is "dot" (all pairs
    of `interaction_rows` rows), "fm" (a table's row begins with the weight of its value, which the factorisation
    machine does not read) or "none" (each table holds the weights of its values); `length` is the number of elements in
    a table's row.
    """
    ops: list[MatVec | MatMul | Gather | Elementwise] = []
    ops += [
        Gather(f"tables.{table.name}", table.rows, length, 1, table.lookups, EMBEDDING_BITS)
        for table in features.tables
    ]
    gathered = tuple(op.name for op in ops)
    if interaction == "dot":
        bottom = _chain(ops, [layer for layer in layers if layer.name.startswith("bottom")], ())
        rows = gathered + bottom
        ops.append(MatMul("pairs", interaction_rows, length, interaction_rows, 1, True, FLOAT_BITS, rows))
        _chain(ops, [layer for layer in layers if not layer.name.startswith("bottom")], ("pairs", *bottom))
        return Workload(name, tuple(ops))
    of_dense = {
        layer.name: _chain(ops, [layer], ()) for layer in layers if layer.name in ("dense_row", "dense_first_order")
    }
    rest = [layer for layer in layers if layer.name not in of_dense]
    terms = _chain(ops, rest, gathered if interaction == "fm" else ()) + of_dense.get("dense_first_order", ())
    if interaction == "fm":
        rows = gathered + of_dense.get("dense_row", ())
        ops.append(Elementwise("fm", "square", 1, FLOAT_BITS, rows, interaction_rows * (length - 1)))
        terms = (*terms, "fm")
    summed = len(features.tables) + len(terms)
    ops.append(Elementwise("logit", "add", 1, FLOAT_BITS, gathered + terms, summed))
    return Workload(name, tuple(ops))


def _chain(
    ops: list[MatVec | MatMul | Gather | Elementwise], layers: Sequence[LayerShape], after: tuple[str, ...]
) -> tuple[str, ...]:
    """Append `layers`, each after the one before, with bias and activation; returns the name of the last operation."""
    for layer in layers:
        ops.append(MatVec(layer.name, layer.inputs, layer.outputs, vectors=layer.vectors, after=after))
        ops.append(Elementwise(f"{layer.name}.rescale", "rescale", layer.outputs, FLOAT_BITS, (layer.name,)))
        after = (f"{layer.name}.rescale",)
        if layer.relu:
            ops.append(Elementwise(f"{layer.name}.relu", "relu", layer.outputs, FLOAT_BITS, after))
            after = (f"{layer.name}.relu",)
    return after
