"""Whole numbers out of text: equal to regular expressions, refusing what they refuse, on every instruction set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from every_machine import on_every_machine, same_bits
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nasrec.data import delimited
from nasrec.data.criteo import CRITEO_SCHEMA
from nasrec.errors import InputError
from nasrec.kernels import parse_digits
from nasrec.kernels.parse_digits import Columns

DECIMAL = st.just("") | st.integers(-(10**15) + 1, 10**15 - 1).map(str) | st.text("0123456789", min_size=1, max_size=15)
HEXADECIMAL = st.text("0123456789abcdefABCDEF", max_size=8)
ODD = st.sampled_from(
    ["-", "--1", "+1", "1.5", "1e3", " 1", "g", "123456789", "9" * 16, "0x1", "\r", "\t", "\n", "\0", "é", "nan"]
)


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, list[bool], int]:
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    rows = [[draw(HEXADECIMAL if kind else DECIMAL) for kind in kinds] for _ in range(draw(st.integers(0, 4)))]
    if rows and draw(st.booleans()):
        rows[draw(st.integers(0, len(rows) - 1))][draw(st.integers(0, len(kinds) - 1))] = draw(ODD)
    text = "\n".join("\t".join(row) for row in rows).encode() + (b"\n" if draw(st.booleans()) else b"")
    return text[: draw(st.just(len(text)) | st.integers(0, len(text)))], kinds, len(rows)


def flat(found: Columns | None) -> np.ndarray:
    return np.zeros(0) if found is None else np.concatenate([part.astype(np.float64).reshape(-1) for part in found])


@given(case=texts())
def test_equal_to_the_definition(case: tuple[bytes, list[bool], int]) -> None:
    text, kinds, rows = case
    if rows > len(text):
        with pytest.raises(ValueError, match=r"rows: \d, expected 0 to the number of bytes"):
            parse_digits(text, "\t", kinds, rows)
        return
    same_bits(on_every_machine(lambda: flat(parse_digits(text, "\t", kinds, rows))))
    ours, expected = (parse_digits(text, "\t", kinds, rows, implementation=name) for name in ("kernel", "reference"))
    assert (ours is None) == (expected is None)
    for got, wanted in zip(ours or (), expected or (), strict=True):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape and got.tobytes() == wanted.tobytes()


def test_by_hand() -> None:
    found = parse_digits(b"1,-07,fF,0\n,3,,89abcdef", ",", [False, False, True, True], 2)
    assert found is not None
    numbers, codes, present = found
    np.testing.assert_array_equal(numbers, [[1, np.nan], [-7, 3]])
    assert codes.tolist() == [[255, 0], [0, 0x89ABCDEF]] and present.tolist() == [[True, False], [True, True]]
    largest = parse_digits(b"999999999999999\n-999999999999999\n", "\t", [False], 2)
    assert largest is not None and largest[0].tolist() == [[1e15 - 1, 1 - 1e15]]


@pytest.mark.parametrize(
    "text", [b"1\t2", b"1\t2\n\n", b"1\t2\n3", b"1\t2\n3\t4\t5", b"1\t2\n3\t4\n5\t6", b"1 2\n3\t4", b"1\t2\r\n3\t4\n"]
)
def test_other_lines_are_not_taken(text: bytes) -> None:
    assert parse_digits(text, "\t", [False, True], 2) is None


def test_bad_arguments_are_named() -> None:
    for separator in ("-", "\n", "7", "c", "é"):
        with pytest.raises(ValueError, match=r"separator: \d+, expected an ASCII character that no number has"):
            parse_digits(b"1", separator, [False], 1)
    with pytest.raises(ValueError, match="hexadecimal: no fields"):
        parse_digits(b"1", ",", [], 1)
    with pytest.raises(ValueError, match="rows: -1, expected 0 to the number of bytes"):
        parse_digits(b"1", ",", [True], -1)


@pytest.mark.parametrize("spoil", ["", "7.5", "+3", " 12 ", "1e2", "\0"])
def test_a_log_is_read_alike_with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str) -> None:
    """Blocks that the kernel reads and blocks that polars reads give the same frames, and the same error."""
    rng = np.random.default_rng(0)
    names = [column.name for column in CRITEO_SCHEMA.columns]
    lines = []
    for row in range(60):
        numbers = ["" if rng.random() < 0.2 else str(rng.integers(-3, 10**6)) for _ in range(13)]
        codes = ["" if rng.random() < 0.2 else f"{rng.integers(2**32):x}" for _ in range(26)]
        if row == 40 and spoil:
            numbers[4] = spoil
        lines.append("\t".join([str(row % 2), *numbers, *codes]))
    (tmp_path / "log.txt").write_text("\n".join(lines))
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 2000)

    def read() -> list[pl.DataFrame] | str:
        source = delimited.read_delimited(tmp_path / "log.txt", names, CRITEO_SCHEMA, "\t", header=False, quoted=False)
        try:
            return [frame for frame, _ in source]
        except InputError as error:
            return str(error)

    taken: list[bool] = []

    def watched(*arguments: object) -> object:
        found = parse_digits(*arguments)  # type: ignore[arg-type]
        taken.append(found is not None)
        return found

    monkeypatch.setattr(delimited, "parse_digits", watched)
    ours = read()
    assert taken.count(False) == bool(spoil) and taken.count(True) > 3
    monkeypatch.setattr(delimited, "parse_digits", lambda *arguments: None)
    theirs = read()
    if isinstance(ours, str) or isinstance(theirs, str):
        assert ours == theirs and "line 41, field 'I5'" in ours
        return
    for mine, other in zip(ours, theirs, strict=True):
        assert_frame_equal(mine, other)
