"""Raw Avazu logs (Kaggle's train.csv): a header, id, click, hour (YYMMDDHH), 21 categories; comma-separated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from nasrec.data.delimited import blocks_of, read_delimited, read_header
from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

# NASRec's tables (nasrec/utils/config.py at 79bf6f9). The id is another in every row: it is always hashed.
TABLES = {
    "hour": 241, "C1": 8, "banner_pos": 8, "site_id": 4738, "site_domain": 7746, "site_category": 27, "app_id": 8553,
    "app_domain": 560, "app_category": 37, "device_id": 2686409, "device_ip": 6729487, "device_model": 8252,
    "device_type": 6, "device_conn_type": 5, "C14": 2627, "C15": 9, "C16": 10, "C17": 436, "C18": 5, "C19": 69,
    "C20": 173, "C21": 61,
}  # fmt: skip

AVAZU_SCHEMA = Schema(
    (
        Column("id", "category", digits="number", rows=10_000, hashed=True),
        Column("click", "label"),
        *(Column(name, "category", digits="number", rows=rows) for name, rows in TABLES.items()),
    )
)


class AvazuLog:
    """The source `avazu:FILE`. Raises InputError if there is no such file or its header names other columns."""

    schema = AVAZU_SCHEMA
    rows: int | None = None
    planted = False

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; avazu:FILE reads one raw Avazu log (train.csv)")
        self.spec = f"avazu:{path}"
        self.files = (path,)
        expected = [column.name for column in self.schema.columns]
        found = read_header(path, ",")
        if found != expected:
            raise InputError(f"{path}, line 1: columns {', '.join(found)}, expected {', '.join(expected)}")

    @property
    def expected_frames(self) -> float:
        """About how many frames there are."""
        return blocks_of(self.files[0])

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames in file order; InputError names the file, the line, the field and the value it cannot use."""
        (path,) = self.files
        names = [column.name for column in self.schema.columns]
        for frame, _ in read_delimited(path, names, self.schema, ",", header=True, quoted=False, start=start):
            yield frame
