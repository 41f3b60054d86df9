"""Whole numbers out of delimited text, a column each."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasrec import _kernels
from nasrec.kernels.implementation import Implementation, is_compiled

Columns = tuple[NDArray[np.float64], NDArray[np.uint32], NDArray[np.bool_]]

_DECIMAL, _HEXADECIMAL = re.compile(rb"(-?[0-9]{1,15})?"), re.compile(rb"[0-9a-fA-F]{0,8}")


def parse_digits(
    text: bytes, separator: str, hexadecimal: Sequence[bool], rows: int, *, implementation: Implementation = "kernel"
) -> Columns | None:
    """The numbers in `rows` lines of `text` with a field for each of `hexadecimal`, or None where they are not such.

    Lines end in a line feed, the last one perhaps with the text. A field is empty or a whole number: 1 to 8 hexadecimal
    digits where `hexadecimal` says so, else 1 to 15 decimal ones, perhaps after a minus. Returned are the decimal
    fields, float64 [D, rows] with NaN where empty, and the hexadecimal ones, uint32 [H, rows], with whether they are
    there, bool [H, rows]. ValueError for a `separator` that a number may hold, and for more rows than bytes. The same
    on every instruction set; one thread, the GIL released.
    """
    if is_compiled(implementation):
        kinds = np.array(hexadecimal, np.uint8)
        return _kernels.parse_digits(np.frombuffer(text, np.uint8), ord(separator), kinds, rows)
    return _parse_digits(text, separator, hexadecimal, rows)


def _parse_digits(text: bytes, separator: str, hexadecimal: Sequence[bool], rows: int) -> Columns | None:
    """The same with regular expressions."""
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    table = [line.split(separator.encode()) for line in lines]
    kinds = [_HEXADECIMAL if kind else _DECIMAL for kind in hexadecimal]
    if len(table) != rows or any(len(line) != len(kinds) for line in table):
        return None
    if not all(kind.fullmatch(field) for line in table for kind, field in zip(kinds, line, strict=True)):
        return None
    coded = [place for place, kind in enumerate(hexadecimal) if kind]
    plain = [place for place, kind in enumerate(hexadecimal) if not kind]
    numbers = [[float(line[place] or b"nan") for line in table] for place in plain]
    codes = [[int(line[place] or b"0", 16) for line in table] for place in coded]
    present = [[line[place] != b"" for line in table] for place in coded]
    return (
        np.array(numbers, np.float64).reshape(len(plain), rows),
        np.array(codes, np.uint32).reshape(len(coded), rows),
        np.array(present, np.bool_).reshape(len(coded), rows),
    )
