"""What one inference asks of the hardware: operators in execution order, never batched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, TypeAlias

from pimsim.errors import InputError

VECTOR_STEPS = {"add": 1, "copy": 1, "max": 1, "multiply": 1, "relu": 1, "square": 1, "rescale": 2,
                "sigmoid": 2, "tanh": 2, "softmax": 5, "layernorm": 6}  # lane steps per element: assumption
"""Kinds of `Elementwise`, with the steps that a lane of the vector unit takes per element."""


def _check_count(where: str, **counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{where}: field '{name}' is {value!r}, allowed: a whole number from 1 up")


def _check_bits(where: str, **bits: int) -> None:
    for name, value in bits.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
            raise InputError(f"{where}: field '{name}' is {value!r}, allowed: 1 to 64 bits")


@dataclass(frozen=True)
class MatVec:
    """A stored matrix `[inputs, outputs]` times `vectors` activation vectors per inference.

    `input_density` is the share of input bits that are one. Signed inputs are two's complement.
    """

    name: str
    inputs: int
    outputs: int
    vectors: int = 1
    weight_bits: int = 8
    input_bits: int = 8
    output_bits: int = 16
    signed_inputs: bool = False
    input_density: float = 0.5
    after: tuple[str, ...] = ()
    op: ClassVar[str] = "matvec"

    def __post_init__(self) -> None:
        """Refuse sizes, bits and densities that no layer can have."""
        _check_count(self.name, inputs=self.inputs, outputs=self.outputs, vectors=self.vectors)
        _check_bits(self.name, weight_bits=self.weight_bits, input_bits=self.input_bits, output_bits=self.output_bits)
        if not 0.0 <= self.input_density <= 1.0:
            raise InputError(f"{self.name}: field 'input_density' is {self.input_density!r}, allowed: 0 to 1")

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return self.inputs * self.outputs * self.vectors


@dataclass(frozen=True)
class MatMul:
    """`count` products of two activation matrices, `[rows, inner]` by `[inner, columns]`: nothing to store.

    `symmetric`: rows equal columns and only the strict lower triangle is wanted (dot-product interaction).
    """

    name: str
    rows: int
    inner: int
    columns: int
    count: int = 1
    symmetric: bool = False
    input_bits: int = 8
    after: tuple[str, ...] = ()
    op: ClassVar[str] = "matmul"

    def __post_init__(self) -> None:
        """Refuse empty shapes and a symmetric product that is not square."""
        _check_count(self.name, rows=self.rows, inner=self.inner, columns=self.columns, count=self.count)
        _check_bits(self.name, input_bits=self.input_bits)
        if self.symmetric and self.rows != self.columns:
            raise InputError(f"{self.name}: field 'columns' is {self.columns}, allowed when symmetric: {self.rows}")

    @property
    def outputs(self) -> int:
        """Numbers that come out per inference."""
        return self.count * (self.rows * (self.rows - 1) // 2 if self.symmetric else self.rows * self.columns)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference as FLOP counters have them: of the whole product, symmetric or not."""
        return self.count * self.rows * self.columns * self.inner

    @property
    def needed_macs(self) -> int:
        """Multiply-accumulates that are carried out: of the wanted triangle only, where the product is symmetric."""
        return self.outputs * self.inner


@dataclass(frozen=True)
class Gather:
    """`bags` sums of rows from a table `[rows, length]` of `element_bits`-bit numbers.

    `lookups` is the mean number of rows per bag (a multi-hot field's mean length), so it need not be whole.
    """

    name: str
    rows: int
    length: int
    bags: int = 1
    lookups: float = 1.0
    element_bits: int = 8
    after: tuple[str, ...] = ()
    op: ClassVar[str] = "gather"

    def __post_init__(self) -> None:
        """Refuse empty tables and bags."""
        _check_count(self.name, rows=self.rows, length=self.length, bags=self.bags)
        if not 0.0 < self.lookups < math.inf:
            raise InputError(f"{self.name}: field 'lookups' is {self.lookups!r}, allowed: a number above 0")
        _check_bits(self.name, element_bits=self.element_bits)

    @property
    def macs(self) -> int:
        """None: a gather multiplies nothing."""
        return 0


@dataclass(frozen=True)
class Elementwise:
    """`count` numbers, each through one operation of `kind` (see `VECTOR_STEPS`)."""

    name: str
    kind: str
    count: int
    input_bits: int = 8
    after: tuple[str, ...] = ()
    op: ClassVar[str] = "elementwise"

    def __post_init__(self) -> None:
        """Refuse an unknown kind and an empty count."""
        _check_count(self.name, count=self.count)
        _check_bits(self.name, input_bits=self.input_bits)
        if self.kind not in VECTOR_STEPS:
            raise InputError(f"{self.name}: field 'kind' is {self.kind!r}, allowed: {', '.join(sorted(VECTOR_STEPS))}")

    @property
    def macs(self) -> int:
        """None are counted for element-wise work."""
        return 0


Op: TypeAlias = MatVec | MatMul | Gather | Elementwise
OPS: dict[str, type[Op]] = {cls.op: cls for cls in (MatVec, MatMul, Gather, Elementwise)}
_PYTHON_TYPES: dict[str, tuple[type, str]] = {
    "str": (str, "a string"), "int": (int, "a whole number"), "bool": (bool, "true or false"),
    "float": (float, "a number")}


@dataclass(frozen=True)
class Workload:
    """The operators of ONE inference, in execution order; `after` of an op names earlier ops only."""

    name: str
    ops: tuple[Op, ...]

    def __post_init__(self) -> None:
        """Refuse names that occur twice and an `after` that is not an earlier op."""
        seen: set[str] = set()
        for op in self.ops:
            if op.name in seen:
                raise InputError(f"workload {self.name}: two ops are named {op.name!r}, names must differ")
            for needed in op.after:
                if needed not in seen:
                    raise InputError(f"workload {self.name}, op {op.name}: field 'after' has {needed!r}, "
                                     "allowed: names of earlier ops")
            seen.add(op.name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return sum(op.macs for op in self.ops)

    def to_json(self) -> dict[str, Any]:
        """The plain form that `from_json` reads; it carries its format and version."""
        ops = [{"op": op.op, **asdict(op), "after": list(op.after)} for op in self.ops]
        return {"format": "pimsim.workload", "version": 1, "name": self.name, "ops": ops}

    @classmethod
    def from_json(cls, data: Any, where: str = "workload") -> Workload:
        """Read the plain form; InputError quotes the place, the value and what is allowed.

        A key may be left out where the operator's field has a default.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"{where}: is a {type(data).__name__}, expected an object with 'name' and 'ops'")
        expected = {"format": "pimsim.workload", "version": 1}
        for key, wanted in expected.items():
            if data.get(key) != wanted:
                raise InputError(f"{where}: field '{key}' is {data.get(key)!r}, expected {wanted!r}")
        _refuse_keys(data, {"format", "version", "name", "ops"}, {"name", "ops"}, where)
        if not isinstance(data["name"], str):
            raise InputError(f"{where}: field 'name' is {data['name']!r}, allowed: a string")
        if not isinstance(data["ops"], list):
            raise InputError(f"{where}: field 'ops' is a {type(data['ops']).__name__}, allowed: a list of ops")
        ops = tuple(_op_from_json(item, f"{where}, op {index}") for index, item in enumerate(data["ops"]))
        return cls(data["name"], ops)


def _refuse_keys(data: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    for key in data:
        if key not in known:
            raise InputError(f"{where}: unknown field {key!r}, allowed: {', '.join(sorted(known))}")
    for key in sorted(needed):
        if key not in data:
            raise InputError(f"{where}: field '{key}' is missing")


def _op_from_json(data: Any, where: str) -> Op:
    """One op from its plain form."""
    if not isinstance(data, Mapping) or data.get("op") not in OPS:
        found = data.get("op") if isinstance(data, Mapping) else data
        raise InputError(f"{where}: field 'op' is {found!r}, allowed: {', '.join(OPS)}")
    cls = OPS[data["op"]]
    known = {field.name: field for field in fields(cls)}
    _refuse_keys(data, {"op", *known}, {name for name, f in known.items() if f.default is MISSING}, where)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name == "op":
            continue
        if name == "after":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InputError(f"{where}: field 'after' is {value!r}, allowed: a list of op names")
            values[name] = tuple(value)
            continue
        python, allowed = _PYTHON_TYPES[str(known[name].type)]
        number = python is float and isinstance(value, int) and not isinstance(value, bool)
        if not number and type(value) is not python:
            raise InputError(f"{where}: field '{name}' is {value!r}, allowed: {allowed}")
        values[name] = float(value) if python is float else value
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
