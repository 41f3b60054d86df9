"""Any CSV or Parquet files that a `schema.toml` describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from nasrec.data.cast import cast_columns
from nasrec.data.delimited import blocks_of, read_delimited, read_header
from nasrec.data.parquet_file import parquet_rows, unreadable
from nasrec.data.schema import read_schema
from nasrec.errors import InputError

PARQUET_SUFFIXES = (".parquet", ".pq")
FRAME_ROWS = 1 << 18


class TableLog:
    """The source `table:schema.toml`. Raises InputError if the schema or the columns of a file cannot be used."""

    planted = False

    def __init__(self, path: Path) -> None:
        self._files = read_schema(path)
        self.spec = f"table:{path}"
        self.files = self._files.files
        self.schema = self._files.schema
        self._columns = [self._checked_columns(file, path) for file in self._files.files]
        self.rows = self._count()

    @property
    def expected_frames(self) -> float:
        """About how many frames there are."""
        return sum(map(blocks_of, self.files))

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames, file by file; InputError names the file, the row, the field and the value it cannot use."""
        return islice(self._frames(), start, None) if len(self.files) > 1 else self._frames(start)

    def _frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        for file, columns in zip(self.files, self._columns, strict=True):
            yield from self._parquet(file, start) if _is_parquet(file) else self._text(file, columns, start)

    def _text(self, file: Path, columns: list[str], start: int) -> Iterator[pl.DataFrame]:
        separator, header = self._separator(file), self._files.header
        for frame, _ in read_delimited(file, columns, self.schema, separator, header=header, quoted=True, start=start):
            yield frame

    def _parquet(self, file: Path, skipped: int) -> Iterator[pl.DataFrame]:
        rows = parquet_rows(file)
        if rows == 0:
            raise InputError(f"{file}: empty file, expected at least one row")
        names = [column.name for column in self.schema.used]
        for start in range(skipped * FRAME_ROWS, rows, FRAME_ROWS):
            try:
                frame = pl.scan_parquet(file).select(names).slice(start, FRAME_ROWS).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise unreadable(file, error) from None
            # UInt32 would be taken for hexadecimal digits that are read already; here it is a number as any other
            frame = frame.with_columns(pl.col(pl.UInt32).cast(pl.Int64))
            yield cast_columns(frame, self.schema, f"{file}, row", start + 1)

    def _checked_columns(self, file: Path, schema_path: Path) -> list[str]:
        known = [column.name for column in self.schema.columns]
        if _is_parquet(file):
            try:
                found = pl.scan_parquet(file).collect_schema().names()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise unreadable(file, error) from None
        elif self._files.header:
            found = read_header(file, self._separator(file))
        else:
            return known
        _compare(found, known, [column.name for column in self.schema.used], file, schema_path)
        return found

    def _separator(self, file: Path) -> str:
        return self._files.separator or ("\t" if file.suffix.lower() in (".tsv", ".tab") else ",")

    def _count(self) -> int | None:
        if not all(_is_parquet(file) for file in self._files.files):
            return None
        return sum(parquet_rows(file) for file in self._files.files)


def _compare(found: Sequence[str], known: Sequence[str], used: Sequence[str], file: Path, schema_path: Path) -> None:
    if len(set(found)) != len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise InputError(f"{file}: column {twice!r} appears twice")
    for name in used:
        if name not in found:
            raise InputError(f"{file}: no column {name!r}, which {schema_path} names; the file has {', '.join(found)}")
    for name in found:
        if name not in known:
            raise InputError(f'{file}: column {name!r} is not in {schema_path}; add it there, as "ignore" if unused')


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in PARQUET_SUFFIXES
