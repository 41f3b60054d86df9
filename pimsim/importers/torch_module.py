"""The workload of a torch module; torch is imported only when a module is given."""

from __future__ import annotations

import contextlib
import io
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pimsim.errors import InputError
from pimsim.importers.builder import Bits, Builder, Value, sources_of
from pimsim.importers.torch_operators import CONSTANT, FREE, OPERATORS, VIEWS, Call
from pimsim.workload import Workload

if TYPE_CHECKING:
    from torch import fx, nn
    from torch.export import ExportedProgram


def workload_from_torch(module: nn.Module, *examples: Any, name: str = "torch", weight_bits: int = 8,
                        input_bits: int = 8, element_bits: int = 8,
                        layers: Mapping[str, Mapping[str, int]] | None = None, batch: int = 1, unknown: str = "refuse",
                        keywords: Mapping[str, Any] | None = None) -> Workload:
    """The workload of one inference of `module`, from one call with the tensors `examples` (and `keywords`).

    The examples hold `batch` inferences, whose work is divided by `batch`. The graph is that of `torch.export`, in eval
    mode; operators carry the names of the modules that hold their weights, and wait for those whose results they read.
    `layers` gives other bits to operators by name or shell pattern: `{"head": {"weight_bits": 4}}`. docs/workloads.md
    lists the operators with a known cost. InputError names any other one and its place, or with
    `unknown="vector_unit"` it is charged a step of the vector unit for each number that it gives; InputError too for a
    module that cannot be exported, as where control flow depends on the data.
    """
    builder = Builder(name, Bits(weight_bits, input_bits, element_bits, layers or {}), batch, unknown)
    program = _exported(module, examples, keywords or {}, name)
    values: dict[fx.Node, Value] = {}
    for node in _needed(program.graph):
        if node.op == "placeholder":
            value = _placeholder(node, program)
        elif node.op == "call_function":
            value = _called(node, values, builder)
        else:  # the submodule of a higher-order operator
            continue
        values[node] = replace(value, uses=max(value.uses, len(node.users)))
    return builder.workload()


def _exported(module: nn.Module, examples: tuple[Any, ...], keywords: Mapping[str, Any], name: str) -> ExportedProgram:
    """The graph of `module` in eval mode; the module and torch's settings are left as they were."""
    import torch

    modes = [(part, part.training) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        module.eval()
        # The fast path is one fused operator that hides what attention consists of.
        torch.backends.mha.set_fastpath_enabled(False)
        # Of a failure torch prints the whole graph; the error below says what it comes down to.
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return torch.export.export(module, examples, dict(keywords))
    except Exception as error:  # exporting runs the user's code: any exception can come out of it
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        places = [f" ({line})" for line in lines if line.startswith("File ")]
        reason += places[-1] if places else ""
        raise InputError(f"{name}: torch cannot export this module with these examples: {reason}") from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes:
            part.training = training


def _needed(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that an output depends on, in order: a result that the module throws away costs nothing."""
    wanted: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in wanted:
            wanted.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in wanted]


def _shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of a tensor; of a tuple that of its first tensor, of anything else `()`."""
    found = node.meta.get("val")
    if isinstance(found, tuple | list):
        found = next((item for item in found if hasattr(item, "shape")), None)
    return tuple(int(size) for size in getattr(found, "shape", ()))


def _placeholder(node: fx.Node, program: ExportedProgram) -> Value:
    """An input of the module, or a parameter, buffer or constant under its own name."""
    signature = program.graph_signature
    for stored in (signature.inputs_to_parameters, signature.inputs_to_buffers,
                   signature.inputs_to_lifted_tensor_constants):
        if node.name in stored:
            return Value(_shape(node), stored=stored[node.name])
    return Value(_shape(node))


def _called(node: fx.Node, values: Mapping[fx.Node, Value], builder: Builder) -> Value:
    inputs = [values[source] for source in node.all_input_nodes if source in values]
    shape = _shape(node)
    operator_name, overload = _operator(node)
    if operator_name in CONSTANT or all(value.stored is not None for value in inputs):  # known before the inference
        kept = operator_name in VIEWS and inputs[0].numel == Value(shape).numel
        return Value(shape, stored=inputs[0].stored if kept else _derived(node, values))
    if node.target is operator.getitem:
        return replace(inputs[0], shape=shape)
    if operator_name in FREE:
        if len(inputs) == 1 and inputs[0].shape == shape and operator_name not in VIEWS:
            return inputs[0]  # the same numbers in the same places
        return Value(shape, sources_of(inputs))
    if operator_name in OPERATORS:
        label = _label(node, operator_name, inputs)
        value = OPERATORS[operator_name](Call(builder, label, operator_name, overload, _arguments(node, values), shape))
        if value is not None:
            return value
    return Value(shape, builder.unknown(_label(node, operator_name, ()), f"{operator_name}.{overload}", _place(node),
                                        _outputs(node), sources_of(inputs)))


def _operator(node: fx.Node) -> tuple[str, str]:
    """Name and overload; an operator that is not torch's own keeps its namespace, one in place loses its underscore."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target)), "default"
    namespace, _, name = schema.name.partition("::")
    own = name.removesuffix("_") if namespace == "aten" else f"{namespace}.{name}"
    return own, schema.overload_name or "default"


def _arguments(node: fx.Node, values: Mapping[fx.Node, Value]) -> dict[str, Any]:
    """The arguments by their names in the operator's schema, tensors as values."""
    given = {}
    for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        given[argument.name] = (node.args[index] if index < len(node.args)
                                else node.kwargs.get(argument.name, argument.default_value))
    return {key: _resolved(value, values.__getitem__) for key, value in given.items()}


def _resolved(argument: Any, of: Callable[[fx.Node], Any]) -> Any:
    """`argument` with what `of` makes of every node in it."""
    if isinstance(argument, list | tuple):
        return [_resolved(item, of) for item in argument]
    return of(argument) if hasattr(argument, "all_input_nodes") else argument


def _derived(node: fx.Node, values: Mapping[fx.Node, Value]) -> str:
    """A key for what is computed from stored tensors: the same for the same computation."""
    described = _resolved([*node.args, *node.kwargs.items()], lambda source: values[source].stored)
    owner = described.pop(0) if len(node.all_input_nodes) == 1 and isinstance(described[0], str) else ""
    return f"{owner}|{_operator(node)[0]}{described}"


def _label(node: fx.Node, operator_name: str, inputs: Any) -> str:
    """The owner of the first stored tensor that has one, else the module that is running and the operator."""
    for value in inputs:
        owner = (value.stored or "").partition("|")[0]
        if owner:
            return owner.removesuffix("weight").rstrip("._") or operator_name
    return f"{_scope(node)}.{operator_name}".lstrip(".")


def _scope(node: fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _outputs(node: fx.Node) -> int:
    """How many numbers all outputs of `node` hold, one at least."""
    found = node.meta.get("val")
    tensors: list[Any] = list(found) if isinstance(found, tuple | list) else [found]
    return max(1, sum(int(tensor.numel()) for tensor in tensors if hasattr(tensor, "numel")))


def _place(node: fx.Node) -> str:
    """Where the user's code calls the operator, as far as torch recorded it."""
    lines = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines()]
    calls = [line for line in lines if line.startswith("File ")]
    return f" ({calls[-1]})" if calls else ""
