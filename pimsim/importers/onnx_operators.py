"""The operators of ONNX with a known cost; this file needs no onnx."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from pimsim.errors import InputError
from pimsim.importers import operators
from pimsim.importers.builder import Builder, Value, sources_of

VIEWS = {
    "Cast", "CastLike", "DequantizeLinear", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose",
    "Unsqueeze"}
"""Operators that show the same numbers, perhaps in another order."""
FREE = VIEWS | {
    "CenterCropPad", "Compress", "Concat", "ConstantOfShape", "DepthToSpace", "Dropout", "EyeLike",
    "GatherElements", "GatherND", "Pad", "Range", "Slice", "SpaceToDepth", "Split", "Tile", "Trilu"}
"""Operators that compute nothing: views, and those that pick, repeat or join."""

_MAPS = {
    "add": ["And", "CumSum", "Not", "Or", "Sum", "Xor", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "Mod"],
    "copy": ["Where"],
    "max": [
        "Ceil", "Clip", "Equal", "Floor", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual",
        "Max", "Min", "Round", "Sign", "ThresholdedRelu"],
    "multiply": ["PRelu"],
    "relu": ["Abs", "LeakyRelu", "Relu"],
    "rescale": ["QuantizeLinear"],
    "softmax": ["LogSoftmax", "Softmax"],
    "layernorm": ["GroupNormalization", "InstanceNormalization", "LayerNormalization", "RMSNormalization"],
    "tanh": ["Tanh"],
    "sigmoid": [
        "Celu", "Cos", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "Log", "Mish", "Reciprocal", "Selu",
        "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt"],
}  # as in torch_operators.py
_COMBINATIONS = {"Add": "add", "Sub": "add", "Mul": "multiply", "Div": "rescale"}
_REDUCTIONS = {"ArgMax": "max", "ArgMin": "max", "GlobalAveragePool": "add", "GlobalMaxPool": "max", "ReduceL1": "add",
               "ReduceL2": "square", "ReduceMax": "max", "ReduceMean": "add", "ReduceMin": "max", "ReduceSum": "add",
               "ReduceSumSquare": "square"}


@dataclass(frozen=True)
class Call:
    """One node: the workload so far, what to name its operators, its inputs (None: left out) with their numbers where
    they are few and known, its attributes, the shape of its first output.
    """

    builder: Builder
    label: str
    op_type: str
    inputs: list[Value | None]
    constants: list[Any]
    attributes: dict[str, Any]
    shape: tuple[int, ...]

    def tensor(self, index: int) -> Value:
        """The input `index`; InputError where it is left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise InputError(f"{self.label}: input {index} of {self.op_type} is left out, allowed: all that it needs")
        return value

    def has(self, index: int) -> bool:
        """Whether there is an input `index`."""
        return index < len(self.inputs) and self.inputs[index] is not None


_Handler: TypeAlias = Callable[[Call], Value | None]  # None: this form of the operator is not known


def _map(kind: str) -> _Handler:
    def charge(call: Call) -> Value:
        values = [value for value in call.inputs if value is not None and value.stored is None]
        return operators.mapped(call.builder, call.label, kind, call.shape, *values)
    return charge


def _combine(call: Call) -> Value:
    return operators.combined(call.builder, call.label, _COMBINATIONS[call.op_type], call.shape, call.tensor(0),
                              call.tensor(1))


def _negate(call: Call) -> Value:
    return operators.combined(call.builder, call.label, "multiply", call.shape, call.tensor(0), Value((), stored="-1"))


def _power(call: Call) -> Value | None:
    exponent = call.constants[1]
    square = exponent is not None and exponent.size == 1 and exponent.item() == 2
    return _map("square" if square else "sigmoid")(call)


def _gate(call: Call) -> Value:
    return operators.gated(call.builder, call.label, call.tensor(0))


def _reduce(call: Call) -> Value:
    x = call.tensor(0)
    axes = call.attributes.get("axes", call.attributes.get("axis"))
    if axes is None and call.has(1) and call.constants[1] is not None:
        axes = [int(axis) for axis in call.constants[1].reshape(-1)]
    axes = [axes] if isinstance(axes, int) else axes
    last_too = not axes or any(axis % len(x.shape) == len(x.shape) - 1 for axis in axes)
    return operators.reduced(call.builder, call.label, _REDUCTIONS[call.op_type], x, call.shape, last_too)


def _pool(call: Call) -> Value:
    kind = "max" if call.op_type == "MaxPool" else "add"
    window = math.prod(call.attributes["kernel_shape"])
    return operators.pooled(call.builder, call.label, kind, call.tensor(0), call.shape, window)


def _matmul(call: Call) -> Value:
    right = 3 if call.op_type == "QLinearMatMul" else 1
    return operators.matrix_product(call.builder, call.label, call.tensor(0), call.tensor(right), call.shape)


def _gemm(call: Call) -> Value:
    left, right = call.tensor(0), call.tensor(1)
    inner = left.shape[0 if call.attributes.get("transA", 0) else 1]
    rows, columns = call.shape
    channel = 1 if right.stored is not None else 0
    out = operators.product(call.builder, call.label, left, right, call.shape, rows, inner, columns, 1, channel)
    if not call.has(2):
        return out
    return operators.combined(call.builder, f"{call.label}.add", "add", call.shape, out, call.tensor(2))


def _convolution(call: Call) -> Value:
    weight = call.tensor(3 if call.op_type == "QLinearConv" else 1)
    build = operators.transposed_convolution if call.op_type == "ConvTranspose" else operators.convolution
    return build(call.builder, call.label, call.tensor(0), weight, call.shape, call.attributes.get("group", 1))


def _einsum(call: Call) -> Value | None:
    if len(call.inputs) != 2:
        return None
    return operators.einsum(call.builder, call.label, call.attributes["equation"], call.tensor(0), call.tensor(1),
                            call.shape)


def _attention(call: Call) -> Value:
    query, key, value = (call.tensor(index) for index in range(3))
    shape = call.shape
    if len(query.shape) == 3:  # heads side by side: [batch, positions, heads x numbers]
        heads, kept = call.attributes["q_num_heads"], call.attributes["kv_num_heads"]
        query, key, value = (Value((x.shape[0], count, x.shape[1], x.shape[2] // count), x.sources, x.stored)
                             for x, count in ((query, heads), (key, kept), (value, kept)))
        shape = (shape[0], heads, shape[1], shape[2] // heads)
    masked = call.has(3) or bool(call.attributes.get("is_causal", 0))
    out = operators.attention(call.builder, call.label, query, key, value, shape, masked)
    return Value(call.shape, out.sources)


def _gather(call: Call) -> Value | None:
    table, ids = call.tensor(0), call.tensor(1)
    if table.stored is not None and call.attributes.get("axis", 0) != 0:
        return None
    return operators.looked_up(call.builder, call.label, table, ids, call.shape)


def _batch_norm(call: Call) -> Value:
    return operators.batch_normalised(call.builder, call.label, call.tensor(0))


def _recurrent(call: Call) -> Value | None:
    kind = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn_tanh"}[call.op_type]
    if kind == "rnn_tanh" and "Relu" in call.attributes.get("activations", ()):
        kind = "rnn_relu"
    x, ih, hh = (call.tensor(index) for index in range(3))
    if call.has(4) or ih.stored is None or hh.stored is None:  # sequences of unequal length, computed weights
        return None
    sources: tuple[str, ...] = ()
    for direction in range(ih.shape[0]):
        part = "_reverse" * direction
        sources += operators.recurrent(call.builder, call.label, kind, f"_l0{part}", x,
                                       (f"{ih.stored}{part}", f"{hh.stored}{part}"), hh.shape[2])
    return Value(call.shape, sources_of((Value((), sources),)))


OPERATORS: dict[str, _Handler] = {
    **{name: _map(kind) for kind, names in _MAPS.items() for name in names},
    **dict.fromkeys(_COMBINATIONS, _combine), **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv", "ConvTranspose"), _convolution),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent), **dict.fromkeys(("Gelu", "Swish"), _gate),
    "Gemm": _gemm, "Einsum": _einsum, "Attention": _attention, "Gather": _gather, "BatchNormalization": _batch_norm,
    "Neg": _negate, "Pow": _power,
}
"""How each operator is charged, by its name."""
