"""Raw Criteo logs: label, 13 integers, 26 hexadecimal categories, tab-separated, no header, empty = missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from nasrec.data.delimited import blocks_of, read_delimited
from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

# Distinct values of each category in the whole log of 45.8 M rows: NASRec's tables, nasrec/utils/config.py at 79bf6f9.
TABLE_ROWS = (
    1461, 584, 10131227, 2202609, 306, 25, 12518, 634, 4, 93146, 5684, 8351593, 3195, 28, 14993, 5461307, 11, 5653,
    2174, 5, 7046548, 19, 16, 286182, 106, 142573,
)  # fmt: skip

CRITEO_SCHEMA = Schema(
    (
        Column("label", "label"),
        *(Column(f"I{number}", "dense") for number in range(1, 14)),
        *(Column(f"C{number}", "category", digits="hex", rows=rows) for number, rows in enumerate(TABLE_ROWS, start=1)),
    )
)


class CriteoLog:
    """The source `criteo:FILE`. Raises InputError if there is no such file."""

    schema = CRITEO_SCHEMA
    rows: int | None = None
    planted = False

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; criteo:FILE reads one raw Criteo log")
        self.spec = f"criteo:{path}"
        self.files = (path,)

    @property
    def expected_frames(self) -> float:
        """About how many frames there are."""
        return blocks_of(self.files[0])

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames in file order; InputError names the file, the line, the field and the value it cannot use."""
        (path,) = self.files
        names = [column.name for column in self.schema.columns]
        for frame, _ in read_delimited(path, names, self.schema, "\t", header=False, quoted=False, start=start):
            yield frame
