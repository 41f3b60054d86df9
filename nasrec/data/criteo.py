"""Raw Criteo logs: label, 13 integers, 26 hexadecimal categories, tab-separated, no header, empty = missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from nasrec.data.cast import cast_columns
from nasrec.data.delimited import read_delimited
from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

CRITEO_SCHEMA = Schema(
    (
        Column("label", "label"),
        *(Column(f"I{number}", "dense") for number in range(1, 14)),
        *(Column(f"C{number}", "category") for number in range(1, 27)),
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
        self._path = path

    def frames(self) -> Iterator[pl.DataFrame]:
        """Typed frames in file order; InputError names the file, the line, the field and the value it cannot use."""
        names = [column.name for column in self.schema.columns]
        for frame, line in read_delimited(self._path, names, "\t", header=False, quoted=False):
            yield cast_columns(frame, self.schema, f"{self._path}, line", line)
