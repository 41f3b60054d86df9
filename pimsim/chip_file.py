"""Chip files: TOML that is checked before anything is built from it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pimsim.chip import RANGES, Chip
from pimsim.errors import InputError
from pimsim.files import read_text, write_text
from pimsim.presets import PRESETS, preset
from pimsim.quantity import MM2
from pimsim.tables import Layout, TablePlan, Tier

OPTION_KEYS: dict[str, str] = {
    "crossbar.rows": "rows", "crossbar.columns": "columns", "crossbar.cell_bits": "cell_bits", "dac.bits": "dac_bits",
    "adc.bits": "adc_bits", "adc.columns_per_adc": "columns_per_adc", "adc.model": "adc_model",
    "readout.active_rows": "active_rows", "readout.encoding": "encoding", "readout.flip": "flip",
    "readout.pairs": "pairs", "readout.zero_skipping": "zero_skipping", "interconnect.topology": "interconnect"}
"""Keys of a chip file and the options of `Chip.with_options` that they set."""
_OTHER_KEYS = ("preset", "tiles", "node_nm", "mapping.copies", "mapping.budget_crossbars", "mapping.budget_area_mm2",
               "tables.tier", "tables.hot_share", "tables.replicas", "tables.layout")
_WORDS = {"adc_bits": "lossless", "active_rows": "all"}  # written where the option is None


def _within(option: str) -> Any:
    """The range of a numeric option, for pydantic."""
    least, most = RANGES[option]
    return Field(ge=least, le=most)


Rows: TypeAlias = Annotated[int, _within("rows")]
ColumnCount: TypeAlias = Annotated[int, _within("columns")]
CellBits: TypeAlias = Annotated[int, _within("cell_bits")]
DacBits: TypeAlias = Annotated[int, _within("dac_bits")]
AdcBits: TypeAlias = Annotated[int, _within("adc_bits")]
ColumnsPerAdc: TypeAlias = Annotated[int, _within("columns_per_adc")]
ActiveRows: TypeAlias = Annotated[int, _within("active_rows")]
Copies: TypeAlias = Annotated[int, Field(ge=1, le=65536)]
Area: TypeAlias = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Keys(BaseModel):
    """A table of a file: no other keys than these, no value taken for another kind of value."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Crossbar(Keys):
    rows: Rows | None = None
    columns: ColumnCount | None = None
    cell_bits: CellBits | None = None


class _DacTable(Keys):
    bits: DacBits | None = None


class _AdcTable(Keys):
    bits: AdcBits | Literal["lossless"] | None = None
    columns_per_adc: ColumnsPerAdc | None = None
    model: Literal["isaac", "survey", "puma", "neurram"] | None = None


class _Readout(Keys):
    active_rows: ActiveRows | Literal["all"] | None = None
    encoding: Literal["offset", "differential"] | None = None
    flip: bool | None = None
    pairs: Literal["converted", "subtracted", "rows"] | None = None
    zero_skipping: bool | None = None


class _Interconnect(Keys):
    topology: Literal["flat", "htree", "mesh"] | None = None


class _Mapping(Keys):
    copies: Copies | Literal["budget"] = 1
    budget_crossbars: Annotated[int, Field(ge=1)] | None = None
    budget_area_mm2: Area | None = None


class _Tables(Keys):
    tier: Tier = "bank"
    hot_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    replicas: Copies = 1
    layout: Layout = "scattered"


class ChipFile(Keys):
    """A chip file as it stands."""

    format: Literal["pimsim.chip"] = "pimsim.chip"
    version: Literal[1] = 1
    preset: str
    tiles: Annotated[int, Field(ge=1, le=10**6)] | Literal["sized"] | None = None
    node_nm: int | None = None
    crossbar: _Crossbar = _Crossbar()
    dac: _DacTable = _DacTable()
    adc: _AdcTable = _AdcTable()
    readout: _Readout = _Readout()
    interconnect: _Interconnect = _Interconnect()
    mapping: _Mapping = _Mapping()
    tables: _Tables = _Tables()


_Model = TypeVar("_Model", bound=Keys)


def chip_from_toml(path: Path, settings: Sequence[str] = ()) -> Chip:
    """The chip that a file describes, with `settings` ("crossbar.rows=256") on top.

    InputError names file, key, value and what is allowed.
    """
    return build(checked(ChipFile, _with_settings(parsed(path), settings), str(path)), str(path))


def copies_named(name: str, settings: Sequence[str] = ()) -> int:
    """The most copies of reused weights that a chip file or `settings` ask for; 1 where they say nothing."""
    copies = _file_named(name, settings).mapping.copies
    if isinstance(copies, str):
        raise InputError(f"{name}: key 'mapping.copies' is {copies!r}, allowed here: a whole number")
    return copies


def placing_named(name: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """What a chip file or `settings` ask of `place` and `evaluate`: copies, their budget, the plan of tables."""
    return placing_of(_file_named(name, settings), name)


def placing_of(file: ChipFile, where: str) -> dict[str, Any]:
    """What a checked chip file asks of `place`."""
    try:
        plan = TablePlan(**file.tables.model_dump())
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    mapping = file.mapping
    area = {} if mapping.budget_area_mm2 is None else {"budget_area_m2": mapping.budget_area_mm2 * MM2}
    return {"copies": mapping.copies, "budget_crossbars": mapping.budget_crossbars, **area, "tables": plan}


def _file_named(name: str, settings: Sequence[str]) -> ChipFile:
    data = {"preset": name} if name in PRESETS else parsed(Path(name))
    return checked(ChipFile, _with_settings(data, settings), name)


def chip_named(name: str, settings: Sequence[str] = ()) -> Chip:
    """The chip of a preset's name or of a chip file, with `settings` on top."""
    if name not in PRESETS:
        if not name.endswith(".toml"):
            preset(name, f"chip {name!r}: neither a chip file (.toml) nor a preset")
        return chip_from_toml(Path(name), settings)
    return build(checked(ChipFile, _with_settings({"preset": name}, settings), f"chip {name}"), f"chip {name}")


def chip_to_toml(chip: Chip, *, copies: int = 1) -> str:
    """The text of a chip file that `chip_from_toml` reads back to an equal chip, and `copies_named` to `copies`.

    InputError if components were changed by hand: a chip file holds a preset, a number of tiles, a node and options.
    """
    base = preset(chip.preset).with_tiles(chip.tiles)
    node = chip.technology.node_nm
    if base.with_options(**chip.options()).at_node(node) != chip:
        raise InputError(f"chip of preset {chip.preset!r}: its components were changed, a chip file cannot hold that")
    tiles = '"sized"' if chip.tiles is None else str(chip.tiles)
    lines = ['format = "pimsim.chip"', "version = 1", f"preset = {json.dumps(chip.preset)}", f"tiles = {tiles}"]
    if node != base.technology.node_nm:
        lines.append(f"node_nm = {node}")
    table, options = "", chip.options()
    for key, option in OPTION_KEYS.items():
        if key.split(".")[0] != table:
            table = key.split(".")[0]
            lines += ["", f"[{table}]"]
        value = _WORDS[option] if options[option] is None else options[option]
        lines.append(f"{key.split('.')[1]} = {json.dumps(value)}")
    lines += ["", "[mapping]", f"copies = {copies}"]
    return "\n".join(lines) + "\n"


def write_chip(path: Path, chip: Chip, *, copies: int = 1) -> None:
    """Write a chip file, whole or not at all."""
    write_text(path, chip_to_toml(chip, copies=copies))


def parsed(path: Path) -> dict[str, Any]:
    """What a TOML file says; InputError names the file."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def _with_settings(data: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """`data` with settings of the form key=value laid over it; a value that is no TOML is taken as a word."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not (key in OPTION_KEYS or key in _OTHER_KEYS):
            allowed = ", ".join([*_OTHER_KEYS, *OPTION_KEYS])
            raise InputError(f"--set {setting}: allowed: key=value with a key of {allowed}")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table, dot, name = key.partition(".")
        inner = data.get(table)
        data = {**data, table: {**(inner if isinstance(inner, Mapping) else {}), name: value} if dot else value}
    return data


def checked(model: type[_Model], data: Mapping[str, Any], where: str) -> _Model:
    """`data` as `model`, or one InputError for the first thing that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
    place = [part for part in error["loc"] if not (isinstance(part, str) and ("[" in part or part.endswith("int")))]
    names = ".".join(f"{part}" for part in place)
    if error["type"] == "extra_forbidden":
        table: Any = model
        for part in place[:-1]:
            table = table.model_fields[part].annotation
        raise InputError(f"{where}: unknown key '{names}', allowed: {', '.join(table.model_fields)}")
    if error["type"] == "missing":
        raise InputError(f"{where}: key '{names}' is missing")
    allowed = _allowed(names) or error["msg"]
    if error["type"] in ("list_type", "too_short"):
        allowed = f"a list of one or more{f', {allowed}' if _allowed(names) else ''}"
    raise InputError(f"{where}: key '{names}' is {error['input']!r}, allowed: {allowed}")


def _allowed(key: str) -> str:
    """What a numeric option may be, from its range; empty for other keys."""
    name = ".".join(key.removeprefix("chip.").split(".")[:2])
    if name == "tiles":
        return 'whole numbers from 1 to 1000000, or "sized"'
    option = OPTION_KEYS.get(name, "")
    if option not in RANGES:
        return ""
    least, most = RANGES[option]
    word = f", or \"{_WORDS[option]}\"" if option in _WORDS else ""
    return f"whole numbers from {least} to {most}{word}"


def build(file: ChipFile, where: str) -> Chip:
    """The chip that a checked file describes."""
    chip = preset(file.preset, where)
    if file.tiles is not None:
        chip = chip.with_tiles(None if file.tiles == "sized" else file.tiles)
    options: dict[str, Any] = {}
    for key, option in OPTION_KEYS.items():
        table, name = key.split(".")
        value = getattr(getattr(file, table), name)
        if value is not None:
            options[option] = None if value == _WORDS.get(option) else value
    try:
        chip = chip.with_options(**options)
        return chip if file.node_nm is None else chip.at_node(file.node_nm)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
