"""The workload of an ONNX file; the package onnx (the extra `importers`) is imported only when a file is given."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pimsim.errors import InputError
from pimsim.importers.builder import Bits, Builder, Value, sources_of
from pimsim.importers.onnx_operators import FREE, OPERATORS, VIEWS, Call
from pimsim.workload import Workload

if TYPE_CHECKING:
    import onnx

_SMALL = 64  # numbers in a constant that may say how others are arranged: a shape, axes, an exponent


def workload_from_onnx(path: str | Path, name: str | None = None, weight_bits: int = 8, input_bits: int = 8,
                       element_bits: int = 8, layers: Mapping[str, Mapping[str, int]] | None = None, batch: int = 1,
                       unknown: str = "refuse", shapes: Mapping[str, Sequence[int]] | None = None) -> Workload:
    """The workload of one inference of the network in the ONNX file `path`; called `name`, or as the file is.

    The file's inputs hold `batch` inferences, whose work is divided by `batch`. `shapes` gives the sizes of inputs that
    the file leaves open: `{"image": (1, 3, 224, 224)}`. Weights are not read, so that large ones may lie elsewhere or
    be missing. Operators carry the names of their weights where the file keeps them, else of the torch module that they
    come from, else of their node. For `layers` and `unknown` see `workload_from_torch`; docs/workloads.md lists the
    operators with a known cost. InputError names the file and what stands where.
    """
    path = Path(path)
    name = path.stem if name is None else name
    builder = Builder(name, Bits(weight_bits, input_bits, element_bits, layers or {}), batch, unknown)
    graph = _Graph(_loaded(path, shapes or {}), path)
    for node in graph.needed():
        graph.walk(node, builder)
    return builder.workload()


def _loaded(path: Path, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """The model with all shapes that can be known, its functions written out."""
    try:
        import onnx
        from onnx import external_data_helper, inliner, shape_inference
    except ImportError:
        needed = "pip install 'nasrec[importers]'"
        raise InputError(f"{path}: the package onnx is not installed, needed to read this file: {needed}") from None
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        model = onnx.load(path, load_external_data=False)
        if not model.graph.node:
            raise InputError(f"{path}: not an ONNX model, or one without operators")
        for tensor in model.graph.initializer:
            if external_data_helper.uses_external_data(tensor):
                _read_if_small(tensor, path.parent)
        _fix_inputs(model.graph, shapes, path)
        model = inliner.inline_local_functions(model)
        return shape_inference.infer_shapes(model, data_prop=True)
    except InputError:
        raise
    except Exception as error:  # of protobuf or onnx's checker: no class of their own covers them
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{path}: not an ONNX model that can be read: {lines[0] if lines else error!r}") from None


def _read_if_small(tensor: onnx.TensorProto, folder: Path) -> None:
    """Constants that shapes depend on are read from their file, weights are not."""
    from onnx import external_data_helper

    sizes = Value(tuple(tensor.dims))
    if sizes.numel <= _SMALL:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]


def _fix_inputs(graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
    """Write `shapes` into the inputs; InputError names an input that stays open, and a shape that fits none."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {item.name: item.type.tensor_type.shape.dim for item in graph.input if item.name not in stored}
    for given, sizes in shapes.items():
        if given not in inputs:
            raise InputError(f"{path}: shapes has {given!r}, allowed: the inputs {', '.join(inputs)}")
        if len(sizes) != len(inputs[given]) or not all(size > 0 for size in sizes):
            raise InputError(f"{path}: input {given!r} has {len(inputs[given])} axes, its shape is {tuple(sizes)}, "
                             "allowed: a size from 1 up for each")
        for axis, size in zip(inputs[given], sizes, strict=True):
            if axis.HasField("dim_value") and axis.dim_value != size:
                raise InputError(f"{path}: input {given!r} has a fixed axis of {axis.dim_value}, its shape is "
                                 f"{tuple(sizes)}, allowed: {axis.dim_value} there")
            axis.dim_value = size
    for item, axes in inputs.items():
        if not all(axis.HasField("dim_value") and axis.dim_value > 0 for axis in axes):
            known = [str(axis.dim_value) if axis.HasField("dim_value") else axis.dim_param or "?" for axis in axes]
            raise InputError(f"{path}: input {item!r} has the open shape [{', '.join(known)}], allowed: fixed sizes, "
                             f"given as shapes={{{item!r}: (...)}} or --shape {item}=...")


class _Graph:
    """The values of an ONNX graph while its nodes are walked in order."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.path, self.graph = path, model.graph
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, Any] = {}
        for info in (*model.graph.value_info, *model.graph.input, *model.graph.output):
            tensor = info.type.tensor_type
            sizes = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim]
            if tensor.HasField("shape") and -1 not in sizes:
                self.shapes[info.name] = tuple(sizes)
        self.values = {item.name: Value(self.shapes.get(item.name, ())) for item in model.graph.input}
        for tensor in model.graph.initializer:
            self._store(tensor.name, tensor)
        self.uses = Counter(name for node in model.graph.node for name in node.input)
        self.uses.update(item.name for item in model.graph.output)

    def needed(self) -> list[onnx.NodeProto]:
        """The nodes that an output of the graph depends on, in order."""
        wanted = {item.name for item in self.graph.output}
        kept = []
        for node in reversed(self.graph.node):
            if wanted & set(node.output):
                wanted |= {*node.input, *_captured(node)}
                kept.append(node)
        return kept[::-1]

    def walk(self, node: onnx.NodeProto, builder: Builder) -> None:
        """Charge one node and keep the values that it gives."""
        value = self._computed(node, builder)
        for index, output in enumerate(name for name in node.output if name):
            if output in self.values:  # a stored constant
                continue
            given = replace(value, uses=max(value.uses, self.uses[output]))
            if value.stored is not None:
                part = f"|{index}" if len(node.output) > 1 else ""
                given = replace(given, stored=f"{value.stored}{part}", shape=self.shapes.get(output, ()))
            elif index:
                given = Value(self.shapes.get(output, ()), value.sources, uses=self.uses[output])
            self.values[output] = given

    def _computed(self, node: onnx.NodeProto, builder: Builder) -> Value:
        output = next(name for name in node.output if name)
        inputs = [self._read(name, output) if name else None for name in node.input]
        if node.op_type == "Constant":
            self._constant(node)
            return Value(())
        captured = [self.values[name] for name in _captured(node) if name in self.values]
        present = [value for value in (*inputs, *captured) if value is not None]
        if all(value.stored is not None for value in present) or node.op_type in ("Shape", "Size"):
            kept = node.op_type in VIEWS and len(present) >= 1
            return Value((), stored=present[0].stored if kept else f"|{output}")
        op_type = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        if op_type in FREE:
            value = next(value for value in present if value.stored is None)
            shape = self._shape(output, node)
            same = op_type not in VIEWS and value.shape == shape and sum(v.stored is None for v in present) == 1
            return value if same else Value(shape, sources_of(present))
        label = self._label(node, present)
        if op_type in OPERATORS:
            constants = [self.constants.get(name) for name in node.input]
            call = Call(builder, label, op_type, inputs, constants, _attributes(node), self._shape(output, node))
            found = OPERATORS[op_type](call)
            if found is not None:
                return found
        count = 1
        if builder.charges_unknown:
            count = max(1, sum(Value(self._shape(name, node)).numel for name in node.output if name))
        place = f" (node {node.name or output!r} of {self.path})"
        sources = builder.unknown(label, op_type, place, count, sources_of(present))
        return Value(self.shapes.get(output, ()), sources)

    def _read(self, name: str, reader: str) -> Value:
        if name not in self.values:
            raise InputError(f"{self.path}: {reader!r} needs {name!r}, allowed: what nodes before it give")
        return self.values[name]

    def _shape(self, output: str, node: onnx.NodeProto) -> tuple[int, ...]:
        if output not in self.shapes:
            place = f"node {node.name or output!r}, {node.op_type}"
            raise InputError(f"{self.path}: the shape of {output!r} ({place}) cannot be inferred, allowed: a graph "
                             "whose shapes depend on no data")
        return self.shapes[output]

    def _store(self, name: str, tensor: onnx.TensorProto) -> None:
        from onnx import numpy_helper

        self.values[name] = Value(tuple(tensor.dims), stored=name)
        if self.values[name].numel <= _SMALL and tensor.data_location != tensor.EXTERNAL:
            self.constants[name] = numpy_helper.to_array(tensor)

    def _constant(self, node: onnx.NodeProto) -> None:
        import numpy as np

        (kind, value), = _attributes(node).items()
        name = node.output[0]
        if kind == "sparse_value":
            self.values[name] = Value(tuple(value.dims), stored=f"|{name}")
        elif kind == "value":
            self._store(name, value)
            self.values[name] = replace(self.values[name], stored=f"|{name}")
        else:
            self.constants[name] = np.asarray(value)
            self.values[name] = Value(self.constants[name].shape, stored=f"|{name}")

    def _label(self, node: onnx.NodeProto, inputs: Sequence[Value]) -> str:
        """The owner of the first stored tensor that has one, else the torch module, else the node."""
        for value in inputs:
            owner, _, _ = (value.stored or "").partition("|")
            stem = owner.removesuffix("weight")
            if "." in owner or "_weight" in owner:
                return stem.rstrip("._") or owner
        scopes = next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "[]")
        try:
            modules = [str(scope) for scope in ast.literal_eval(scopes)][:-1]
        except (ValueError, SyntaxError):  # written by another tool than torch
            modules = []
        weighted = any(value.stored is not None and len(value.shape) > 1 for value in inputs)
        if modules and modules[-1]:
            return modules[-1] if weighted else f"{modules[-1]}.{node.op_type.lower()}"
        return node.name or f"{node.op_type.lower()}.{node.output[0]}"


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in found.items()}


def _captured(node: onnx.NodeProto) -> list[str]:
    """What the bodies of a Loop, If or Scan read from outside, as far as names tell."""
    return [name for attribute in node.attribute if attribute.HasField("g")
            for inner in attribute.g.node for name in (*inner.input, *_captured(inner)) if name]
