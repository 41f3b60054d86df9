"""From typed rows to what a model reads: transformed numbers and table ids; learned once, applied to any log alike."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.features import Features, Table
from nasrec.data.parquet_file import read_parquet, write_parquet
from nasrec.data.schema import Column, Schema
from nasrec.data.vocabulary import RESERVED, Hashing, Vocabulary, flatten_bags
from nasrec.errors import InputError
from nasrec.files import atomic_path, read_json, write_json

ENCODER_JSON = "encoder.json"
VOCABULARY_PARQUET = "vocabulary.parquet"
DIGEST_VALUES = 1 << 18  # digested at a time, so that millions of values are never one text


@dataclass(frozen=True)
class EncodingOptions:
    """How values become ids.

    "vocabulary" lists the values seen `min_count` times or more in the training rows, at most `max_rows` - 2 of them;
    "hash" spreads all values over `max_rows` rows, or over fewer where the schema says how many a table has.
    """

    categories: Literal["vocabulary", "hash"] = "vocabulary"
    min_count: int = 2
    max_rows: int = 500_000  # NASRec's cap while searching: facebookresearch/NasRec at 79bf6f9

    def __post_init__(self) -> None:
        if self.categories not in ("vocabulary", "hash"):
            raise InputError(f"encoding: categories {self.categories!r}, allowed are 'vocabulary' and 'hash'")
        if self.min_count < 1:
            raise InputError(f"encoding: min_count {self.min_count}, expected a whole number from 1")
        if not RESERVED < self.max_rows < 2**31:
            raise InputError(f"encoding: max_rows {self.max_rows}, expected a whole number from 3 below 2^31")

    def to_text(self) -> str:
        """For people: "vocabulary, min_count 2, max_rows 500000"."""
        counted = f", min_count {self.min_count}" if self.categories == "vocabulary" else ""
        return f"{self.categories}{counted}, max_rows {self.max_rows}"

    def hashes(self, column: Column) -> bool:
        """Whether the values of `column` are hashed."""
        return self.categories == "hash" or column.hashed

    def hashing(self, column: Column) -> Hashing:
        """How the values of a hashed `column` become ids."""
        return Hashing(column.name, min(column.rows or self.max_rows, self.max_rows), column.digits)


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows as arrays: `labels` uint8 [N], `dense` float32 [N, dense], `ids` int32 [N, plain tables] in table order, and
    for each multi-hot table its flat ids (int32) and the length of each row's bag (int64 [N])."""

    labels: NDArray[np.uint8]
    dense: NDArray[np.float32]
    ids: NDArray[np.int32]
    bags: dict[str, tuple[NDArray[np.int32], NDArray[np.int64]]]


@dataclass(frozen=True, eq=False)
class Encoder:
    """A schema with one `Vocabulary` or `Hashing` per table; `lookups` holds the mean bag length of each table."""

    schema: Schema
    options: EncodingOptions
    fields: tuple[Vocabulary | Hashing, ...]
    lookups: tuple[float, ...]

    @property
    def features(self) -> Features:
        """What a model needs to know. A log without numbers gets one constant one, as NASRec gives to Avazu."""
        tables = (
            Table(column.name, field.rows, lookups, column.kind == "bag")
            for column, field, lookups in zip(self.schema.tables, self.fields, self.lookups, strict=True)
        )
        return Features(max(1, len(self.schema.dense)), tuple(tables))

    def encode(self, frame: pl.DataFrame) -> EncodedRows:
        """Encode the typed rows of `frame` (see `nasrec.data.cast`): a missing number is 0, a missing category id 0, a
        bag without values one id 0."""
        plain, bags = [], {}
        for column, field in zip(self.schema.tables, self.fields, strict=True):
            if column.kind == "category":
                plain.append(field.encode(frame[column.name]))
            else:
                values, lengths = flatten_bags(frame[column.name])
                bags[column.name] = field.encode(values), lengths
        ids = np.stack(plain, axis=1) if plain else np.zeros((frame.height, 0), np.int32)
        return EncodedRows(frame[self.schema.label.name].to_numpy(), dense_inputs(frame, self.schema), ids, bags)

    def check_schema(self, schema: Schema, where: str) -> None:
        """Raise InputError naming `where` unless logs of `schema` have the inputs that this encoder reads."""
        kinds = {column.name: column for column in schema.inputs}
        for column in self.schema.inputs:
            found = kinds.get(column.name)
            if found is None or found.kind != column.kind:
                kind = "absent" if found is None else found.kind
                raise InputError(f"{where}: column {column.name!r} is {kind}, in training it was {column.kind}")
            if found.digits != column.digits:
                raise InputError(
                    f"{where}: column {column.name!r} holds {found.digits}, in training it held {column.digits}"
                )
        label = self.schema.label.name
        if schema.label.name != label:
            raise InputError(f"{where}: the label is {schema.label.name!r}, in training it was {label!r}")

    def save(self, folder: Path) -> None:
        """Write `encoder.json` and, for vocabularies, `vocabulary.parquet` (columns field and value, in id order)."""
        lists = [
            pl.DataFrame({"field": [position] * len(field.values), "value": field.values})
            for position, field in enumerate(self.fields)
            if isinstance(field, Vocabulary)
        ]
        empty = pl.DataFrame(schema={"field": pl.UInt16, "value": pl.String})
        values = pl.concat([empty, *(part.cast({"field": pl.UInt16}) for part in lists)])
        with atomic_path(folder / VOCABULARY_PARQUET) as temporary:
            write_parquet(values, temporary)
        write_json(folder / ENCODER_JSON, {"format": "nasrec.encoder", "version": 1, **self.to_json()})

    def digest(self) -> str:
        """A text that two encoders share only if they give every row the same inputs."""
        found = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode())
        for number, field in enumerate(self.fields):
            if isinstance(field, Vocabulary):
                found.update(f"field {number}: ".encode())
                for begin in range(0, len(field.values), DIGEST_VALUES):
                    part = field.values.slice(begin, DIGEST_VALUES)
                    lengths = part.str.len_bytes().cast(pl.String)  # before each value: none runs into the next
                    found.update("".join(lengths + ":" + part).encode())
        return found.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of the vocabularies."""
        tables = [
            {"name": field.name, "rows": field.rows, "lookups": lookups}
            for field, lookups in zip(self.fields, self.lookups, strict=True)
        ]
        return {"schema": self.schema.to_json(), "options": asdict(self.options), "tables": tables}

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read what `save` wrote; raises InputError naming the file that is missing or does not fit."""
        path = folder / ENCODER_JSON
        data = read_json(path, format="nasrec.encoder")
        try:
            schema = Schema.from_json(data["schema"], f"{path}, key 'schema'")
            options = EncodingOptions(**data["options"])
            names = [(str(table["name"]), int(table["rows"])) for table in data["tables"]]
            lookups = tuple(float(table["lookups"]) for table in data["tables"])
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not a description of an encoder: {error}") from None
        if [name for name, _ in names] != [column.name for column in schema.tables]:
            raise InputError(f"{path}: key 'tables' does not list the tables of key 'schema'")
        return cls(schema, options, _load_fields(folder / VOCABULARY_PARQUET, schema, options, names), lookups)


def dense_inputs(frame: pl.DataFrame, schema: Schema) -> NDArray[np.float32]:
    """The numbers that a model reads, float32 [N, dense]: missing is 0, a log without numbers has a constant 1."""
    if not schema.dense:
        return np.ones((frame.height, 1), np.float32)
    rows = np.empty((frame.height, len(schema.dense)), np.float32)
    for position, column in enumerate(schema.dense):
        numbers = frame[column.name].fill_null(0.0).to_numpy()
        rows[:, position] = np.log1p(np.maximum(numbers, 0.0)) if column.transform == "log" else numbers
    return rows


def _load_fields(
    path: Path, schema: Schema, options: EncodingOptions, names: list[tuple[str, int]]
) -> tuple[Vocabulary | Hashing, ...]:
    if all(options.hashes(column) for column in schema.tables):
        return tuple(
            Hashing(name, rows, column.digits) for column, (name, rows) in zip(schema.tables, names, strict=True)
        )
    stored = read_parquet(path)
    if stored.columns != ["field", "value"]:
        raise InputError(f"{path}: columns {', '.join(stored.columns)}, expected field, value")
    values = {int(key[0]): part["value"] for key, part in stored.partition_by("field", as_dict=True).items()}
    fields: list[Vocabulary | Hashing] = []
    for position, (column, (name, rows)) in enumerate(zip(schema.tables, names, strict=True)):
        if options.hashes(column):
            fields.append(Hashing(name, rows, column.digits))
            continue
        vocabulary = Vocabulary(name, values.get(position, pl.Series([], dtype=pl.String)))
        if vocabulary.rows != rows:
            raise InputError(f"{path}: table {name!r} has {vocabulary.rows} rows, {ENCODER_JSON} says {rows}")
        fields.append(vocabulary)
    return tuple(fields)
