"""Collects the operators of a workload while a graph is walked: names, bits, batch, weights used several times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from pimsim.errors import InputError
from pimsim.workload import Elementwise, Gather, MatMul, MatVec, Op, Workload

UNKNOWN = ("refuse", "vector_unit")
"""What becomes of an operator without a known cost."""
LAYER_BITS = ("weight_bits", "input_bits", "output_bits", "element_bits")


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its shape, the operators whose results it holds, and whether it is known beforehand.

    `stored` is a key that two tensors share only if they hold the same numbers (perhaps transposed), None for
    activations. `channel` is the axis of the outputs of a stored matrix, and `gathered` the name of a `Gather`, on a
    value that comes straight from it. `uses` counts the readers of the value.
    """

    shape: tuple[int, ...]
    sources: tuple[str, ...] = ()
    stored: str | None = None
    channel: int | None = None
    gathered: str | None = None
    uses: int = 1

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def sources_of(values: Sequence[Value | None]) -> tuple[str, ...]:
    """The operators that `values` come from, each once, in their order."""
    return tuple(dict.fromkeys(name for value in values if value is not None for name in value.sources))


@dataclass(frozen=True)
class Bits:
    """Bits of weights, activations and table elements; `layers` has other ones by an operator's name or a pattern.

    A pattern is that of a shell (`blocks.*.fc`); where several fit, the last one given decides.
    """

    weight_bits: int = 8
    input_bits: int = 8
    element_bits: int = 8
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a field that no operator has."""
        for pattern, bits in self.layers.items():
            for key in bits:
                if key not in LAYER_BITS:
                    raise InputError(f"layers, {pattern!r}: unknown field {key!r}, allowed: {', '.join(LAYER_BITS)}")

    def of(self, op: Op) -> Op:
        """`op` with its bits."""
        wanted = {"weight_bits": self.weight_bits, "input_bits": self.input_bits, "element_bits": self.element_bits}
        for pattern, bits in self.layers.items():
            if fnmatchcase(op.name, pattern):
                wanted |= bits
        # One set of bits serves all kinds of operators: each takes the fields that it has.
        own: dict[str, Any] = {key: value for key, value in wanted.items() if hasattr(op, key)}
        return replace(op, **own)


class Builder:
    """Takes operators in execution order, in the sizes of the examples, and gives the workload of one inference.

    Sizes are divided by `batch`. Weights and tables that are used several times are one operator: its vectors (or
    bags) add up, and what reads a later use also waits for that use's inputs.
    """

    def __init__(self, name: str, bits: Bits, batch: int = 1, unknown: str = "refuse") -> None:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise InputError(f"{name}: batch is {batch!r}, allowed: a whole number from 1 up")
        if unknown not in UNKNOWN:
            raise InputError(f"{name}: unknown is {unknown!r}, allowed: {', '.join(UNKNOWN)}")
        self._name, self._bits, self._batch, self._unknown = name, bits, batch, unknown
        self._ops: dict[str, Op] = {}
        self._stored: dict[tuple[str, str, int, int], str] = {}
        self._labels: dict[str, int] = {}

    @property
    def charges_unknown(self) -> bool:
        """Whether operators without a known cost are charged to the vector unit, not refused."""
        return self._unknown == "vector_unit"

    def workload(self) -> Workload:
        """What was collected; InputError where something in `Bits.layers` concerns no operator."""
        for pattern, bits in self._bits.layers.items():
            chosen = [op for name, op in self._ops.items() if fnmatchcase(name, pattern)]
            for key in bits:
                if not any(hasattr(op, key) for op in chosen):
                    raise InputError(f"{self._name}: layers has {key!r} for {pattern!r}, but no operator of such a "
                                     f"name has that field, allowed: names or patterns of {', '.join(self._ops)}")
        return Workload(self._name, tuple(self._bits.of(op) for op in self._ops.values()))

    def matvec(self, label: str, weights: str, inputs: int, outputs: int, vectors: int,
               after: tuple[str, ...]) -> tuple[str, ...]:
        """`vectors` uses of the stored matrix with the key `weights`; returns the operators to wait for."""
        vectors = self._share(label, "vectors", vectors)
        key = ("matvec", weights, inputs, outputs)
        if key in self._stored:
            name = self._stored[key]
            first = self._ops[name]
            assert isinstance(first, MatVec)
            self._ops[name] = replace(first, vectors=first.vectors + vectors)
            return (name, *(needed for needed in after if needed != name))
        self._stored[key] = name = self._free_name(label)
        return self._add(MatVec(name, inputs, outputs, vectors, after=after))

    def matmul(self, label: str, rows: int, inner: int, columns: int, count: int,
               after: tuple[str, ...]) -> tuple[str, ...]:
        """`count` products of activations; a batch is taken off their number, else off their rows."""
        if count % self._batch == 0:
            count //= self._batch
        else:
            rows = self._share(label, "rows", rows)
        return self._add(MatMul(self._free_name(label), rows, inner, columns, count, after=after))

    def gather(self, label: str, table: str, rows: int, length: int, bags: int, lookups: float,
               after: tuple[str, ...]) -> tuple[str, ...]:
        """`bags` sums of `lookups` rows of the stored table with the key `table`."""
        bags = self._share(label, "bags", bags)
        key = ("gather", table, rows, length)
        if key in self._stored:
            name = self._stored[key]
            first = self._ops[name]
            assert isinstance(first, Gather)
            read = first.bags * first.lookups + bags * lookups
            self._ops[name] = replace(first, bags=first.bags + bags, lookups=read / (first.bags + bags))
            return (name, *(needed for needed in after if needed != name))
        self._stored[key] = name = self._free_name(label)
        return self._add(Gather(name, rows, length, bags, float(lookups), after=after))

    def sum_rows(self, name: str, rows: int, bags: int) -> None:
        """Let the gather `name` add `rows` of its rows up to `bags` sums."""
        op = self._ops[name]
        assert isinstance(op, Gather)
        left = op.bags - self._share(name, "rows", rows) + self._share(name, "bags", bags)
        self._ops[name] = replace(op, bags=left, lookups=op.bags * op.lookups / left)

    def elementwise(self, label: str, kind: str, count: int, after: tuple[str, ...],
                    operands: int = 1) -> tuple[str, ...]:
        """`count` numbers out of the vector unit, each from `operands`."""
        count = self._share(label, "numbers", count)
        return self._add(Elementwise(self._free_name(label), kind, count, after=after, operands=operands))

    def reduction(self, label: str, kind: str, numbers: int, results: int, after: tuple[str, ...]) -> tuple[str, ...]:
        """`results` out of the vector unit, from `numbers` in equal shares, rounded up.

        Where a batch is reduced too, an inference has its share of the numbers, and they count as results.
        """
        if results % self._batch:
            return self.elementwise(label, kind, numbers, after)
        return self.elementwise(label, kind, results, after, -(-numbers // results))

    def unknown(self, label: str, operator: str, place: str, count: int, after: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse an operator without a known cost, or charge one step for each of its `count` outputs."""
        if not self.charges_unknown:
            raise InputError(f"{label}: no cost is known for operator {operator}{place}, allowed: the operators that "
                             "docs/workloads.md lists, or unknown='vector_unit', which charges a step per output")
        return self.elementwise(label, "copy", count, after)

    def _share(self, label: str, what: str, total: int) -> int:
        """What is one inference's of a batch."""
        if total % self._batch:
            raise InputError(f"{label}: its {total} {what} are no multiple of batch={self._batch}, "
                             "allowed: the batch that the example inputs have")
        return total // self._batch

    def _free_name(self, label: str) -> str:
        """`label`, with a number behind it where it is taken."""
        name = label
        while name in self._ops:
            self._labels[label] = self._labels.get(label, 0) + 1
            name = f"{label}_{self._labels[label]}"
        return name

    def _add(self, op: Op) -> tuple[str, ...]:
        self._ops[op.name] = op
        return (op.name,)
