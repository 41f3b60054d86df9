"""Delimited text, read in large blocks with polars, each error with the line where it stands."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from nasrec.data.cast import cast_columns
from nasrec.data.schema import Schema
from nasrec.errors import InputError

BLOCK_BYTES = 64 << 20


def blocks_of(path: Path) -> float:
    """How many frames `read_delimited` makes of `path`, roughly."""
    return path.stat().st_size / BLOCK_BYTES


def read_header(path: Path, separator: str) -> list[str]:
    """The column names in the first line of `path`; InputError if the file is empty."""
    with path.open("rb") as file:
        line = file.readline()
    if not line:
        raise InputError(f"{path}: empty file, expected a header and at least one row")
    return next(csv.reader([_text(line, path, 1).lstrip("\ufeff").rstrip("\r\n")], delimiter=separator))


def read_delimited(
    path: Path, names: list[str], schema: Schema, separator: str, *, header: bool, quoted: bool, start: int = 0
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Typed frames (see `nasrec.data.cast`) of a file with columns `names`, each with the line number of its first row.

    One record is one line; an empty field is missing. `start` frames are passed over, unchecked but for the lines that
    they have. Raises InputError naming file and line where a line has another number of fields, is not UTF-8, or holds
    a quoted line break, or a field cannot be used; and naming the file where it has no rows at all.
    """
    blocks = 0
    for block, first_line in _blocks(path, skip_lines=1 if header else 0):
        blocks += 1
        if blocks > start:
            yield _typed(block, path, names, schema, separator, quoted and b'"' in block, first_line), first_line
    if blocks == 0:
        raise InputError(f"{path}: empty file, expected at least one row")


def _typed(
    block: bytes, path: Path, names: list[str], schema: Schema, separator: str, quoted: bool, first_line: int
) -> pl.DataFrame:
    """Numbers are parsed with the fields; only where that fails, as text first, which an error can then quote."""
    numeric = {column.name for column in schema.used if column.kind in ("label", "dense", "time")}
    place = f"{path}, line"
    try:
        dtypes = [pl.Float64() if name in numeric else pl.String() for name in names]
        frame = _parse(block, path, names, dtypes, separator, quoted, first_line)
        return cast_columns(frame, schema, place, first_line)
    except InputError:
        text = [pl.String() for _ in names]
        frame = _parse(block, path, names, text, separator, quoted, first_line)
        return cast_columns(frame, schema, place, first_line)


def _blocks(path: Path, skip_lines: int) -> Iterator[tuple[bytes, int]]:
    line = 1
    with path.open("rb") as file:
        for _ in range(skip_lines):
            file.readline()
            line += 1
        while block := file.read(BLOCK_BYTES):
            if not block.endswith(b"\n"):
                block += file.readline()
            yield block, line
            line += block.count(b"\n")


def _parse(
    block: bytes,
    path: Path,
    names: list[str],
    dtypes: Sequence[pl.DataType],
    separator: str,
    quoted: bool,
    first_line: int,
) -> pl.DataFrame:
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    # Polars fills a short line with nulls without a word, so the separators are counted; a long line it refuses.
    if quoted or block.count(separator.encode()) != lines * (len(names) - 1):
        _check_lines(block, path, len(names), separator, quoted, first_line)
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            schema=dict(zip(names, dtypes, strict=True)),
            separator=separator,
            quote_char='"' if quoted else None,
        )
    except pl.exceptions.PolarsError as error:
        _check_lines(block, path, len(names), separator, quoted, first_line)
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}, lines {first_line} to {first_line + lines - 1}: cannot be read: {reason}") from None
    if frame.height != lines:
        raise InputError(
            f"{path}, lines {first_line} to {first_line + lines - 1}: {frame.height} rows in {lines} lines; "
            "a quoted field may not hold a line break"
        )
    return frame


def _check_lines(block: bytes, path: Path, fields: int, separator: str, quoted: bool, first_line: int) -> None:
    """Raise InputError at the first line that is not UTF-8 or has a number of fields other than `fields`."""
    for line, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=first_line):
        text = _text(raw, path, line)
        if quoted and '"' in text:
            if text.count('"') % 2:
                raise InputError(f"{path}, line {line}: a quote is not closed; a quoted field ends on its own line")
            found = len(next(csv.reader([text], delimiter=separator)))
        else:
            found = text.count(separator) + 1
        if found != fields:
            raise InputError(f"{path}, line {line}: {found} columns, expected {fields}")


def _text(raw: bytes, path: Path, line: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {line}: not UTF-8 text (byte {error.start} of the line)") from None
