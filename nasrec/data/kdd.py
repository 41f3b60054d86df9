"""Raw logs of KDD Cup 2012 track 2: training.txt, with the users' gender and age joined from userid_profile.txt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import polars as pl

from nasrec.data.delimited import blocks_of, read_delimited
from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

PROFILE = "userid_profile.txt"  # beside the log: user, gender (0 unknown, 1, 2), age (1 to 6), tab-separated
UNKNOWN = "0"  # gender and age of a user without a profile, as in NASRec's nasrec/tools at 79bf6f9


def _category(name: str, rows: int) -> Column:
    return Column(name, "category", digits="number", rows=rows)


# Columns of training.txt in file order; tables as NASRec's nasrec/utils/config.py at 79bf6f9 has them.
LOG_SCHEMA = Schema(
    (
        Column("click", "label", positive_from=1),  # clicks of all the impressions that a row stands for
        Column("impression", "dense"),
        _category("display_url", 26274),
        _category("ad", 641708),
        _category("advertiser", 14848),
        Column("depth", "dense"),
        Column("position", "dense"),
        _category("query", 22122011),
        _category("keyword", 1188090),
        _category("title", 3735797),
        _category("description", 2934102),
        _category("user", 20004011),
    )
)
KDD_SCHEMA = Schema((*LOG_SCHEMA.columns, _category("gender", 4), _category("age", 8)))
PROFILE_SCHEMA = Schema((Column("user", "category"), Column("gender", "category"), Column("age", "category")))


class KddLog:
    """The source `kdd:FILE`. Raises InputError if the log or the profile beside it is not there."""

    schema = KDD_SCHEMA
    rows: int | None = None
    planted = False

    def __init__(self, path: Path) -> None:
        profile = path.with_name(PROFILE)
        if not path.is_file():
            raise InputError(f"{path}: no such file; kdd:FILE reads training.txt of KDD Cup 2012 track 2")
        if not profile.is_file():
            raise InputError(f"{profile}: no such file; kdd:FILE needs the users' profile beside the log")
        self.spec = f"kdd:{path}"
        self.files = (path, profile)

    @property
    def expected_frames(self) -> float:
        """About how many frames there are."""
        return blocks_of(self.files[0])

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames in file order; InputError names the file, the line, the field and the value it cannot use."""
        path = self.files[0]
        names = [column.name for column in LOG_SCHEMA.columns]
        for typed, _ in read_delimited(path, names, LOG_SCHEMA, "\t", header=False, quoted=False, start=start):
            joined = typed.with_columns(pl.col("user").cast(pl.UInt32, strict=False).alias("key"))
            joined = joined.join(self._profiles, on="key", how="left", maintain_order="left").drop("key")
            yield joined.with_columns(pl.col("gender", "age").cast(pl.String).fill_null(UNKNOWN))

    @cached_property
    def _profiles(self) -> pl.DataFrame:
        """Users (UInt32), gender and age (UInt8): 24 M users take 150 MB."""
        parts, path = [], self.files[1]
        names = [column.name for column in PROFILE_SCHEMA.columns]
        for frame, line in read_delimited(path, names, PROFILE_SCHEMA, "\t", header=False, quoted=False):
            part = frame.select(
                pl.col("user").cast(pl.UInt32, strict=False).alias("key"),
                pl.col("gender", "age").cast(pl.UInt8, strict=False),
            )
            for name, column in zip(PROFILE_SCHEMA.tables, part.get_columns(), strict=True):
                if column.null_count():
                    row = int(column.is_null().arg_true()[0])
                    raise InputError(
                        f"{path}, line {line + row}, field {name.name!r}: value {frame[name.name][row]!r}, "
                        "expected a whole number"
                    )
            parts.append(part)
        whole = pl.concat(parts)
        if whole["key"].is_duplicated().any():
            user = whole["key"].filter(whole["key"].is_duplicated())[0]
            raise InputError(f"{path}, field 'user': {user} appears twice")
        return whole
