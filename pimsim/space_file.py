"""Space files: the axes of a sweep as TOML, checked before anything is evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field

from pimsim.chip_file import (
    OPTION_KEYS,
    ActiveRows,
    AdcBits,
    Area,
    CellBits,
    ChipFile,
    ColumnCount,
    ColumnsPerAdc,
    Copies,
    DacBits,
    Keys,
    Rows,
    build,
    checked,
    parsed,
    placing_of,
)
from pimsim.cost import Execution, Gating
from pimsim.errors import InputError
from pimsim.quantity import MM2
from pimsim.sweep.space import Space

_Value = TypeVar("_Value")
_Axis: TypeAlias = Annotated[list[_Value], Field(min_length=1)] | None


class _Crossbar(Keys):
    rows: _Axis[Rows] = None
    columns: _Axis[ColumnCount] = None
    cell_bits: _Axis[CellBits] = None


class _Dac(Keys):
    bits: _Axis[DacBits] = None


class _Adc(Keys):
    bits: _Axis[AdcBits | Literal["lossless"]] = None
    columns_per_adc: _Axis[ColumnsPerAdc] = None
    model: _Axis[Literal["isaac", "survey", "puma"]] = None


class _Readout(Keys):
    active_rows: _Axis[ActiveRows] = None
    encoding: _Axis[Literal["offset", "differential"]] = None
    flip: _Axis[bool] = None
    pairs: _Axis[Literal["converted", "subtracted", "rows"]] = None
    zero_skipping: _Axis[bool] = None


class _Interconnect(Keys):
    topology: _Axis[Literal["flat", "htree", "mesh"]] = None


class _Mapping(Keys):
    copies: _Axis[Copies] = None
    budget_area_mm2: _Axis[Area] = None


class _SpaceFile(Keys):
    format: Literal["pimsim.space"] = "pimsim.space"
    version: Literal[1] = 1
    chip: ChipFile
    preset: _Axis[str] = None
    gating: _Axis[Gating] = None
    execution: _Axis[Execution] = None
    crossbar: _Crossbar = _Crossbar()
    dac: _Dac = _Dac()
    adc: _Adc = _Adc()
    readout: _Readout = _Readout()
    interconnect: _Interconnect = _Interconnect()
    mapping: _Mapping = _Mapping()


def space_from_toml(path: Path) -> Space:
    """The space of chips that a file describes; InputError names file, key, value and what is allowed."""
    where = str(path)
    file = checked(_SpaceFile, parsed(path), where)
    axes: dict[str, tuple[Any, ...]] = {}
    for name in ("preset", "gating", "execution"):
        if getattr(file, name) is not None:
            axes[name] = tuple(getattr(file, name))
    for key, option in [*OPTION_KEYS.items(), ("mapping.copies", "copies")]:
        table, name = key.split(".")
        values = getattr(getattr(file, table), name)
        if values is not None:
            axes[option] = tuple(None if value == "lossless" else value for value in values)
    if file.mapping.budget_area_mm2 is not None:
        if file.mapping.copies is not None:
            raise InputError(f"{path}: keys 'mapping.copies' and 'mapping.budget_area_mm2' are both given, "
                             "allowed: one of them")
        axes["budget_area_m2"] = tuple(area * MM2 for area in file.mapping.budget_area_mm2)
    presets = {name: build(file.chip.model_copy(update={"preset": name}), where) for name in file.preset or ()}
    try:
        space = Space(build(file.chip, where), axes, presets, placing_of(file.chip, where))
        space.check()
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(where) else f"{where}: {text}") from None
    return space
