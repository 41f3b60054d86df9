"""What the columns of a click log are, and `schema.toml`, which says so for any CSV or Parquet."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from nasrec.errors import InputError

Kind = Literal["label", "dense", "category", "bag", "time", "split", "ignore"]
Digits = Literal["text", "hex", "number"]
KIND_OF_OPTION: dict[str, Kind] = {
    "separator": "bag", "positive_from": "label", "transform": "dense",
    "digits": "category", "rows": "category", "hashed": "category",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of a log.

    A `label` is 0 or 1, or any number compared with `positive_from` (1 from that value on). A `dense` column is a
    number, transformed by log(max(x, 0) + 1) unless `transform` is "none". A `bag` is a text of values divided by
    `separator`, or a list. A `time` is a number that grows with time, a `split` one of train, validation, test: they
    place the row and are no inputs.

    The values of a `category` are any text, or, by `digits`, 1 to 8 hexadecimal digits ("hex") or a decimal number or
    else a hexadecimal one ("number"): hashing then takes them as numbers, as NASRec does. `rows` is how many a hashed
    table has, and `hashed` columns are hashed even where the others have a vocabulary.
    """

    name: str
    kind: Kind
    separator: str = "|"
    positive_from: float | None = None
    transform: Literal["log", "none"] = "log"
    digits: Digits = "text"
    rows: int | None = None
    hashed: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of a log in file order: exactly one label and at least one input."""

    columns: tuple[Column, ...]

    @property
    def label(self) -> Column:
        """The label column."""
        return next(column for column in self.columns if column.kind == "label")

    @property
    def dense(self) -> tuple[Column, ...]:
        """The numeric columns, in order."""
        return tuple(column for column in self.columns if column.kind == "dense")

    @property
    def tables(self) -> tuple[Column, ...]:
        """The columns that have an embedding table, categories and bags, in order."""
        return tuple(column for column in self.columns if column.kind in ("category", "bag"))

    def only(self, kind: Kind) -> Column | None:
        """The column of `kind`, None where there is none (a schema has at most one `time` and one `split`)."""
        return next((column for column in self.columns if column.kind == kind), None)

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that a model reads, in order."""
        return tuple(column for column in self.columns if column.kind in ("dense", "category", "bag"))

    @property
    def used(self) -> tuple[Column, ...]:
        """All columns but the ignored ones, in order."""
        return tuple(column for column in self.columns if column.kind != "ignore")

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str = "schema") -> Schema:
        """Rebuild from `to_json`; raises InputError naming `where`, the key and the value that cannot be used."""
        columns = data.get("columns") if isinstance(data, dict) else None
        if not isinstance(columns, list) or set(data) != {"columns"}:
            raise InputError(f"{where}: a schema is one key, 'columns', with a list of columns")
        checked = []
        for position, entry in enumerate(columns):
            place = f"{where}, columns[{position}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise InputError(f"{place}: a column needs a 'name'")
            given = {key: value for key, value in entry.items() if key != "name"}
            try:
                options = _ColumnOptions.model_validate(given)
            except ValidationError as error:
                raise InputError(f"{place}, {_first(error)}") from None
            _check_options(options, options.changed, f"{place}, key '", entry["name"])
            checked.append(options.column(entry["name"]))
        return cls(tuple(checked)).checked(where)

    def checked(self, where: str) -> Schema:
        """This schema, if it can describe a log; otherwise InputError naming `where`."""
        labels = [column.name for column in self.columns if column.kind == "label"]
        if len(labels) != 1:
            raise InputError(f"{where}: {len(labels)} columns of kind 'label' ({', '.join(labels)}), need exactly one")
        for kind in ("time", "split"):
            names = [column.name for column in self.columns if column.kind == kind]
            if len(names) > 1:
                raise InputError(f"{where}: {len(names)} columns of kind {kind!r} ({', '.join(names)}), at most one")
        if not self.inputs:
            raise InputError(f"{where}: no input: need at least one column of kind dense, category or bag")
        return self


@dataclass(frozen=True)
class TableFiles:
    """A whole `schema.toml`: the files of a log, how delimited text among them is written, and the columns."""

    files: tuple[Path, ...]
    separator: str | None
    header: bool
    schema: Schema


def read_schema(path: Path) -> TableFiles:
    """Read `schema.toml`; `files` are relative to its folder.

    Raises InputError naming the file and the line or key, the value, and what is allowed.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        model = _SchemaFile.model_validate(data)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a schema.toml") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}, {_first(error)}") from None
    for name, options in model.columns.items():
        _check_options(options, options.model_fields_set, f"{path}, key 'columns.{name}.", name)
    columns = tuple(options.column(name) for name, options in model.columns.items())
    schema = Schema(columns).checked(f"{path}, key 'columns'")
    files = tuple(path.parent / file for file in model.files)
    for file in files:
        if not file.is_file():
            raise InputError(f"{path}, key 'files': no such file: {file}")
    return TableFiles(files, model.separator, model.header, schema)


class _ColumnOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Kind
    separator: str = Field("|", min_length=1)
    positive_from: float | None = None
    transform: Literal["log", "none"] = "log"
    digits: Digits = "text"
    rows: int | None = Field(None, ge=3, lt=2**31)
    hashed: bool = False

    @property
    def changed(self) -> set[str]:
        """The options that are not as they are by default: `to_json` writes those of all kinds."""
        return set(self.model_dump(exclude_defaults=True))

    def column(self, name: str) -> Column:
        return Column(name, **self.model_dump())


def _check_options(options: _ColumnOptions, given: set[str], key: str, name: str) -> None:
    """Raise InputError if one of `given`, whose full key begins as `key`, is an option of another kind of column."""
    for option, kind in KIND_OF_OPTION.items():
        if option in given and options.kind != kind:
            raise InputError(
                f"{key}{option}': an option of kind {kind!r}, column {name!r} is of kind {options.kind!r} "
                f"(got {getattr(options, option)!r})"
            )


class _SchemaFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    version: Literal[1] = 1
    files: list[str] = Field(min_length=1)
    separator: str | None = None
    header: bool = True
    columns: dict[str, _ColumnOptions] = Field(min_length=1)

    @field_validator("separator")
    @classmethod
    def _one_byte(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
            raise PydanticCustomError("separator", "expected one ASCII character, neither a quote nor a line break")
        return separator

    @field_validator("columns", mode="before")
    @classmethod
    def _kind_alone(cls, columns: Any) -> Any:
        """`user = "category"` is short for `user = { kind = "category" }`."""
        if not isinstance(columns, dict):
            return columns
        return {name: {"kind": entry} if isinstance(entry, str) else entry for name, entry in columns.items()}


def _first(error: ValidationError) -> str:
    """The first thing that pydantic found, as "key 'a.b': message (got value)"."""
    found = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"key {key!r}: unknown key"
    return f"key {key!r}: {found['msg'][0].lower()}{found['msg'][1:]} (got {found['input']!r})"
