"""From typed rows to what a model reads: transformed numbers and table ids; learned once, applied to any log alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.features import Features, Table
from nasrec.data.parquet_file import read_parquet, write_parquet
from nasrec.data.schema import Schema
from nasrec.data.vocabulary import RESERVED, Hashing, Vocabulary, flatten_bags
from nasrec.errors import InputError
from nasrec.files import atomic_path, read_json, write_json

ENCODER_JSON = "encoder.json"
VOCABULARY_PARQUET = "vocabulary.parquet"


@dataclass(frozen=True)
class EncodingOptions:
    """How values become ids.

    "vocabulary" lists the values seen `min_count` times or more in the training rows, at most `max_rows` - 2 of them;
    "hash" spreads all values over `max_rows` rows, the same for every table.
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
        return EncodedRows(frame[self.schema.label.name].to_numpy(), self._dense(frame), ids, bags)

    def check_schema(self, schema: Schema, where: str) -> None:
        """Raise InputError naming `where` unless logs of `schema` have the inputs that this encoder reads."""
        kinds = {column.name: column.kind for column in schema.used}
        for column in self.schema.used:
            if column.kind != "label" and kinds.get(column.name) != column.kind:
                found = kinds.get(column.name, "absent")
                raise InputError(f"{where}: column {column.name!r} is {found}, in training it was {column.kind}")
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
        if options.categories == "hash":
            return cls(schema, options, tuple(Hashing(name, rows) for name, rows in names), lookups)
        return cls(schema, options, _load_vocabularies(folder / VOCABULARY_PARQUET, names), lookups)

    def _dense(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        if not self.schema.dense:
            return np.ones((frame.height, 1), np.float32)
        columns = []
        for column in self.schema.dense:
            numbers = frame[column.name].fill_null(0.0).to_numpy()
            columns.append(np.log1p(np.maximum(numbers, 0.0)) if column.transform == "log" else numbers)
        return np.stack(columns, axis=1).astype(np.float32)


def _load_vocabularies(path: Path, names: list[tuple[str, int]]) -> tuple[Vocabulary, ...]:
    stored = read_parquet(path)
    if stored.columns != ["field", "value"]:
        raise InputError(f"{path}: columns {', '.join(stored.columns)}, expected field, value")
    vocabularies = tuple(
        Vocabulary(name, stored.filter(pl.col("field") == position)["value"])
        for position, (name, _) in enumerate(names)
    )
    for vocabulary, (name, rows) in zip(vocabularies, names, strict=True):
        if vocabulary.rows != rows:
            raise InputError(f"{path}: table {name!r} has {vocabulary.rows} rows, {ENCODER_JSON} says {rows}")
    return vocabularies
