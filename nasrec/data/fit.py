"""Learn an encoder from the training rows: count the values of every table, list the frequent ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.schema import Column, Schema
from nasrec.data.vocabulary import Hashing, Vocabulary, flatten_bags

MERGE_ROWS = 4_000_000  # distinct values held per table before partial counts are added up


def fit_encoder(
    frames: Iterable[pl.DataFrame],
    schema: Schema,
    options: EncodingOptions,
    in_train: NDArray[np.bool_],
    counted: Callable[[int], None],
) -> Encoder:
    """The encoder of the rows of `frames` for which `in_train` (bool [N]) holds; `counted` hears the rows so far."""
    counts = {column.name: _Counts() for column in schema.tables}
    lookups = {column.name: 0 for column in schema.tables}
    rows = 0
    for frame in frames:
        chosen = frame.filter(pl.Series(in_train[rows : rows + frame.height]))
        for column in schema.tables:
            values = chosen[column.name]
            if column.kind == "bag":
                values, _ = flatten_bags(values)
            lookups[column.name] += len(values)
            if options.categories == "vocabulary":
                counts[column.name].add(values)
        rows += frame.height
        counted(rows)
    trained = int(in_train.sum())
    return Encoder(
        schema,
        options,
        tuple(_field(column, options, counts[column.name]) for column in schema.tables),
        tuple(lookups[column.name] / trained for column in schema.tables),
    )


def _field(column: Column, options: EncodingOptions, counts: _Counts) -> Vocabulary | Hashing:
    if options.categories == "hash":
        return Hashing(column.name, options.max_rows)
    return Vocabulary.of_counts(column.name, counts.total(), options.min_count, options.max_rows)


class _Counts:
    """How often each value of one column was seen."""

    def __init__(self) -> None:
        self._parts = [pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})]

    def add(self, values: pl.Series) -> None:
        part = values.alias("value").to_frame().group_by("value").agg(pl.len().cast(pl.Int64).alias("count"))
        self._parts.append(part)
        if sum(part.height for part in self._parts[1:]) > MERGE_ROWS:
            self._parts = [self.total()]

    def total(self) -> pl.DataFrame:
        return pl.concat(self._parts).group_by("value").agg(pl.col("count").sum())
