"""`schema.toml`: unknown keys and impossible values are refused with file, key and value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasrec.data.criteo import CRITEO_SCHEMA
from nasrec.data.schema import Column, Schema, read_schema
from nasrec.data.table import TableLog
from nasrec.errors import InputError

GOOD = 'files = ["a.csv"]\n[columns]\ny = "label"\nu = "category"\n'


def read(folder: Path, text: str) -> Schema:
    (folder / "a.csv").touch()
    path = folder / "schema.toml"
    path.write_text(text)
    return read_schema(path).schema


def test_short_and_long_form_are_the_same(tmp_path: Path) -> None:
    long = GOOD.replace('"category"', '{ kind = "category" }')
    assert read(tmp_path, GOOD) == read(tmp_path, long) == Schema((Column("y", "label"), Column("u", "category")))


def test_files_are_relative_to_the_schema(tmp_path: Path) -> None:
    read(tmp_path, GOOD)
    assert read_schema(tmp_path / "schema.toml").files == (tmp_path / "a.csv",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1\n" + GOOD, "key 'colour': unknown key"),
        (GOOD.replace('"category"', '{ kind = "category", seperator = "|" }'), "key 'columns.u.seperator': unknown"),
        (GOOD.replace('"category"', '"sparse"'), "key 'columns.u.kind'.*'category'.*(got 'sparse')"),
        (GOOD.replace('"category"', "3"), "key 'columns.u'"),
        (GOOD.replace('"category"', '{ separator = "|" }'), "key 'columns.u.kind': field required"),
        ("version = 2\n" + GOOD, "key 'version'.*(got 2)"),
        (GOOD.replace('["a.csv"]', '"a.csv"'), "key 'files'"),
        (GOOD.replace('["a.csv"]', "[]"), "key 'files'"),
        (GOOD.replace("a.csv", "b.csv"), "key 'files': no such file: .*b.csv"),
        (GOOD.partition("\n")[2], "key 'files': field required"),
        ('separator = ",,"\n' + GOOD, "key 'separator'"),
        (GOOD.replace('"label"', '"ignore"'), "0 columns of kind 'label'"),
        (GOOD.replace('"category"', '"label"'), r"2 columns of kind 'label' \(y, u\)"),
        (GOOD.replace('"category"', '"ignore"'), "no input"),
        (GOOD + "u = 1\n", "not valid TOML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "schema.toml")) and "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", ["§", '"', "\n", "\r", "", ",,", "\u3000"])
def test_a_separator_is_one_ascii_character(tmp_path: Path, separator: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"separator = {json.dumps(separator)}\n{GOOD}")
    assert str(caught.value) == (
        f"{tmp_path / 'schema.toml'}, key 'separator': expected one ASCII character, neither a quote nor a line break "
        f"(got {separator!r})"
    )


@pytest.mark.parametrize("separator", [",", "\t", " ", "|", "\x01", "~"])
def test_separators_that_can_be_used(tmp_path: Path, separator: str) -> None:
    read(tmp_path, f"separator = {json.dumps(separator)}\n{GOOD}")
    (tmp_path / "a.csv").write_text(separator.join("yu") + "\n" + separator.join("1b") + "\n")
    (frame,) = TableLog(tmp_path / "schema.toml").frames()
    assert frame.rows() == [(1, "b")]


# As the table of docs/formats.md has them.
OPTIONS = {
    "positive_from": ("label", 3.0),
    "transform": ("dense", "none"),
    "digits": ("category", "hex"),
    "rows": ("category", 7),
    "hashed": ("category", True),
    "separator": ("bag", "%"),
}
DEFAULTS = {"transform": "log", "digits": "text", "hashed": False, "separator": "|"}
KINDS = ("label", "dense", "category", "bag", "time", "split", "ignore")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_option_belongs_to_one_kind(tmp_path: Path, kind: str, option: str) -> None:
    owner, value = OPTIONS[option]
    others = 'u = "category"\n' if kind == "label" else 'y = "label"\nu = "category"\n'
    begin = 'files = ["a.csv"]\n[columns]\n' + others
    rest = [{"name": "y", "kind": "label"}] * (kind != "label") + [{"name": "u", "kind": "category"}]
    for given in {value, DEFAULTS.get(option, value)}:
        text = f'{begin}x = {{ kind = "{kind}", {option} = {json.dumps(given)} }}\n'
        data = {"columns": [*rest, {"name": "x", "kind": kind, option: given}]}
        said = f"{option}': an option of kind '{owner}', column 'x' is of kind '{kind}' (got {given!r})"
        if kind == owner:
            assert getattr(read(tmp_path, text).columns[-1], option) == given
            assert getattr(Schema.from_json(data).columns[-1], option) == given
            continue
        with pytest.raises(InputError) as caught:
            read(tmp_path, text)
        assert str(caught.value) == f"{tmp_path / 'schema.toml'}, key 'columns.x.{said}"
        if given == DEFAULTS.get(option):
            Schema.from_json(data)  # to_json writes the defaults of all options
            continue
        with pytest.raises(InputError) as caught:
            Schema.from_json(data, "here")
        assert str(caught.value) == f"here, columns[{len(rest)}], key '{said}"


def test_absent_folder_and_binary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_schema(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is a folder"):
        read_schema(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_schema(tmp_path / "x.toml")


def test_json_round_trip() -> None:
    assert Schema.from_json(json.loads(json.dumps(CRITEO_SCHEMA.to_json()))) == CRITEO_SCHEMA


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "one key, 'columns'"),
        ({"columns": [{"kind": "label"}]}, r"columns\[0\]: a column needs a 'name'"),
        ({"columns": [{"name": "y", "kind": "label", "x": 1}]}, r"columns\[0\], key 'x': unknown key"),
        ({"columns": [{"name": "y", "kind": "label"}]}, "no input"),
    ],
)
def test_json_that_is_no_schema(data: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Schema.from_json(data, "here")
