"""From the columns of a file, text or already typed, to the typed columns that every reader gives."""

from __future__ import annotations

from typing import NoReturn

import polars as pl

from nasrec.data.schema import Column, Schema
from nasrec.data.split import SPLITS
from nasrec.errors import InputError

LARGEST_NUMBER = 2**31 - 1  # of a category's digits, before they are taken modulo the rows of a table
LARGEST = 3.4e38  # what float32, the type that models read, still holds


def cast_columns(frame: pl.DataFrame, schema: Schema, place: str, first: int) -> pl.DataFrame:
    """The used columns of `schema`: label UInt8, dense and time Float64, category String or (hex) UInt32, bag
    List(String), split UInt8 (its place in `SPLITS`); null = missing, as is empty text.

    A row is named in errors as `place` followed by its number, counted from `first` ("train.txt, line 7"). Raises
    InputError with the row, the field and the value for a label that is not 0 or 1 and for a number that is none.
    """
    return pl.DataFrame([_cast(frame[column.name], column, place, first) for column in schema.used])


def _cast(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    match column.kind:
        case "label":
            return _label(series, column, place, first)
        case "dense" | "time":
            return _number(series, column, place, first)
        case "bag":
            return _bag(series, column)
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
    text = _without_empty(series.cast(pl.String))
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
    places = series.cast(pl.String).replace_strict(SPLITS, [0, 1, 2], default=None, return_dtype=pl.UInt8)
    if places.null_count():
        _refuse(series, places.is_null(), column, place, first, ", ".join(SPLITS))
    return places


def _bag(series: pl.Series, column: Column) -> pl.Series:
    if isinstance(series.dtype, pl.List):
        lists = series
    else:
        lists = _without_empty(series.cast(pl.String)).str.split(column.separator)
    return lists.cast(pl.List(pl.String)).list.eval(pl.element().filter(pl.element() != ""))


def _refuse(series: pl.Series, bad: pl.Series, column: Column, place: str, first: int, allowed: str) -> NoReturn:
    row = bad.arg_true()[0]
    value = series[row]
    raise InputError(f"{place} {first + row}, field {column.name!r}: value {value!r}, expected {allowed}")
