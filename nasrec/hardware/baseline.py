"""The operations of the hand-made baselines, so that they are costed on the same chips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    `layers` in order of execution; those that read the dense inputs only (named `bottom...` or `dense...`) run beside
    the look-ups. `interaction` is "dot" (all pairs of `interaction_rows` rows), "fm" or "none"; `length` is the number
    of elements in a table's row.
    """
    ops: list[MatVec | MatMul | Gather | Elementwise] = []
    ops += [
        Gather(f"tables.{table.name}", table.rows, length, 1, table.lookups, EMBEDDING_BITS)
        for table in features.tables
    ]
    gathered = tuple(op.name for op in ops)
    early = [layer for layer in layers if layer.name.startswith(("bottom", "dense"))]
    chain = _chain(ops, [layer for layer in early if layer.name.startswith("bottom")], ())
    roots = [_chain(ops, [layer], ()) for layer in early if not layer.name.startswith("bottom")]
    inputs = gathered + chain + tuple(name for root in roots for name in root)
    if interaction == "dot":
        ops.append(MatMul("pairs", interaction_rows, length, interaction_rows, 1, True, FLOAT_BITS, inputs))
        inputs = ("pairs",)
    late = _chain(ops, [layer for layer in layers if layer not in early], inputs)
    if interaction == "fm":
        ops.append(Elementwise("fm", "square", 1, FLOAT_BITS, gathered, interaction_rows * length))
        late = (*late, "fm")
    terms = len(features.tables) + len(late)
    ops.append(Elementwise("logit", "add", 1, FLOAT_BITS, _unique(gathered + late), terms))
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


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
