"""What one inference asks of the hardware: operators in execution order, never batched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from pimsim.errors import InputError

VECTOR_STEPS = {"add": 1, "copy": 1, "max": 1, "multiply": 1, "relu": 1, "square": 1, "rescale": 2,
                "sigmoid": 2, "tanh": 2, "softmax": 5, "layernorm": 6}  # lane steps per element: assumption
"""Kinds of `Elementwise`, with the steps that a lane of the vector unit takes per element."""
PAIRWISE = ("add", "max", "multiply")
"""Those that put two numbers together, so that n numbers take n - 1 of them."""


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
    def operands(self) -> int:
        """Numbers that go in per inference: both matrices, or the one that is multiplied by itself."""
        return self.count * self.inner * (self.rows if self.symmetric else self.rows + self.columns)

    @property
    def needed_macs(self) -> int:
        """Multiply-accumulates that are carried out: of the wanted triangle only, where the product is symmetric."""
        return self.outputs * self.inner


@dataclass(frozen=True)
class Gather:
    """`bags` sums of rows from a table `[rows, length]` of `element_bits`-bit numbers.

    `lookups` is the mean number of rows per bag (a multi-hot field's mean length), so it need not be whole.

    How its rows are used, if known, in one of three forms: `zipf`, the exponent s of accesses in proportion to
    rank^-s; `access`, steps (rows, accesses) from the hottest rows down, each the number of rows and the accesses that
    they get together; `trace`, bags of row ids as a log has them. `updates_per_day`: how often a day every row is
    written anew.
    """

    name: str
    rows: int
    length: int
    bags: int = 1
    lookups: float = 1.0
    element_bits: int = 8
    after: tuple[str, ...] = ()
    zipf: float | None = None
    access: tuple[tuple[int, float], ...] = ()
    trace: tuple[tuple[int, ...], ...] = ()
    updates_per_day: float = 0.0
    op: ClassVar[str] = "gather"

    def __post_init__(self) -> None:
        """Refuse empty tables and bags."""
        _check_count(self.name, rows=self.rows, length=self.length, bags=self.bags)
        if not 0.0 < self.lookups < math.inf:
            raise InputError(f"{self.name}: field 'lookups' is {self.lookups!r}, allowed: a number above 0")
        _check_bits(self.name, element_bits=self.element_bits)
        if not 0.0 <= self.updates_per_day < math.inf:
            raise InputError(f"{self.name}: field 'updates_per_day' is {self.updates_per_day!r}, allowed: 0 or more")
        self._check_use()

    @cached_property
    def steps(self) -> tuple[tuple[int, float], ...]:
        """`access`, or the same from `trace`: a step for each number of times that some rows occur in it."""
        if self.access or not self.trace:
            return self.access
        times = Counter(Counter(row for bag in self.trace for row in bag).values())
        return tuple((times[count], float(count * times[count])) for count in sorted(times, reverse=True))

    def _check_use(self) -> None:
        """Refuse two descriptions of the accesses, and one that the table cannot have."""
        given = [name for name in ("zipf", "access", "trace") if getattr(self, name) not in (None, ())]
        if len(given) > 1:
            raise InputError(f"{self.name}: fields {' and '.join(map(repr, given))} are given, allowed: one of them")
        if self.zipf is not None and not 0.0 <= self.zipf <= 8.0:
            raise InputError(f"{self.name}: field 'zipf' is {self.zipf!r}, allowed: 0 to 8")
        before, total = math.inf, 0
        for rows, accesses in self.access:
            total += rows
            if rows < 1 or total > self.rows or not (0.0 <= accesses / rows <= before and accesses < math.inf):
                raise InputError(f"{self.name}: field 'access' has ({rows!r}, {accesses!r}), allowed: rows and "
                                 f"accesses, from the hottest rows down, at most {self.rows} rows together")
            before = accesses / rows
        if self.access and not any(accesses for _, accesses in self.access):
            raise InputError(f"{self.name}: field 'access' has no access at all, allowed: at least one")
        for bag in self.trace:
            for row in bag:
                if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < self.rows:
                    raise InputError(f"{self.name}: field 'trace' has row {row!r}, allowed: 0 to {self.rows - 1}")
        if self.trace and not any(self.trace):
            raise InputError(f"{self.name}: field 'trace' has empty bags only, allowed: at least one row")

    @property
    def macs(self) -> int:
        """None: a gather multiplies nothing."""
        return 0


@dataclass(frozen=True)
class Elementwise:
    """`count` numbers that come out, each by `kind` (see `VECTOR_STEPS`) from `operands` numbers that go in.

    Several squares are added up as they come. What is known beforehand, such as a bias, does not go in: it is held
    where it is used.
    """

    name: str
    kind: str
    count: int
    input_bits: int = 8
    after: tuple[str, ...] = ()
    operands: int = 1
    op: ClassVar[str] = "elementwise"

    def __post_init__(self) -> None:
        """Refuse an unknown kind and an empty count."""
        _check_count(self.name, count=self.count, operands=self.operands)
        _check_bits(self.name, input_bits=self.input_bits)
        if self.kind not in VECTOR_STEPS:
            raise InputError(f"{self.name}: field 'kind' is {self.kind!r}, allowed: {', '.join(sorted(VECTOR_STEPS))}")

    @property
    def macs(self) -> int:
        """None are counted for element-wise work."""
        return 0

    @property
    def steps(self) -> int:
        """Lane steps per inference."""
        times = max(self.operands - 1, 1) if self.kind in PAIRWISE else self.operands if self.kind == "square" else 1
        return self.count * VECTOR_STEPS[self.kind] * times


Op: TypeAlias = MatVec | MatMul | Gather | Elementwise
OPS: dict[str, type[Op]] = {cls.op: cls for cls in (MatVec, MatMul, Gather, Elementwise)}
_PYTHON_TYPES: dict[str, tuple[type, str]] = {
    "str": (str, "a string"), "int": (int, "a whole number"), "bool": (bool, "true or false"),
    "float": (float, "a number"), "float | None": (float, "a number")}
_LATER = {"zipf": None, "access": (), "trace": (), "updates_per_day": 0.0, "operands": 1}
"""Fields with what they mean where they are left out; they are written only where they say something else."""


@dataclass(frozen=True)
class Workload:
    """The operators of ONE inference, in execution order; `after` of an op names earlier ops only.

    `outputs`: the ops whose results are wanted; empty: of every op. What no output needs is never charged.
    """

    name: str
    ops: tuple[Op, ...]
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that occur twice, an `after` that is not an earlier op and an output that is none."""
        seen: set[str] = set()
        for op in self.ops:
            if op.name in seen:
                raise InputError(f"workload {self.name}: two ops are named {op.name!r}, names must differ")
            if not isinstance(op.after, tuple):
                raise InputError(f"workload {self.name}, op {op.name}: field 'after' is {op.after!r}, "
                                 "allowed: a tuple of names of earlier ops")
            for needed in op.after:
                if needed not in seen:
                    raise InputError(f"workload {self.name}, op {op.name}: field 'after' has {needed!r}, "
                                     "allowed: names of earlier ops")
            seen.add(op.name)
        for wanted in self.outputs:
            if wanted not in seen:
                raise InputError(f"workload {self.name}: field 'outputs' has {wanted!r}, allowed: names of its ops")

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return sum(op.macs for op in self.ops)

    @cached_property
    def shapes(self) -> tuple[int, ...]:
        """For each op the index of the first one that equals it but for its name and what it comes after."""
        first: dict[tuple[Any, ...], int] = {}
        return tuple(first.setdefault(_shape(op), index) for index, op in enumerate(self.ops))

    @cached_property
    def waits(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]:
        """Each different set of ops that some op waits for, which of these each op has, and the ops none waits for."""
        places = {op.name: index for index, op in enumerate(self.ops)}
        sets: dict[tuple[str, ...], int] = {}
        own = tuple(sets.setdefault(op.after, len(sets)) for op in self.ops)
        followed = {name for after in sets for name in after}
        return (tuple(tuple(places[name] for name in after) for after in sets), own,
                tuple(index for name, index in places.items() if name not in followed))

    def live(self) -> Workload:
        """The workload without the ops whose results no output needs; itself where all are needed."""
        return self._live if self.outputs else self

    @cached_property
    def _live(self) -> Workload:
        needed = set(self.outputs)
        for op in reversed(self.ops):
            if op.name in needed:
                needed.update(op.after)
        return self if len(needed) == len(self.ops) else replace(
            self, ops=tuple(op for op in self.ops if op.name in needed))

    def to_json(self) -> dict[str, Any]:
        """The plain form that `from_json` reads; it carries its format and version."""
        ops = [_op_to_json(op) for op in self.ops]
        data = {"format": "pimsim.workload", "version": 1, "name": self.name, "ops": ops}
        return {**data, "outputs": list(self.outputs)} if self.outputs else data

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
        _refuse_keys(data, {"format", "version", "name", "ops", "outputs"}, {"name", "ops"}, where)
        if not isinstance(data["name"], str):
            raise InputError(f"{where}: field 'name' is {data['name']!r}, allowed: a string")
        if not isinstance(data["ops"], list):
            raise InputError(f"{where}: field 'ops' is a {type(data['ops']).__name__}, allowed: a list of ops")
        ops = tuple(_op_from_json(item, f"{where}, op {index}") for index, item in enumerate(data["ops"]))
        return cls(data["name"], ops, _names(data.get("outputs", []), "outputs", where))


def _refuse_keys(data: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    for key in data:
        if key not in known:
            raise InputError(f"{where}: unknown field {key!r}, allowed: {', '.join(sorted(known))}")
    for key in sorted(needed):
        if key not in data:
            raise InputError(f"{where}: field '{key}' is missing")


def _shape(op: Op) -> tuple[Any, ...]:
    return (op.op, *(getattr(op, field.name) for field in fields(op) if field.name not in ("name", "after")))


def _op_to_json(op: Op) -> dict[str, Any]:
    """The plain form of one op."""
    plain = {"op": op.op, **asdict(op), "after": list(op.after)}
    for name, default in _LATER.items():
        if plain.get(name, default) == default:
            plain.pop(name, None)
        elif isinstance(default, tuple):
            plain[name] = [list(item) for item in plain[name]]
    return plain


def _names(value: Any, field: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: field '{field}' is {value!r}, allowed: a list of op names")
    return tuple(value)


def _lists(value: Any, field: str, where: str) -> tuple[tuple[Any, ...], ...]:
    """A list of lists of numbers: the steps of `access`, the bags of `trace`."""
    steps = field == "access"
    allowed = "a list of [rows, accesses]" if steps else "a list of lists of row numbers"
    if not isinstance(value, list):
        raise InputError(f"{where}: field '{field}' is {value!r}, allowed: {allowed}")
    for item in value:
        plain = isinstance(item, list) and all(type(x) is int or (type(x) is float and steps) for x in item)
        if not plain or (steps and (len(item) != 2 or type(item[0]) is not int)):
            raise InputError(f"{where}: field '{field}' has {item!r}, allowed: {allowed}")
    return tuple((item[0], float(item[1])) if steps else tuple(item) for item in value)


def _op_from_json(data: Any, where: str) -> Op:
    """One op from its plain form."""
    found = data.get("op") if isinstance(data, Mapping) else data
    if not isinstance(data, Mapping) or not isinstance(found, str) or found not in OPS:
        raise InputError(f"{where}: field 'op' is {found!r}, allowed: {', '.join(OPS)}")
    cls = OPS[found]
    known = {field.name: field for field in fields(cls)}
    _refuse_keys(data, {"op", *known}, {name for name, f in known.items() if f.default is MISSING}, where)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name == "op":
            continue
        if name in ("after", "access", "trace"):
            values[name] = _names(value, name, where) if name == "after" else _lists(value, name, where)
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
