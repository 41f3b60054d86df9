"""The operators of torch (ATen) with a known cost; this file needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from pimsim.errors import InputError
from pimsim.importers import operators
from pimsim.importers.builder import Builder, Value, sources_of

VIEWS = {
    "alias", "contiguous", "detach", "expand", "expand_as", "flatten", "lift_fresh", "lift_fresh_copy", "movedim",
    "permute", "reshape", "squeeze", "swapaxes", "swapdims", "t", "to", "transpose", "unflatten", "unsqueeze",
    "view", "view_as", "_unsafe_view", "_to_copy", "clone", "type_as", "reshape_as", "numpy_T"}
"""Operators that show the same numbers, perhaps in another order."""
FREE = VIEWS | {
    "_assert_tensor_metadata", "_assert_async", "alpha_dropout", "as_strided", "broadcast_to", "broadcast_tensors",
    "cat", "channel_shuffle", "chunk", "column_stack", "concat", "concatenate", "constant_pad_nd", "copy",
    "diagonal", "dropout", "feature_dropout", "flip", "gather", "hsplit", "hstack", "masked_select", "narrow", "pad",
    "pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "roll", "select", "slice", "split",
    "split_with_sizes", "stack", "take_along_dim", "tile", "tril", "triu", "unbind", "unfold", "unsafe_split",
    "vsplit", "vstack"}
"""Operators that compute nothing: views, and those that pick, repeat or join."""
CONSTANT = {"empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"}
"""Operators whose result depends on the shape of their input alone."""

_MAPS = {
    "add": [
        "logical_and", "logical_not", "logical_or", "logical_xor", "bitwise_and", "bitwise_not", "bitwise_or",
        "cumsum", "remainder", "rsub"],
    "copy": ["masked_fill", "where"],
    "max": [
        "clamp", "clamp_max", "clamp_min", "clip", "eq", "floor", "ge", "gt", "hardtanh", "le", "lt", "maximum",
        "minimum", "ne", "relu6", "round", "sign", "ceil", "isinf", "isnan", "threshold"],
    "multiply": ["prelu"],
    "relu": ["abs", "leaky_relu", "relu"],
    "square": ["square"],
    "softmax": ["_log_softmax", "_softmax", "log_softmax", "softmax"],
    "layernorm": [
        "group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm", "rms_norm",
        "_fused_rms_norm"],
    "tanh": ["tanh"],
    "sigmoid": [
        "celu", "cos", "elu", "erf", "exp", "expm1", "hardsigmoid", "hardswish", "log", "log1p", "log2",
        "log_sigmoid", "mish", "reciprocal", "rsqrt", "selu", "sigmoid", "sin", "softplus", "softsign", "sqrt"],
}  # what has no kind of its own is charged as the look-up in a table that a sigmoid is: assumption
_COMBINATIONS = {"add": "add", "sub": "add", "mul": "multiply", "div": "rescale"}
_REDUCTIONS = {"amax": "max", "amin": "max", "any": "max", "all": "max", "argmax": "max", "argmin": "max",
               "linalg_vector_norm": "square", "max": "max", "mean": "add", "min": "max", "norm": "square",
               "std": "square", "sum": "add", "var": "square"}


@dataclass(frozen=True)
class Call:
    """One call: the workload so far, what to name its operators, its arguments by name, the shape of its result."""

    builder: Builder
    label: str
    name: str
    overload: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]

    def tensors(self, *names: str) -> list[Value]:
        """The arguments `names`, which are tensors."""
        return [self.arguments[name] for name in names]


_Handler: TypeAlias = Callable[[Call], Value | None]  # None: this form of the operator is not known


def _map(kind: str) -> _Handler:
    def charge(call: Call) -> Value:
        values = [value for value in call.arguments.values() if isinstance(value, Value) and value.stored is None]
        return operators.mapped(call.builder, call.label, kind, call.shape, *values)
    return charge


def _gate(call: Call) -> Value:
    return operators.gated(call.builder, call.label, call.arguments["self"])


def _glu(call: Call) -> Value:
    x = call.arguments["self"]
    gate = operators.mapped(call.builder, f"{call.label}.sigmoid", "sigmoid", call.shape, Value(call.shape, x.sources))
    half = Value(call.shape, x.sources)
    return operators.mapped(call.builder, f"{call.label}.mul", "multiply", call.shape, half, gate)


def _combine(call: Call) -> Value:
    left, right = (value if isinstance(value, Value) else Value((), stored=repr(value))
                   for value in (call.arguments["self"], call.arguments["other"]))
    return operators.combined(call.builder, call.label, _COMBINATIONS[call.name], call.shape, left, right)


def _negate(call: Call) -> Value:
    return operators.combined(call.builder, call.label, "multiply", call.shape, call.arguments["self"],
                              Value((), stored="-1"))


def _power(call: Call) -> Value:
    kind = "square" if call.arguments.get("exponent") == 2 else "sigmoid"
    return _map(kind)(call) or Value(call.shape)


def _reduce(call: Call) -> Value:
    if call.overload == "other":  # the larger or smaller of two tensors
        return operators.mapped(call.builder, call.label, "max", call.shape, *call.tensors("self", "other"))
    x = call.arguments["self"]
    axes = call.arguments.get("dim")
    axes = [axes] if isinstance(axes, int) else axes
    last_too = not axes or any(axis % len(x.shape) == len(x.shape) - 1 for axis in axes)
    return operators.reduced(call.builder, call.label, _REDUCTIONS[call.name], x, call.shape, last_too)


def _pool(call: Call) -> Value:
    axes = int(call.name.removesuffix("_with_indices")[-2])
    sizes = call.arguments["kernel_size"]
    sizes = [sizes] if isinstance(sizes, int) else sizes
    window = math.prod(sizes) if len(sizes) == axes else sizes[0] ** axes
    kind = "max" if "max" in call.name else "add"
    return operators.pooled(call.builder, call.label, kind, call.arguments["self"], call.shape, window)


def _adaptive_pool(call: Call) -> Value:
    x = call.arguments["self"]
    kind = "max" if "max" in call.name else "add"
    window = -(-x.numel // math.prod(call.shape))
    return operators.pooled(call.builder, call.label, kind, x, call.shape, window)


def _linear(call: Call) -> Value:
    x, weight = call.tensors("input", "weight")
    outputs, inputs = weight.shape
    return operators.product(call.builder, call.label, x, weight, call.shape, x.numel // inputs, inputs, outputs, 1,
                             len(call.shape) - 1)


def _matmul(call: Call) -> Value:
    names = {"mm": "mat2", "bmm": "mat2", "mv": "vec", "dot": "tensor"}
    left, right = call.tensors("self", names.get(call.name, "other"))
    return operators.matrix_product(call.builder, call.label, left, right, call.shape)


def _add_matmul(call: Call) -> Value:
    names = ("mat1", "mat2") if call.name == "addmm" else ("batch1", "batch2")
    term, left, right = call.tensors("self", *names)
    out = operators.matrix_product(call.builder, call.label, left, right, call.shape)
    return operators.combined(call.builder, f"{call.label}.add", "add", call.shape, out, term)


def _einsum(call: Call) -> Value | None:
    tensors: list[Value] = call.arguments["tensors"]
    if len(tensors) != 2:
        return None
    left, right = tensors
    return operators.einsum(call.builder, call.label, call.arguments["equation"], left, right, call.shape)


def _convolution(call: Call) -> Value:
    x, weight = call.tensors("input", "weight")
    build = operators.transposed_convolution if "transpose" in call.name else operators.convolution
    return build(call.builder, call.label, x, weight, call.shape, call.arguments["groups"])


def _attention(call: Call) -> Value:
    query, key, value = call.tensors("query", "key", "value")
    masked = call.arguments["attn_mask"] is not None or bool(call.arguments["is_causal"])
    return operators.attention(call.builder, call.label, query, key, value, call.shape, masked)


def _embedding(call: Call) -> Value:
    table, ids = call.tensors("weight", "indices")
    return operators.looked_up(call.builder, call.label, table, ids, call.shape)


def _index_select(call: Call) -> Value | None:
    table, ids = call.tensors("self", "index")
    if table.stored is not None and call.arguments["dim"] != 0:
        return None
    return operators.looked_up(call.builder, call.label, table, ids, call.shape)


def _index(call: Call) -> Value | None:
    table, ids = call.arguments["self"], [value for value in call.arguments["indices"] if value is not None]
    if table.stored is None:
        return operators.rearranged(call.shape, table, *ids)
    if len(ids) != 1 or call.arguments["indices"][0] is None:
        return None
    return operators.looked_up(call.builder, call.label, table, ids[0], call.shape)


def _embedding_bag(call: Call) -> Value | None:
    table, ids, weights = call.tensors("weight", "indices", "per_sample_weights")
    if table.stored is None:
        return None
    (bags, length), rows = call.shape, table.shape[0]
    if weights is None:
        return Value(call.shape, call.builder.gather(call.label, table.stored, rows, length, bags, ids.numel / bags,
                                                     ids.sources))
    read = operators.looked_up(call.builder, call.label, table, ids, (ids.numel, length))
    scaled = operators.mapped(call.builder, f"{call.label}.mul", "multiply", read.shape, read, weights)
    return Value(call.shape, call.builder.reduction(f"{call.label}.add", "add", scaled.numel, bags * length,
                                                    scaled.sources))


def _batch_norm(call: Call) -> Value:
    return operators.batch_normalised(call.builder, call.label, call.arguments["input"])


def _recurrent(call: Call) -> Value | None:
    if call.overload != "input":  # packed sequences: their lengths are data
        return None
    x, weights = call.arguments["input"], call.arguments["params"]
    directions = 2 if call.arguments["bidirectional"] else 1
    cells = call.arguments["num_layers"] * directions
    each = len(weights) // cells
    if each != (4 if call.arguments["has_biases"] else 2):
        raise InputError(f"{call.label}: {call.name} with a projection of its hidden state, allowed: proj_size=0")
    label = call.label.removesuffix(".weight_ih_l0")
    for layer in range(call.arguments["num_layers"]):
        after: list[tuple[str, ...]] = []
        for direction in range(directions):
            first = (layer * directions + direction) * each
            ih, hh = weights[first:first + 2]
            suffix = f"_l{layer}" + "_reverse" * direction
            hidden = hh.shape[1]
            after.append(operators.recurrent(call.builder, label, call.name, suffix, x, (ih.stored, hh.stored), hidden))
        sources = tuple(name for names in after for name in names)
        x = Value((*x.shape[:-1], hidden * directions), sources)
    return Value(call.shape, sources_of((x,)))


OPERATORS: dict[str, _Handler] = {
    **{name: _map(kind) for kind, names in _MAPS.items() for name in names},
    **dict.fromkeys(_COMBINATIONS, _combine), **dict.fromkeys(_REDUCTIONS, _reduce),
    **{f"{kind}_pool{axes}d": _pool for kind in ("max", "avg") for axes in (1, 2, 3)},
    **{f"max_pool{axes}d_with_indices": _pool for axes in (2, 3)},
    **{f"adaptive_{kind}_pool{axes}d": _adaptive_pool for kind in ("max", "avg") for axes in (1, 2, 3)},
    **{f"conv{axes}d": _convolution for axes in (1, 2, 3)}, "convolution": _convolution,
    **{f"conv_transpose{axes}d": _convolution for axes in (1, 2, 3)},
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot"), _matmul), **dict.fromkeys(("addmm", "baddbmm"), _add_matmul),
    **dict.fromkeys(operators.GATES, _recurrent),
    "linear": _linear, "einsum": _einsum, "scaled_dot_product_attention": _attention, "gelu": _gate, "silu": _gate,
    "glu": _glu, "neg": _negate, "pow": _power, "embedding": _embedding, "index_select": _index_select, "index": _index,
    "embedding_bag": _embedding_bag, "batch_norm": _batch_norm,
}
"""How each operator is charged, by its name."""
