"""Delimited text, read in large blocks with polars, each error with the line where it stands."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.cast import cast_columns
from nasrec.data.in_order import in_order
from nasrec.data.schema import Schema
from nasrec.errors import InputError
from nasrec.kernels import parse_digits

BLOCK_BYTES = 16 << 20  # small enough for the allocator to hand the same pages out again
NUMERIC = ("label", "dense", "time")  # kinds of columns whose values are numbers
SEPARATORS_OF_NUMBERS = "\t,;|"


@dataclass(frozen=True)
class _Block:
    """Whole lines of a file: their text, their number, and which line of the file the first one is (from 1)."""

    text: bytes
    lines: int
    first_line: int


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

    def typed(block: _Block) -> tuple[pl.DataFrame, int]:
        return _typed(block, path, names, schema, separator, quoted and b'"' in block.text), block.first_line

    yield from in_order(typed, islice(_blocks(path, skip_lines=1 if header else 0), start, None))


def _typed(
    block: _Block, path: Path, names: list[str], schema: Schema, separator: str, quoted: bool
) -> pl.DataFrame:
    """Numbers are parsed with the fields; only where that fails, as text first, which an error can then quote."""
    numeric = {column.name for column in schema.used if column.kind in NUMERIC}
    place = f"{path}, line"
    try:
        frame = _whole_numbers(block, names, schema, separator)
        if frame is None:
            dtypes = [pl.Float64() if name in numeric else pl.String() for name in names]
            frame = _parse(block, path, names, dtypes, separator, quoted)
        return cast_columns(frame, schema, place, block.first_line)
    except InputError:
        text = [pl.String() for _ in names]
        frame = _parse(block, path, names, text, separator, quoted)
        return cast_columns(frame, schema, place, block.first_line)


def _whole_numbers(block: _Block, names: list[str], schema: Schema, separator: str) -> pl.DataFrame | None:
    """The columns of `block` where it holds nothing but whole numbers, as Criteo's log does, else None.

    A log is then read in a quarter of the time (`benchmarks/test_data.py`): polars makes text of hexadecimal digits.
    """
    used = {column.name: column for column in schema.used}
    kinds = [used[name] for name in names if name in used]
    if len(kinds) < len(names) or separator not in SEPARATORS_OF_NUMBERS:
        return None
    hexadecimal = [column.digits == "hex" for column in kinds]
    if not all(h or column.kind in NUMERIC for h, column in zip(hexadecimal, kinds, strict=True)):
        return None
    found = parse_digits(block.text, separator, hexadecimal, block.lines)
    if found is None:
        return None
    numbers, codes, present = (iter(part) for part in found)
    return pl.DataFrame(
        [
            _codes(name, next(codes), next(present)) if h else pl.Series(name, next(numbers), nan_to_null=True)
            for name, h in zip(names, hexadecimal, strict=True)
        ]
    )


def _codes(name: str, codes: NDArray[np.uint32], present: NDArray[np.bool_]) -> pl.Series:
    series = pl.Series(name, codes)
    return series if present.all() else series.set(pl.Series(~present), None)


def _blocks(path: Path, skip_lines: int) -> Iterator[_Block]:
    line = 1
    with path.open("rb") as file:
        for _ in range(skip_lines):
            file.readline()
            line += 1
        first_line = line
        while text := file.read(BLOCK_BYTES):
            if not text.endswith(b"\n"):
                text += file.readline()
            lines = _count(text, "\n") + (not text.endswith(b"\n"))
            yield _Block(text, lines, line)
            line += lines
    if line == first_line:
        raise InputError(f"{path}: empty file, expected at least one row")


def _count(text: bytes, character: str) -> int:
    """How often an ASCII `character` is in `text`; `bytes.count` is slow where it is frequent, and holds the GIL."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(character)))


def _parse(
    block: _Block, path: Path, names: list[str], dtypes: Sequence[pl.DataType], separator: str, quoted: bool
) -> pl.DataFrame:
    place = f"{path}, lines {block.first_line} to {block.first_line + block.lines - 1}"
    # Polars fills a short line with nulls without a word, so the separators are counted; a long line it refuses.
    if quoted or _count(block.text, separator) != block.lines * (len(names) - 1):
        _check_lines(block, path, len(names), separator, quoted)
    try:
        frame = pl.read_csv(
            block.text,
            has_header=False,
            schema=dict(zip(names, dtypes, strict=True)),
            separator=separator,
            quote_char='"' if quoted else None,
        )
    except pl.exceptions.PolarsError as error:
        _check_lines(block, path, len(names), separator, quoted)
        reason = str(error).partition("\n")[0]
        raise InputError(f"{place}: cannot be read: {reason}") from None
    if frame.height != block.lines:
        raise InputError(
            f"{place}: {frame.height} rows in {block.lines} lines; a quoted field may not hold a line break"
        )
    return frame


def _check_lines(block: _Block, path: Path, fields: int, separator: str, quoted: bool) -> None:
    """Raise InputError at the first line that is not UTF-8 or has a number of fields other than `fields`."""
    for line, raw in enumerate(block.text.removesuffix(b"\n").split(b"\n"), start=block.first_line):
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
