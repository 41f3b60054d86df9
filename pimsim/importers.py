"""Workloads from torch modules; torch is imported only when a module is given."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from pimsim.errors import InputError
from pimsim.workload import Elementwise, Gather, MatVec, Op, Workload

if TYPE_CHECKING:
    from torch import fx, nn

_MODULE_KINDS = {"ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax", "LayerNorm": "layernorm"}
_CALL_KINDS = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softmax": "softmax", "add": "add", "sub": "add",
               "mul": "multiply"}
_FREE_MODULES = ("Dropout", "Flatten", "Identity")
_FREE_CALLS = ("cat", "flatten", "reshape", "view", "unsqueeze", "squeeze", "transpose", "permute", "contiguous",
               "getitem", "stack", "dropout")


def workload_from_torch(module: nn.Module, *examples: Any, name: str = "torch", weight_bits: int = 8,
                        input_bits: int = 8) -> Workload:
    """The workload of one call of `module` with `examples`, the tensors of ONE inference (a batch of one).

    Knows Linear, Conv2d (as im2col: one vector per output position), Embedding, EmbeddingBag, activations, LayerNorm,
    sums and products of tensors; rearranging tensors is free. InputError names an operator that it does not know and
    says which it does; so it does for a module whose control flow cannot be traced.
    """
    from torch import fx
    from torch.fx.passes.shape_prop import ShapeProp

    try:
        graph = fx.symbolic_trace(module.eval())
    except Exception as error:  # tracing runs the user's code: any exception can come out of it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: torch cannot trace this module: {reason}") from None
    ShapeProp(graph).propagate(*examples)
    ops: list[Op] = []
    produced: dict[fx.Node, tuple[str, ...]] = {}
    for node in graph.graph.nodes:
        sources = [produced[source] for source in node.all_input_nodes]
        after = tuple(dict.fromkeys(op for source in sources for op in source))
        if node.op == "call_module":
            op = _from_module(node, graph.get_submodule(str(node.target)), after, weight_bits, input_bits)
        elif node.op in ("call_function", "call_method"):
            op = _from_call(node, after)
        else:
            op = None
        if op is not None:
            ops.append(op)
        produced[node] = after if op is None else (op.name,)
    return Workload(name, tuple(ops))


def _numel(node: fx.Node) -> int:
    """Numbers in the tensor that `node` gives."""
    return int(node.meta["tensor_meta"].shape.numel())


def _from_module(node: fx.Node, layer: nn.Module, after: tuple[str, ...], weight_bits: int,
                 input_bits: int) -> Op | None:
    from torch import nn

    label = str(node.target)
    if isinstance(layer, nn.Linear):
        vectors = _numel(node) // layer.out_features
        return MatVec(label, layer.in_features, layer.out_features, vectors, weight_bits, input_bits, after=after)
    if isinstance(layer, nn.Conv2d):
        if layer.groups != 1:
            raise InputError(f"{label}: Conv2d with groups={layer.groups}, allowed: groups=1")
        inputs = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        positions = _numel(node) // layer.out_channels
        return MatVec(label, inputs, layer.out_channels, positions, weight_bits, input_bits, after=after)
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        bags = _numel(node) // layer.embedding_dim
        lookups = _numel(node.all_input_nodes[0]) / bags if isinstance(layer, nn.EmbeddingBag) else 1
        return Gather(label, layer.num_embeddings, layer.embedding_dim, bags, lookups, weight_bits, after=after)
    kind = type(layer).__name__
    if kind in _FREE_MODULES:
        return None
    if kind in _MODULE_KINDS:
        return Elementwise(label, _MODULE_KINDS[kind], _numel(node), after=after)
    known = ["Linear", "Conv2d", "Embedding", "EmbeddingBag", *_MODULE_KINDS, *_FREE_MODULES]
    raise InputError(f"{label}: no cost is known for module {kind}, allowed: {', '.join(known)}")


def _from_call(node: fx.Node, after: tuple[str, ...]) -> Op | None:
    call = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if call in _FREE_CALLS or node.target is operator.getitem:
        return None
    if call in _CALL_KINDS:
        return Elementwise(node.name, _CALL_KINDS[call], _numel(node), after=after)
    raise InputError(f"{node.name}: no cost is known for operation {call}, allowed: "
                     f"{', '.join([*_CALL_KINDS, *_FREE_CALLS])}")
