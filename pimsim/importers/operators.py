"""What the operators of neural networks cost, whatever file or framework they come from."""

from __future__ import annotations

import math
from dataclasses import replace

from pimsim.errors import InputError
from pimsim.importers.builder import Builder, Value, sources_of


def rearranged(shape: tuple[int, ...], *values: Value | None) -> Value:
    """Views, slices, concatenations: free. A view of a whole stored tensor keeps its key."""
    present = [value for value in values if value is not None]
    if len(present) == 1 and present[0].shape == shape:
        return present[0]
    return Value(shape, sources_of(present))


def mapped(builder: Builder, label: str, kind: str, shape: tuple[int, ...], *values: Value | None) -> Value:
    """One operation of `kind` for each number of the result, from a number of each tensor that is as large.

    A smaller one, which is repeated, is read once and held (assumption: at no cost), as what is known beforehand is.
    """
    count = math.prod(shape)
    read = {id(value) for value in values if value is not None and value.stored is None and value.numel >= count}
    return Value(shape, builder.elementwise(label, kind, count, sources_of(values), max(len(read), 1)))


def gated(builder: Builder, label: str, x: Value) -> Value:
    """GELU and SiLU as x sigmoid(c x): a sigmoid and a product (Hendrycks & Gimpel 2016, section 2)."""
    gate = mapped(builder, f"{label}.sigmoid", "sigmoid", x.shape, x)
    return mapped(builder, f"{label}.mul", "multiply", x.shape, x, gate)


def combined(builder: Builder, label: str, kind: str, shape: tuple[int, ...], left: Value, right: Value) -> Value:
    """Sum, difference, product or quotient of two tensors.

    Free are a factor that is one stored number, since quantised numbers carry a scale anyway, and whatever stored
    numbers shift or scale the outputs of a stored matrix: a bias or factor per output is part of that matrix.
    """
    stored, x = (left, right) if left.stored is not None else (right, left)
    if stored.stored is not None and x.shape == shape and (kind != "rescale" or stored is right):
        if stored.numel == 1 and kind in ("multiply", "rescale"):
            return x
        if x.channel is not None and x.uses == 1 and per_channel(stored.shape, x):
            return x
    return mapped(builder, label, kind, shape, left, right)


def per_channel(shape: tuple[int, ...], x: Value) -> bool:
    """Whether a tensor of this `shape` has one number for each output of the matrix that `x` comes from, or one."""
    aligned = (1,) * (len(x.shape) - len(shape)) + shape
    return all(size in (1, full if axis == x.channel else 1)
               for axis, (size, full) in enumerate(zip(aligned, x.shape, strict=True)))


def product(builder: Builder, label: str, left: Value, right: Value, shape: tuple[int, ...], rows: int, inner: int,
            columns: int, count: int, channel: int | None = None) -> Value:
    """`count` products `[rows, inner]` by `[inner, columns]`: a `MatMul`, or a `MatVec` for each stored matrix."""
    if left.stored is None and right.stored is None:
        return Value(shape, builder.matmul(label, rows, inner, columns, count, sources_of((left, right))))
    if right.stored is not None:
        matrix, x, outputs, vectors = right, left, columns, rows
    else:
        matrix, x, outputs, vectors = left, right, rows, columns
    sources: list[str] = []
    for index in range(count):
        part = "" if count == 1 else f".group{index}"
        sources += builder.matvec(f"{label}{part}", f"{matrix.stored}{part}", inner, outputs, vectors, x.sources)
    return Value(shape, tuple(dict.fromkeys(sources)), channel=channel)


def matrix_product(builder: Builder, label: str, left: Value, right: Value, shape: tuple[int, ...]) -> Value:
    """The product of two tensors as NumPy's matmul has it: of their last two axes, the others broadcast."""
    a = (1, *left.shape) if len(left.shape) == 1 else left.shape
    b = (*right.shape, 1) if len(right.shape) == 1 else right.shape
    rows, inner, columns = a[-2], a[-1], b[-1]
    count = math.prod(shape) // (rows * columns)
    channel: int | None = None
    if right.stored is not None and math.prod(b[:-2]) == 1:
        rows, count, channel = rows * count, 1, len(shape) - 1
    elif left.stored is not None and math.prod(a[:-2]) == 1:
        columns, count, channel = columns * count, 1, max(len(shape) - 2, 0)
    return product(builder, label, left, right, shape, rows, inner, columns, count, channel)


def convolution(builder: Builder, label: str, x: Value, weight: Value, shape: tuple[int, ...],
                groups: int = 1) -> Value:
    """A convolution by im2col: `weight` is `[outputs, inputs / groups, ...]`, every output position is a vector.

    Each of `groups` has a matrix of its own.
    """
    outputs, inner = weight.shape[0] // groups, math.prod(weight.shape[1:])
    positions = math.prod(shape) // weight.shape[0]
    return product(builder, label, x, weight, shape, positions, inner, outputs, groups, 1 if len(shape) > 2 else 0)


def transposed_convolution(builder: Builder, label: str, x: Value, weight: Value, shape: tuple[int, ...],
                           groups: int = 1) -> Value:
    """Its adjoint: `weight` is `[inputs, outputs / groups, ...]`; every input position gives a window to be added."""
    inner, outputs = weight.shape[0] // groups, math.prod(weight.shape[1:])
    positions = x.numel // weight.shape[0]
    windows = product(builder, label, x, weight, (positions, outputs * groups), positions, inner, outputs, groups)
    return Value(shape, builder.reduction(f"{label}.add", "add", windows.numel, math.prod(shape), windows.sources))


def einsum(builder: Builder, label: str, equation: str, left: Value, right: Value, shape: tuple[int, ...]) -> Value:
    """A product of two tensors by Einstein's rule, e.g. `bhnd,bhmd->bhnm`; InputError for what is no matrix product."""
    terms, _, result = equation.replace(" ", "").partition("->")
    a, _, b = terms.partition(",")
    allowed = "two operands and a result, such as 'bnd,bmd->bnm', no letter twice in a term and none in one term only"
    sizes = dict(zip(a + b, left.shape + right.shape, strict=False))
    shared, free_a, free_b = (set(a) & set(b), set(a) - set(b), set(b) - set(a))
    if "->" not in equation or "." in equation or len(a) + len(b) != len(left.shape) + len(right.shape) \
            or len(set(a)) != len(a) or len(set(b)) != len(b) or not free_a | free_b <= set(result):
        raise InputError(f"{label}: no cost is known for einsum {equation!r}, allowed: {allowed}")

    def size(letters: set[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    inner = shared - set(result)
    if not inner:
        return mapped(builder, label, "multiply", shape, left, right)
    rows, columns, count = size(free_a), size(free_b), size(shared & set(result))
    return product(builder, label, left, right, shape, rows, size(inner), columns, count)


def attention(builder: Builder, label: str, query: Value, key: Value, value: Value, shape: tuple[int, ...],
              masked: bool) -> Value:
    """softmax(Q Kᵀ / sqrt(d) + mask) V of `[..., positions, d]` tensors; the whole Q Kᵀ is computed under any mask.

    A mask is known beforehand (assumption).
    """
    *heads, rows, inner = query.shape
    columns = key.shape[-2]
    of_scores = (*heads, rows, columns)
    scores = product(builder, f"{label}.scores", query, key, of_scores, rows, inner, columns, math.prod(heads))
    if masked:
        scores = mapped(builder, f"{label}.mask", "add", of_scores, scores)
    weights = mapped(builder, f"{label}.softmax", "softmax", of_scores, scores)
    return product(builder, f"{label}.values", weights, value, shape, rows, columns, shape[-1], math.prod(heads))


def looked_up(builder: Builder, label: str, table: Value, ids: Value, shape: tuple[int, ...]) -> Value:
    """Whole rows of a tensor chosen by `ids` along its first axis: a `Gather` where the tensor is stored, else free."""
    if table.stored is None:
        return rearranged(shape, table, ids)
    length = math.prod(table.shape[1:])
    sources = builder.gather(label, table.stored, table.shape[0], length, ids.numel, 1.0, ids.sources)
    return Value(shape, sources, gathered=sources[0])


def reduced(builder: Builder, label: str, kind: str, x: Value, shape: tuple[int, ...], last_too: bool) -> Value:
    """Sum, mean or maximum over axes; `last_too`: the last axis is among them.

    Rows of a table that are summed straight away are bags of its gather.
    """
    if kind == "add" and x.gathered is not None and x.uses == 1 and not last_too:
        length = x.shape[-1]
        builder.sum_rows(x.gathered, x.numel // length, math.prod(shape) // length)
        return Value(shape, x.sources)
    return Value(shape, builder.reduction(label, kind, x.numel, math.prod(shape), x.sources))


def pooled(builder: Builder, label: str, kind: str, x: Value, shape: tuple[int, ...], window: int) -> Value:
    """Maximum or mean of windows of `window` numbers."""
    return Value(shape, builder.elementwise(label, kind, math.prod(shape), x.sources, window))


def batch_normalised(builder: Builder, label: str, x: Value) -> Value:
    """Factor and shift per channel, known beforehand: part of the stored matrix before it, else a rescaling."""
    if x.channel == 1 and x.uses == 1:
        return x
    return replace(mapped(builder, label, "rescale", x.shape, x), channel=None)


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Recurrent layers, with the products that a step needs for each hidden number."""
# Numbers out of the vector unit per step and hidden number: the layer's equations; both parts are added. The `add` of
# one operand takes a gate from 1.
_STEP = {
    "lstm": (("add", 5, 2), ("sigmoid", 3, 1), ("tanh", 2, 1), ("multiply", 3, 2)),
    "gru": (("add", 4, 2), ("add", 1, 1), ("sigmoid", 2, 1), ("tanh", 1, 1), ("multiply", 3, 2)),
    "rnn_tanh": (("add", 1, 2), ("tanh", 1, 1)),
    "rnn_relu": (("add", 1, 2), ("relu", 1, 1)),
}


def recurrent(builder: Builder, label: str, kind: str, suffix: str, x: Value, weights: tuple[str, str],
              hidden: int) -> tuple[str, ...]:
    """One direction of one recurrent layer over `[steps, ..., inputs]`: two stored matrices, a vector per step.

    The steps wait for each other, so a second copy of the recurrent weights would gain nothing: the sum of their times
    is right where weights have one copy.
    """
    inputs = x.shape[-1]
    steps = x.numel // inputs
    outputs = GATES[kind] * hidden
    after = builder.matvec(f"{label}.ih{suffix}", weights[0], inputs, outputs, steps, x.sources)
    after = builder.matvec(f"{label}.hh{suffix}", weights[1], hidden, outputs, steps, after)
    for step, times, operands in _STEP[kind]:
        after = builder.elementwise(f"{label}{suffix}.{step}", step, steps * hidden * times, after, operands)
    return after
