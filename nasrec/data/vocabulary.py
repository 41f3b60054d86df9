"""From the values of one categorical column to row numbers of its embedding table."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

MISSING = 0
OTHER = 1
RESERVED = 2  # ids 0 and 1 of a vocabulary; a hashed table reserves only the missing id


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ids by falling frequency: 0 = missing, 1 = any value that is not listed, 2 + i = `values[i]`."""

    name: str
    values: pl.Series

    @classmethod
    def of_counts(cls, name: str, counts: pl.DataFrame, min_count: int, max_rows: int) -> Vocabulary:
        """The values of `counts` (columns value, count) seen `min_count` times or more, at most `max_rows` - 2.

        The more frequent come first, and of equally frequent ones the smaller in text order.
        """
        kept = counts.filter(pl.col("value").is_not_null(), pl.col("count") >= min_count)
        ordered = kept.sort(["count", "value"], descending=[True, False]).head(max_rows - RESERVED)
        return cls(name, ordered["value"])

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return RESERVED + len(self.values)

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The id of each of `values` (String, null = missing), int32 [N]."""
        ids = pl.Series(np.arange(RESERVED, self.rows, dtype=np.int32))
        return _look_up(values, self.values, ids, unknown=OTHER)


@dataclass(frozen=True)
class Hashing:
    """Ids by CRC-32 of the field's name and the value: 0 = missing, any value one of 1..rows-1."""

    name: str
    rows: int

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The id of each of `values` (String, null = missing), int32 [N]."""
        distinct = values.drop_nulls().unique()
        salt = zlib.crc32(self.name.encode())
        ids = [1 + zlib.crc32(value.encode(), salt) % (self.rows - 1) for value in distinct]
        return _look_up(values, distinct, pl.Series(ids, dtype=pl.Int32), unknown=MISSING)


def flatten_bags(bags: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """All values of `bags` (List(String) [N]) in a row, and the length of each bag, int64 [N].

    A bag without values holds one null: the missing id is what such a row looks up.
    """
    lengths = bags.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    return bags.explode(empty_as_null=True, keep_nulls=True), np.maximum(lengths, 1)


def _look_up(values: pl.Series, known: pl.Series, ids: pl.Series, unknown: int) -> NDArray[np.int32]:
    table = pl.DataFrame({"value": known, "id": ids}, schema={"value": pl.String, "id": pl.Int32})
    found = values.alias("value").to_frame().join(table, on="value", how="left", maintain_order="left")
    encoded = found.select(
        pl.when(pl.col("value").is_null())
        .then(pl.lit(MISSING, pl.Int32))
        .otherwise(pl.col("id").fill_null(pl.lit(unknown, pl.Int32)))
    ).to_series()
    return encoded.to_numpy()
