"""Raw Criteo files: the format by hand, and every way in which a line can be wrong."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nasrec.data import delimited
from nasrec.data.source import open_source
from nasrec.data.synthetic import write_criteo
from nasrec.errors import InputError

GOOD = "1\t" + "\t".join(["5"] * 13) + "\t" + "\t".join(["00ff00ff"] * 26)


def read(path: Path) -> pl.DataFrame:
    return pl.concat(open_source(f"criteo:{path}").frames())


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "train.txt"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def test_a_row_by_hand(tmp_path: Path) -> None:
    fields = ["0", "-1", "", "1382", *["7"] * 10, "68fd1e64", "", *["ab"] * 24]
    frame = read(write(tmp_path, "\t".join(fields), GOOD))
    assert frame.shape == (2, 40)
    assert frame.row(0)[:4] == (0, -1.0, None, 1382.0)
    assert frame.row(0)[14:17] == (0x68FD1E64, None, 0xAB)
    assert frame["label"].dtype == pl.UInt8 and frame["I1"].dtype == pl.Float64 and frame["C1"].dtype == pl.UInt32


def test_last_line_may_lack_its_end_and_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes((GOOD + "\r\n" + GOOD).encode())
    assert read(path)["C26"].to_list() == [0x00FF00FF] * 2


@pytest.mark.parametrize("bad", ["00fg00ff", "123456789", '"', "0x12"])
def test_broken_hexadecimal_digits_are_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, GOOD, GOOD.removesuffix("00ff00ff") + bad, GOOD))
    expected = f"line 2, field 'C26': value {bad!r}, expected 1 to 8 hexadecimal digits, or nothing where it is missing"
    assert str(caught.value) == f"{tmp_path / 'train.txt'}, {expected}"


def without_last_field(line: str) -> str:
    return line.rpartition("\t")[0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (GOOD.replace("5", "12x", 1), "field 'I1': value '12x', expected a number"),
        (GOOD.replace("5", "nan", 1), "field 'I1': value 'nan'"),
        (GOOD.replace("5", "inf", 1), "field 'I1': value 'inf'"),
        ("2" + GOOD[1:], "field 'label': value '2', expected 0 or 1"),
        ("" + GOOD[1:], "field 'label': value None, expected a label"),
        ("x" + GOOD[1:], "field 'label': value 'x'"),
        (without_last_field(GOOD), "39 columns, expected 40"),
        (GOOD + "\t1", "41 columns, expected 40"),
        ("", "1 columns, expected 40"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 600, 1 << 20])
def test_a_bad_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, said: str, block_bytes: int
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block_bytes)
    path = write(tmp_path, GOOD, GOOD, GOOD, bad, GOOD)
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 4") and said in message and "\n" not in message


def test_a_short_line_does_not_hide_behind_a_long_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: 39 columns"):
        read(write(tmp_path, GOOD, without_last_field(GOOD), GOOD + "\tab"))


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(GOOD.encode() + b"\n" + GOOD.encode().replace(b"00ff00ff", b"\xff\xfe") + b"\n")
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read(path)


def test_empty_and_absent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.txt: empty file, expected at least one row"):
        read(write(tmp_path))
    with pytest.raises(InputError, match=r"absent.txt: no such file"):
        open_source(f"criteo:{tmp_path / 'absent.txt'}")
    with pytest.raises(InputError, match="no such file"):
        open_source(f"criteo:{tmp_path}")


@pytest.mark.parametrize("block_bytes", [1, 1000, 100_000])
def test_rows_do_not_depend_on_the_block_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    path = tmp_path / "train.txt"
    write_criteo(path, 500)
    whole = read(path)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", block_bytes)
    assert_frame_equal(read(path), whole)


def test_the_real_format(shared: Path) -> None:
    frame = read(shared / "data/criteo/first10k.txt")
    assert frame.shape == (10_000, 40)
    assert frame["label"].n_unique() == 2 and frame["C1"].null_count() == 0 and frame["C22"].null_count() > 0
