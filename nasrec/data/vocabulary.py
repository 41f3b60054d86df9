"""From the values of one categorical column to row numbers of its embedding table."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.cast import numbers_of
from nasrec.data.schema import Digits

MISSING = 0
OTHER = 1
RESERVED = 2  # ids 0 and 1 of a vocabulary; a hashed table reserves only the missing id


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ids by falling frequency: 0 = missing, 1 = any value that is not listed, 2 + i = `values[i]` (String)."""

    name: str
    values: pl.Series

    @classmethod
    def of_counts(cls, name: str, counts: pl.DataFrame, min_count: int, max_rows: int) -> Vocabulary:
        """The values of `counts` (columns value, count) seen `min_count` times or more, at most `max_rows` - 2.

        The more frequent come first, and of equally frequent ones the smaller in text order. Values are String, or
        UInt32 that were written in hexadecimal digits.
        """
        kept = counts.filter(pl.col("value").is_not_null(), pl.col("count") >= min_count)
        ordered = kept.sort(["count", "value"], descending=[True, False]).head(max_rows - RESERVED)["value"]
        return cls(name, ordered if ordered.dtype == pl.String else hexadecimal(ordered))

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return RESERVED + len(self.values)

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The id of each of `values` (String, or UInt32 of hexadecimal digits; null = missing), int32 [N]."""
        known = self.values
        if values.dtype == pl.UInt32:
            known = known.str.to_integer(base=16, dtype=pl.UInt32)
        ids = pl.Series(np.arange(RESERVED, self.rows, dtype=np.int32))
        table = pl.DataFrame({"value": known, "id": ids}, schema={"value": values.dtype, "id": pl.Int32})
        found = values.alias("value").to_frame().join(table, on="value", how="left", maintain_order="left")
        encoded = pl.when(pl.col("value").is_null()).then(MISSING).otherwise(pl.col("id").fill_null(OTHER))
        return found.select(encoded.cast(pl.Int32)).to_series().to_numpy()


@dataclass(frozen=True)
class Hashing:
    """Ids that need no list: 0 = missing, any value one of 1..rows-1.

    Digits are taken as the number that they write, modulo rows - 1, plus 1, as NASRec does (nasrec/utils/data_pipes.py
    at 79bf6f9); where they may be decimal or hexadecimal, modulo 2^31 - 1 first. Text: CRC-32 of the field's name and
    the value.
    """

    name: str
    rows: int
    digits: Digits = "text"

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The id of each of `values` (String, or UInt32 of hexadecimal digits; null = missing), int32 [N]."""
        match self.digits:
            case "text":
                return self._encode_text(values.cast(pl.String))
            case "hex":
                numbers = values.cast(pl.UInt32)
            case _:
                numbers = numbers_of(values)
        return (numbers % (self.rows - 1) + 1).cast(pl.Int32).fill_null(MISSING).to_numpy()

    def _encode_text(self, values: pl.Series) -> NDArray[np.int32]:
        salt = zlib.crc32(self.name.encode())
        distinct = values.unique()
        ids = [
            MISSING if value is None else 1 + zlib.crc32(value.encode(), salt) % (self.rows - 1) for value in distinct
        ]
        table = pl.DataFrame({"value": distinct, "id": ids}, schema={"value": pl.String, "id": pl.Int32})
        found = values.alias("value").to_frame()
        return found.join(table, on="value", how="left", maintain_order="left", nulls_equal=True)["id"].to_numpy()


def hexadecimal(numbers: pl.Series) -> pl.Series:
    """Each of `numbers` (UInt32) as eight hexadecimal digits."""
    text = numbers.to_numpy().astype(">u4").tobytes().hex()
    return pl.Series([text[begin : begin + 8] for begin in range(0, len(text), 8)], dtype=pl.String)


def flatten_bags(bags: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """All values of `bags` (List(String) [N]) in a row, and the length of each bag, int64 [N].

    A bag without values holds one null: the missing id is what such a row looks up.
    """
    lengths = bags.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    return bags.explode(empty_as_null=True, keep_nulls=True), np.maximum(lengths, 1)
