"""Any CSV or Parquet files that a `schema.toml` describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from nasrec.data.cast import cast_columns
from nasrec.data.delimited import read_delimited, read_header
from nasrec.data.parquet_file import unreadable
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
        self.schema = self._files.schema
        self._columns = [self._checked_columns(file, path) for file in self._files.files]
        self.rows = self._count()

    def frames(self) -> Iterator[pl.DataFrame]:
        """Typed frames, file by file; InputError names the file, the row, the field and the value it cannot use."""
        for file, columns in zip(self._files.files, self._columns, strict=True):
            yield from self._parquet(file) if _is_parquet(file) else self._text(file, columns)

    def _text(self, file: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
        separator, header = self._separator(file), self._files.header
        for frame, line in read_delimited(file, columns, separator, header=header, quoted=True):
            yield cast_columns(frame, self.schema, f"{file}, line", line)

    def _parquet(self, file: Path) -> Iterator[pl.DataFrame]:
        rows = _parquet_rows(file)
        if rows == 0:
            raise InputError(f"{file}: empty file, expected at least one row")
        names = [column.name for column in self.schema.used]
        for start in range(0, rows, FRAME_ROWS):
            try:
                frame = pl.scan_parquet(file).select(names).slice(start, FRAME_ROWS).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise unreadable(file, error) from None
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
        return sum(_parquet_rows(file) for file in self._files.files)


def _compare(found: Sequence[str], known: Sequence[str], used: Sequence[str], file: Path, schema_path: Path) -> None:
    if len(set(found)) != len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise InputError(f"{file}: column {twice!r} appears twice")
    for name in used:
        if name not in found:
            raise InputError(f"{file}: no column {name!r}, which {schema_path} names; the file has {', '.join(found)}")
    for name in found:
        if name not in known:
            raise InputError(f"{file}: column {name!r} is not in {schema_path}; add it there, as \"ignore\" if unused")


def _parquet_rows(file: Path) -> int:
    try:
        return int(pl.scan_parquet(file).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from None


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in PARQUET_SUFFIXES
