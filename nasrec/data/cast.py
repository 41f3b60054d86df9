"""From the columns of a file, text or already typed, to the typed columns that every reader gives."""

from __future__ import annotations

from typing import NoReturn

import polars as pl

from nasrec.data.schema import Column, Schema
from nasrec.data.split import SPLITS
from nasrec.errors import InputError

LARGEST_NUMBER = 2**31 - 1  # of a category's digits, before they are taken modulo the rows of a table
LARGEST = 3.4e38  # what float32, the type that models read, still holds
TEXT_TYPES = (
    pl.String, pl.Categorical, pl.Enum, pl.Binary, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Null,
)  # fmt: skip
TEXT_ALLOWED = "text, numbers, booleans, dates or times"
EXACT_BITS: dict[type[pl.DataType], int] = {pl.Float16: 11, pl.Float32: 24, pl.Float64: 53}  # of whole numbers


def cast_columns(frame: pl.DataFrame, schema: Schema, place: str, first: int) -> pl.DataFrame:
    """The used columns of `schema`: label UInt8, dense and time Float64, category String or (hex) UInt32, bag
    List(String), split UInt8 (its place in `SPLITS`); null = missing, as is empty text.

    A row is named in errors as `place` followed by its number, counted from `first` ("train.txt, line 7"). Raises
    InputError with the row, the field and the value for a label that is not 0 or 1, for a number that is none and for
    a category that has no one text; and with the field and its type where values of that type cannot be used.
    """
    return pl.DataFrame([_cast(frame[column.name], column, place, first) for column in schema.used])


def _cast(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    match column.kind:
        case "label":
            return _label(series, column, place, first)
        case "dense" | "time":
            return _number(series, column, place, first)
        case "bag":
            return _bag(series, column, place, first)
        case "split":
            return _split(series, column, place, first)
        case _:
            return _category(series, column, place, first)


def _number(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise InputError(f"{place.rpartition(',')[0]}, field {column.name!r}: {series.dtype} values are not numbers")
    text = _without_empty(series.str.strip_chars()) if series.dtype == pl.String else series
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() != text.null_count() or not numbers.is_finite().all():
        bad = (numbers.is_null() & text.is_not_null()) | ~numbers.is_finite().fill_null(True)
        _refuse(series, bad, column, place, first, "a number, or nothing where it is missing")
    if column.kind == "time" and numbers.null_count():
        _refuse(series, numbers.is_null(), column, place, first, "a time in every row")
    if column.kind == "dense" and column.transform == "none":
        beyond = (numbers.abs() > LARGEST).fill_null(False)
        if beyond.any():
            _refuse(series, beyond, column, place, first, f"a number of at most {LARGEST:.3g}")
    return numbers


def _label(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    numbers = _number(series, column, place, first)
    if numbers.null_count():
        _refuse(series, numbers.is_null(), column, place, first, "a label in every row")
    if column.positive_from is not None:
        return (numbers >= column.positive_from).cast(pl.UInt8)
    bad = (numbers != 0) & (numbers != 1)
    if bad.any():
        _refuse(series, bad, column, place, first, "0 or 1")
    return numbers.cast(pl.UInt8)


def _category(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    if column.digits == "hex" and series.dtype == pl.UInt32:
        return series
    text = _text(series, column, place, first)
    if column.digits == "hex":
        numbers = text.str.to_integer(base=16, dtype=pl.UInt32, strict=False)
        if numbers.null_count() != text.null_count():
            allowed = "1 to 8 hexadecimal digits, or nothing where it is missing"
            _refuse(series, numbers.is_null() & text.is_not_null(), column, place, first, allowed)
        return numbers
    if column.digits == "number":
        numbers = numbers_of(text)
        if numbers.null_count() != text.null_count():
            allowed = "a decimal or hexadecimal number below 2^64, or nothing where it is missing"
            _refuse(series, numbers.is_null() & text.is_not_null(), column, place, first, allowed)
    return text


def _text(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    """Each of `series` as the one text that its value has in a column of any type; null where it is empty."""
    if not _has_text(series.dtype):
        _refuse_type(series, column, place, TEXT_ALLOWED)
    if _has_fractions(series.dtype):
        bad = series.to_frame().select(_not_whole(pl.col(series.name), series.dtype)).to_series()
        if bad.any():
            _refuse(series, bad, column, place, first, _whole_allowed(series.dtype))
        return series.cast(pl.Int64, strict=False).cast(pl.String)
    if series.dtype == pl.Binary:
        series = _decoded(series, pl.String(), column, place, first)
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.to_string(_moment_format(series.dtype))
    return _without_empty(series.cast(pl.String))


def _moment_format(dtype: pl.Datetime) -> str:
    """How a moment is written: the same for any unit of its column, without digits that say nothing."""
    return "%Y-%m-%d %H:%M:%S%.f" + ("" if dtype.time_zone is None else "%:z")


def _has_text(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in TEXT_TYPES


def _has_fractions(dtype: pl.DataType) -> bool:
    return dtype.is_float() or (isinstance(dtype, pl.Decimal) and dtype.scale > 0)


def _not_whole(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether each of `values`, of a `dtype` that has fractions, is other than a whole number that it holds exactly.

    pandas makes floats of whole numbers where one is missing: 7.0 has to be the category that 7 is in another file.
    """
    whole = values.cast(pl.Int64, strict=False)
    bad = whole.cast(dtype).ne_missing(values)
    if dtype.is_float():
        bad = (bad | (values.abs() >= 2.0 ** EXACT_BITS[type(dtype)])) & values.is_not_nan()
    return bad & values.is_not_null()


def _whole_allowed(dtype: pl.DataType) -> str:
    bits = EXACT_BITS.get(type(dtype), 63)
    return f"a whole number below 2^{bits} in a {dtype} column, or nothing where it is missing"


def _decoded(series: pl.Series, dtype: pl.DataType, column: Column, place: str, first: int) -> pl.Series:
    """`series`, of bytes or lists of them, as text."""
    try:
        return series.cast(dtype)
    except pl.exceptions.ComputeError:
        bad = pl.Series([not _is_utf8(value) for value in series.to_list()])
        _refuse(series, bad, column, place, first, "UTF-8 text")


def _is_utf8(value: bytes | list[bytes | None] | None) -> bool:
    try:
        for part in value if isinstance(value, list) else [value]:
            (part or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_empty(text: pl.Series) -> pl.Series:
    """`text` (String) with null where it is empty; shortest lengths are found in a fraction of the time of parsing."""
    return text if text.str.len_bytes().min() != 0 else text.set(text == "", None)


def numbers_of(text: pl.Series) -> pl.Series:
    """The number that each of `text` writes in decimal or else in hexadecimal digits, modulo 2^31 - 1 (UInt64).

    As NASRec's tools take them (nasrec/tools at 79bf6f9): a negative one counts from above. Null where it is no number.
    """
    numbers = text.cast(pl.UInt64, strict=False) % LARGEST_NUMBER
    if numbers.null_count() == text.null_count():
        return numbers
    negative = text.cast(pl.Int64, strict=False) % LARGEST_NUMBER  # rounds down: the rest is never negative
    hexadecimal = text.str.to_integer(base=16, dtype=pl.UInt64, strict=False) % LARGEST_NUMBER
    return numbers.fill_null(negative.cast(pl.UInt64)).fill_null(hexadecimal)


def _split(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    text = _text(series, column, place, first)
    places = text.replace_strict(SPLITS, [0, 1, 2], default=None, return_dtype=pl.UInt8)
    if places.null_count():
        _refuse(series, places.is_null(), column, place, first, ", ".join(SPLITS))
    return places


def _bag(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    lists = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
    if not isinstance(lists.dtype, pl.List):
        lists = _text(lists, column, place, first).str.split(column.separator)
    return _lists_of_text(lists, column, place, first).list.eval(pl.element().filter(pl.element() != ""))


def _lists_of_text(lists: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    """`_text` of the values of each list, where empty ones stay."""
    inner = lists.clear().explode(empty_as_null=True, keep_nulls=True).dtype
    if not _has_text(inner):
        _refuse_type(lists, column, place, f"{TEXT_ALLOWED}, or lists of them")
    if _has_fractions(inner):
        refused = lists.list.eval(pl.element().filter(_not_whole(pl.element(), inner))).list.first()
        if refused.count():
            _refuse(refused, refused.is_not_null(), column, place, first, _whole_allowed(inner))
        return lists.list.eval(pl.element().cast(pl.Int64, strict=False).cast(pl.String))
    if inner == pl.Binary:
        return _decoded(lists, pl.List(pl.String), column, place, first)
    if isinstance(inner, pl.Datetime):
        return lists.list.eval(pl.element().dt.to_string(_moment_format(inner)))
    return lists.cast(pl.List(pl.String))


def _refuse_type(series: pl.Series, column: Column, place: str, allowed: str) -> NoReturn:
    file = place.rpartition(",")[0]
    raise InputError(f"{file}, field {column.name!r}: {series.dtype} values in a {column.kind}, expected {allowed}")


def _refuse(series: pl.Series, bad: pl.Series, column: Column, place: str, first: int, allowed: str) -> NoReturn:
    row = bad.arg_true()[0]
    value = series[row]
    value = value.to_list() if isinstance(value, pl.Series) else value
    raise InputError(f"{place} {first + row}, field {column.name!r}: value {value!r}, expected {allowed}")
