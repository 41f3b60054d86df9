"""Genotypes: an architecture, a chip choice, and the candidate that pairs them; plain ints and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nasrec.errors import InputError

EMBEDDING_DIM = 16  # every embedding and every sparse row has this length (NASRec search space)
DSI_ROWS = 8  # the dense-sparse interaction appends 8 rows of 16 = 128 numbers (NASRec search space)

NASREC_DENSE_OPS = ("fc", "dot", "gating", "sum")
NASREC_SPARSE_OPS = ("efc", "attention")
DENSE_OPS = (*NASREC_DENSE_OPS, "deep", "bilinear")  # NASRec has neither of these two, nor skip
SPARSE_OPS = (*NASREC_SPARSE_OPS, "skip")


@dataclass(frozen=True)
class Precision:
    """Bits of an operator's stored weights and of its inputs; 32 means float, not quantised."""

    weight_bits: int = 32
    input_bits: int = 32

    def __post_init__(self) -> None:
        """Refuse bit widths that no crossbar here can hold."""
        for name in ("weight_bits", "input_bits"):
            bits = getattr(self, name)
            if bits != 32 and not 2 <= bits <= 8:
                raise InputError(f"precision.{name} is {bits!r}: allowed are 2 to 8, or 32 for float")


FLOAT = Precision()
PRECISION_FIELDS = ("dense_precision", "sparse_precision", "dsi_precision", "fm_precision")  # of a block


@dataclass(frozen=True)
class BlockChoice:
    """One choice block: its operators, the outputs it reads, its widths, switches and bits.

    Input 0 is the raw input, input k the output of the k-th block (counted from 1). `dense_inputs` and `sparse_inputs`
    are sorted and not empty; `left` and `right` feed gating and sum. `dense_width` counts numbers, `sparse_width` rows
    of `EMBEDDING_DIM`. `dsi` and `fm` switch the dense-to-sparse and sparse-to-dense mergers.
    """

    dense_ops: tuple[str, ...]
    sparse_ops: tuple[str, ...]
    dense_inputs: tuple[int, ...]
    sparse_inputs: tuple[int, ...]
    left: int
    right: int
    dense_width: int
    sparse_width: int
    dsi: bool
    fm: bool
    dense_precision: Precision = FLOAT
    sparse_precision: Precision = FLOAT
    dsi_precision: Precision = FLOAT
    fm_precision: Precision = FLOAT


@dataclass(frozen=True)
class Arch:
    """A model: its blocks in order and the precision of the head, which reads the last block only."""

    blocks: tuple[BlockChoice, ...]
    head: Precision = FLOAT

    def __post_init__(self) -> None:
        """Check every block against the blocks before it; raises InputError naming block and field."""
        if not self.blocks:
            raise InputError("arch.blocks is empty: at least one block is needed")
        for index, block in enumerate(self.blocks):
            _check_block(block, index)

    def with_precision(self, precision: Precision) -> Arch:
        """The same network with every operator at `precision`."""
        everywhere: dict[str, Any] = dict.fromkeys(PRECISION_FIELDS, precision)
        return Arch(tuple(replace(block, **everywhere) for block in self.blocks), precision)

    def with_precision_of(self, other: Arch) -> Arch:
        """The same network with the bits of `other`, block by block."""
        blocks = tuple(
            replace(block, **{name: getattr(source, name) for name in PRECISION_FIELDS})
            for block, source in zip(self.blocks, other.blocks, strict=True)
        )
        return Arch(blocks, other.head)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "arch") -> Arch:
        """Rebuild from `to_json`; raises InputError naming the place of an unknown, missing or bad field."""
        _check_keys(cls, data, where)
        blocks = tuple(
            _block_from_json(block, f"{where}.blocks[{index}]") for index, block in enumerate(data["blocks"])
        )
        try:
            return cls(blocks, _precision(data["head"], f"{where}.head"))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


@dataclass(frozen=True)
class ChipChoice:
    """The chip's genes: crossbar shape, bits of cell, DAC and ADC, sharing of ADCs, copies of reused weights."""

    rows: int = 128
    columns: int = 128
    cell_bits: int = 2
    dac_bits: int = 1
    adc_bits: int = 8
    columns_per_adc: int = 128
    copies: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "chip") -> ChipChoice:
        """Rebuild from `to_json`; raises InputError naming the place."""
        _check_keys(cls, data, where)
        for key, value in data.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{where}.{key} is {value!r}: allowed are whole numbers from 1")
        return cls(**data)


@dataclass(frozen=True)
class Candidate:
    """What the joint search looks for: a model and the chip that runs it."""

    arch: Arch
    chip: ChipChoice

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return {"arch": self.arch.to_json(), "chip": self.chip.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "candidate") -> Candidate:
        """Rebuild from `to_json`; raises InputError naming the place."""
        _check_keys(cls, data, where)
        return cls(Arch.from_json(data["arch"], f"{where}.arch"), ChipChoice.from_json(data["chip"], f"{where}.chip"))


def _check_block(block: BlockChoice, index: int) -> None:
    where = f"arch.blocks[{index}]"
    for name, allowed in (("dense_ops", DENSE_OPS), ("sparse_ops", SPARSE_OPS)):
        ops = getattr(block, name)
        if not ops or any(op not in allowed for op in ops) or len(set(ops)) != len(ops):
            raise InputError(f"{where}.{name} is {list(ops)!r}: allowed are distinct names of {', '.join(allowed)}")
    for name in ("dense_inputs", "sparse_inputs"):
        sources = getattr(block, name)
        if not sources or list(sources) != sorted(set(sources)) or sources[0] < 0 or sources[-1] > index:
            raise InputError(f"{where}.{name} is {list(sources)!r}: allowed are ascending numbers from 0 to {index}")
    for name in ("left", "right"):
        source = getattr(block, name)
        if not 0 <= source <= index:
            raise InputError(f"{where}.{name} is {source!r}: allowed are 0 to {index}")
    for name in ("dense_width", "sparse_width"):
        width = getattr(block, name)
        if width < 1:
            raise InputError(f"{where}.{name} is {width!r}: allowed are whole numbers from 1")


def _check_keys(cls: type, data: Mapping[str, Any], where: str) -> None:
    if not isinstance(data, Mapping):
        raise InputError(f"{where} is {data!r}: expected a table of fields")
    names = {field.name for field in fields(cls)}
    unknown, missing = sorted(set(data) - names), sorted(names - set(data))
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r}: allowed are {', '.join(sorted(names))}")
    if missing:
        raise InputError(f"{where}: field {missing[0]!r} is missing")


def _precision(data: Mapping[str, Any], where: str) -> Precision:
    _check_keys(Precision, data, where)
    return Precision(_typed(data["weight_bits"], int, where), _typed(data["input_bits"], int, where))


def _block_from_json(data: Mapping[str, Any], where: str) -> BlockChoice:
    _check_keys(BlockChoice, data, where)
    values: dict[str, Any] = {}
    for name, value in data.items():
        place = f"{where}.{name}"
        if name.endswith("_precision"):
            values[name] = _precision(value, place)
        elif name.endswith("_ops"):
            values[name] = tuple(_typed(item, str, place) for item in _typed(value, list | tuple, place))
        elif name.endswith("_inputs"):
            values[name] = tuple(_typed(item, int, place) for item in _typed(value, list | tuple, place))
        else:
            values[name] = _typed(value, bool if name in ("dsi", "fm") else int, place)
    return BlockChoice(**values)


def _typed(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where} is {value!r}: expected {getattr(kind, '__name__', 'a list')}")
    return value
