"""CSV and Parquet through `schema.toml`: what is read, what is refused, and the real logs that come with the facts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from nasrec.data.source import Source, open_source
from nasrec.errors import InputError

SCHEMA = """
files = ["log.csv"]
[columns]
clicked = "label"
price = "dense"
user = "category"
tags = { kind = "bag", separator = "|" }
note = "ignore"
"""
CSV = """clicked,price,user,tags,note
1,2.5,ann,a|b,x
0,,"b,o""b",,
1,-3,,a||c,y
"""


def table(folder: Path, schema: str = SCHEMA, **files: bytes | str) -> Source:
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("_", ".")).write_bytes(data)
    (folder / "schema.toml").write_text(schema)
    return open_source(f"table:{folder / 'schema.toml'}")


def read(source: Source) -> pl.DataFrame:
    return pl.concat(source.frames())


EXPECTED = {
    "clicked": [1, 0, 1],
    "price": [2.5, None, -3.0],
    "user": ["ann", 'b,o"b', None],
    "tags": [["a", "b"], None, ["a", "c"]],
}


def test_csv(tmp_path: Path) -> None:
    source = table(tmp_path, log_csv=CSV)
    assert source.rows is None and not source.planted
    assert read(source).to_dict(as_series=False) == EXPECTED


def test_columns_may_stand_in_another_order_and_files_follow_each_other(tmp_path: Path) -> None:
    schema = SCHEMA.replace('["log.csv"]', '["log.csv", "more.csv"]')
    more = "user,clicked,tags,price,note\neve,0,z,1,\n"
    frame = read(table(tmp_path, schema, log_csv=CSV, more_csv=more))
    assert frame["user"].to_list() == ["ann", 'b,o"b', None, "eve"]
    assert frame["price"].to_list()[-1] == 1.0


def test_without_header_and_with_another_separator(tmp_path: Path) -> None:
    schema = SCHEMA.replace("[columns]", 'separator = ";"\nheader = false\n[columns]')
    body = CSV.partition("\n")[2].replace('"b,o""b"', "bob").replace(",", ";")
    assert read(table(tmp_path, schema, log_csv=body))["user"].to_list() == ["ann", "bob", None]


def test_tabs_are_the_separator_of_a_tsv(tmp_path: Path) -> None:
    body = CSV.replace('"b,o""b"', "bob").replace(",", "\t")
    assert read(table(tmp_path, SCHEMA.replace("log.csv", "log.tsv"), log_tsv=body))["tags"].to_list()[0] == ["a", "b"]


def test_parquet_with_typed_columns_and_lists(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "clicked": [True, False, True],
            "price": [2.5, None, -3.0],
            "user": [12, 7, None],
            "tags": [["a", "b"], None, ["a", None, "c"]],
        }
    )
    frame.write_parquet(tmp_path / "log.parquet")
    source = table(tmp_path, SCHEMA.replace("log.csv", "log.parquet"))
    assert source.rows == 3
    assert read(source).to_dict(as_series=False) == {**EXPECTED, "user": ["12", "7", None]}


def test_a_label_may_be_a_threshold(tmp_path: Path) -> None:
    schema = 'files = ["log.csv"]\n[columns]\nrating = { kind = "label", positive_from = 4 }\nuser = "category"\n'
    assert read(table(tmp_path, schema, log_csv="rating,user\n3.9,a\n4,b\n5,c\n"))["rating"].to_list() == [0, 1, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CSV.replace("2.5", "2,5"), "line 2: 6 columns, expected 5"),
        (CSV.replace("-3", "three"), "line 4, field 'price': value 'three', expected a number"),
        (CSV.replace("0,,", "3,,"), "line 3, field 'clicked': value '3', expected 0 or 1"),
        (CSV.replace("clicked,price", "clicked,cost"), "no column 'price'"),
        (CSV.replace("note", "note,more"), "column 'more' is not in"),
        (CSV.replace("note", "user"), "column 'user' appears twice"),
        (CSV.replace('o""b', 'o\nb'), "line 3: a quote is not closed"),
        (CSV.replace("x\n", "x\n\n"), "line 3: 1 columns, expected 5"),
        ("", "empty file, expected a header"),
        (CSV.partition("\n")[0] + "\n", "empty file, expected at least one row"),
        (CSV.partition("\n")[0], "empty file, expected at least one row"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(table(tmp_path, log_csv=content))
    assert str(caught.value).startswith(str(tmp_path / "log.csv")) and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_schema_of_movielens(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples/movielens1m.toml"
    row = {"label": 1, "user": 1, "movie": 1193, "gender": "F", "age": 1, "occupation": 10, "zip": "48067"}
    frame = pl.DataFrame([{**row, "genres": "Drama|War", "year": 1975}])
    frame.write_parquet(tmp_path / "ratings.parquet")
    data = read(table(tmp_path, example.read_text()))
    assert data["genres"].to_list() == [["Drama", "War"]] and data["zip"].to_list() == ["48067"]
    frame.drop("zip").write_parquet(tmp_path / "ratings.parquet")
    with pytest.raises(InputError, match=r"ratings.parquet: no column 'zip', which .* names"):
        table(tmp_path, example.read_text())


def parquet_log(path: Path) -> None:
    rows = 20_000
    columns = {"clicked": [1, 0], "price": [1.0, 2.0], "user": ["a", "b"], "tags": ["a|b", ""]}
    pl.DataFrame({name: values * (rows // 2) for name, values in columns.items()}).write_parquet(path)


@pytest.mark.parametrize("kept", [0, 10, 100, -1])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "log.parquet"
    parquet_log(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"log.parquet: not a whole Parquet file") as caught:
        read(table(tmp_path, SCHEMA.replace("log.csv", "log.parquet")))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    parquet_log(path)
    data = bytearray(path.read_bytes())
    data[4:40] = bytes(36)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"log.parquet"):
        read(table(tmp_path, SCHEMA.replace("log.csv", "log.parquet")))


def test_a_bad_value_in_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    pl.DataFrame({"clicked": [1, 5], "price": [1.0, 2.0], "user": ["a", "b"], "tags": ["", ""]}).write_parquet(
        tmp_path / "log.parquet"
    )
    with pytest.raises(InputError, match=r"log.parquet, row 2, field 'clicked': value 5, expected 0 or 1"):
        read(table(tmp_path, SCHEMA.replace("log.csv", "log.parquet")))


def test_a_parquet_file_without_rows_or_with_lists_for_numbers(tmp_path: Path) -> None:
    schema = SCHEMA.replace("log.csv", "log.parquet")
    frame = pl.DataFrame({"clicked": [1], "price": [[1.0]], "user": ["a"], "tags": [""]})
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"log.parquet, field 'price': List\(Float64\) values are not numbers"):
        read(table(tmp_path, schema))
    frame.clear().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match="empty file"):
        read(table(tmp_path, schema))


def test_a_quoted_empty_field_is_missing(tmp_path: Path) -> None:
    found = read(table(tmp_path, log_csv=CSV.replace('0,,"b,o""b",,', '0,"","","",""')))
    assert found.to_dict(as_series=False) == {**EXPECTED, "user": ["ann", None, None]}


def test_empty_text_in_parquet_is_missing(tmp_path: Path) -> None:
    columns = {"clicked": ["1", "0", "1"], "price": ["", "2", " "], "user": ["", "7", " "], "tags": ["", "a||b", None]}
    schema = SCHEMA.replace("log.csv", "log.parquet")
    expected = {
        "clicked": [1, 0, 1], "price": [None, 2.0, None], "user": [None, "7", " "], "tags": [None, ["a", "b"], None]
    }  # fmt: skip
    for user in (pl.String, pl.Categorical, pl.Binary):
        pl.DataFrame(columns).with_columns(pl.col("user").cast(user)).write_parquet(tmp_path / "log.parquet")
        assert read(table(tmp_path, schema)).to_dict(as_series=False) == expected
    pl.DataFrame({**columns, "user": ["", "7", None]}).write_parquet(tmp_path / "log.parquet")
    for digits, value in (("hex", 7), ("number", "7")):
        checked = schema.replace('"category"', f'{{ kind = "category", digits = "{digits}" }}')
        assert read(table(tmp_path, checked))["user"].to_list() == [None, value, None]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('1,"",a,b,c\n"",1,a,b,c\n', "line 3, field 'clicked': value '', expected a label in every row"),
        ('1,"",a,b,c\n0,x,a,b,c\n', "line 3, field 'price': value 'x', expected a number"),
        ("1, ,a,b,c\n0,x,a,b,c\n", "line 3, field 'price': value 'x', expected a number"),
    ],
)
def test_the_bad_field_is_named_where_others_are_empty(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(table(tmp_path, log_csv=CSV.partition("\n")[0] + "\n" + rows))


def typed(folder: Path, options: str, values: pl.Series) -> list[object]:
    """The column x of a Parquet log of `values`, read with `options` in its schema."""
    pl.DataFrame({"y": [1] * len(values), "z": 0.5, "x": values}).write_parquet(folder / "log.parquet")
    schema = f'files = ["log.parquet"]\n[columns]\ny = "label"\nz = "dense"\nx = {{ {options} }}\n'
    return read(table(folder, schema))["x"].to_list()


WHOLE = [7, None, -12, 0]
NUMBER_TYPES = [pl.Int64, pl.Int8, pl.Float64, pl.Float32, pl.Decimal(9, 0), pl.Decimal(9, 2), pl.String]


@pytest.mark.parametrize("dtype", NUMBER_TYPES, ids=str)
def test_a_whole_number_is_one_category_whatever_its_type(tmp_path: Path, dtype: pl.DataType) -> None:
    values = pl.Series(WHOLE).cast(dtype)
    expected = ["7", None, "-12", "0"]
    assert typed(tmp_path, 'kind = "category"', values) == expected
    assert typed(tmp_path, 'kind = "category", digits = "number"', values) == expected
    assert typed(tmp_path, 'kind = "bag"', values) == [None if value is None else [value] for value in expected]
    lists = pl.Series([WHOLE, None, []]).cast(pl.List(dtype))
    assert typed(tmp_path, 'kind = "bag"', lists) == [["7", "-12", "0"], None, []]


def test_whole_numbers_as_hexadecimal_digits_and_nan(tmp_path: Path) -> None:
    for dtype in (pl.Int64, pl.UInt32, pl.Float64, pl.String):
        assert typed(tmp_path, 'kind = "category", digits = "hex"', pl.Series([10, None]).cast(dtype)) == [16, None]
    assert typed(tmp_path, 'kind = "category"', pl.Series([float("nan"), -0.0])) == [None, "0"]
    assert typed(tmp_path, 'kind = "bag"', pl.Series([[float("nan"), 1.0]])) == [["1"]]


@pytest.mark.parametrize(("dtype", "bits"), [(pl.Float64, 53), (pl.Float32, 24)])
def test_floats_that_are_no_whole_numbers_are_no_categories(tmp_path: Path, dtype: pl.DataType, bits: int) -> None:
    largest = 2**bits - 1
    assert typed(tmp_path, 'kind = "category"', pl.Series([largest, -largest]).cast(dtype))[0] == str(largest)
    for value in (1.5, float("inf"), -float("inf"), largest + 1, -largest - 1, 1e30):
        for kind, values in (("category", [3.0, value]), ("bag", [3.0, value]), ("bag", [[3.0], [4.0, value]])):
            series = pl.Series(values, dtype=pl.List(dtype) if isinstance(values[0], list) else dtype)
            with pytest.raises(InputError) as caught:
                typed(tmp_path, f'kind = "{kind}"', series)
            place, shown = f"{tmp_path / 'log.parquet'}, row 2, field 'x'", pl.Series([value], dtype=dtype)[0]
            allowed = f"a whole number below 2^{bits} in a {dtype()} column, or nothing where it is missing"
            assert str(caught.value) == f"{place}: value {shown!r}, expected {allowed}"


def test_a_decimal_that_is_no_whole_number_is_no_category(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2, field 'x': value Decimal\('1.50'\), expected a whole number"):
        typed(tmp_path, 'kind = "category"', pl.Series([Decimal("1.00"), Decimal("1.50")]))


LIST, STRUCT, BYTES = pl.Series([[1, 2]]), pl.Series([{"a": 1}]), pl.Series([b"caf\xc3\xa9", b"\xe9"])
ARRAY = LIST.cast(pl.Array(pl.Int64, 2))


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("category", LIST, ", field 'x': List(Int64) values in a category, expected text, numbers, "),
        ("category", ARRAY, ", field 'x': Array(Int64, shape=(2,)) values in a category, expected text, numbers, "),
        ("category", STRUCT, ", field 'x': Struct({'a': Int64}) values in a category, expected text, numbers, "),
        ("category", LIST.cast(pl.List(pl.Duration)).explode(), "Duration(time_unit='us') values in a category"),
        ("split", LIST, ", field 'x': List(Int64) values in a split, expected text"),
        ("bag", STRUCT, ", field 'x': Struct({'a': Int64}) values in a bag, expected text, numbers, "),
        ("bag", pl.Series([[{"a": 1}]]), ", field 'x': List(Struct({'a': Int64})) values in a bag, expected text, "),
        ("bag", pl.Series([[[1]]]), ", field 'x': List(List(Int64)) values in a bag, expected text, "),
        ("dense", BYTES, ", field 'x': Binary values are not numbers"),
        ("category", BYTES, ", row 2, field 'x': value b'\\xe9', expected UTF-8 text"),
        ("bag", BYTES, ", row 2, field 'x': value b'\\xe9', expected UTF-8 text"),
        ("bag", pl.Series([[b"a"], [b"b", b"\xe9"]]), ", row 2, field 'x': value [b'b', b'\\xe9'], expected UTF-8"),
    ],
)
def test_types_that_cannot_be_used(tmp_path: Path, kind: str, values: pl.Series, said: str) -> None:
    with pytest.raises(InputError) as caught:
        typed(tmp_path, f'kind = "{kind}"', values)
    assert str(caught.value).startswith(str(tmp_path / "log.parquet")) and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_types_of_text_and_lists(tmp_path: Path) -> None:
    assert typed(tmp_path, 'kind = "category"', BYTES[:1]) == ["caf\u00e9"]
    assert typed(tmp_path, 'kind = "bag"', pl.Series([[b"a", b""], None])) == [["a"], None]
    assert typed(tmp_path, 'kind = "bag"', ARRAY) == [["1", "2"]]
    assert typed(tmp_path, 'kind = "category"', pl.Series(["a", None], dtype=pl.Enum(["a"]))) == ["a", None]
    assert typed(tmp_path, 'kind = "category"', pl.Series([True, None])) == ["true", None]
    assert typed(tmp_path, 'kind = "category"', pl.Series([None], dtype=pl.Null)) == [None]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_moment_is_one_category_whatever_its_columns_unit(tmp_path: Path, unit: Literal["ms", "us", "ns"]) -> None:
    moments = [datetime(2014, 10, 21, 5), datetime(2014, 10, 21, 5, 0, 0, 250_000)]
    written = ["2014-10-21 05:00:00", "2014-10-21 05:00:00.250"]
    values = pl.Series([*moments, None], dtype=pl.Datetime(unit))
    assert typed(tmp_path, 'kind = "category"', values) == [*written, None]
    lists = pl.Series([moments, None], dtype=pl.List(pl.Datetime(unit)))
    assert typed(tmp_path, 'kind = "bag"', lists) == [written, None]
    zoned = values[:1].dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    assert typed(tmp_path, 'kind = "category"', zoned) == ["2014-10-21 14:00:00+09:00"]


AVAZU = """
files = ["{}"]
[columns]
id = "ignore"
click = "label"
hour = "category"
"""


def test_avazu_and_movielens(shared: Path, tmp_path: Path) -> None:
    log = shared / "data/avazu/first10k.csv"
    names = log.open().readline().strip().split(",")[3:]
    frame = read(table(tmp_path, AVAZU.format(log) + "".join(f'{name} = "category"\n' for name in names)))
    assert frame.shape == (9_999, 23)
    ratings = shared / "data/movielens1m/ratings.parquet"
    example = Path(__file__).parents[3] / "examples/movielens1m.toml"
    source = table(tmp_path, example.read_text().replace("ratings.parquet", str(ratings)))
    assert source.rows == 591_397
    first = next(iter(source.frames()))
    assert first["genres"].list.len().max() > 1 and first["year"].dtype == pl.String
