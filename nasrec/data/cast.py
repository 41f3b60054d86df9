"""From the columns of a file, text or already typed, to the typed columns that every reader gives."""

from __future__ import annotations

from typing import NoReturn

import polars as pl

from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

LARGEST = 3.4e38  # what float32, the type that models read, still holds


def cast_columns(frame: pl.DataFrame, schema: Schema, place: str, first: int) -> pl.DataFrame:
    """The used columns of `schema`: label UInt8, dense Float64, category String, bag List(String); null = missing.

    A row is named in errors as `place` followed by its number, counted from `first` ("train.txt, line 7"). Raises
    InputError with the row, the field and the value for a label that is not 0 or 1 and for a number that is none.
    """
    return pl.DataFrame([_cast(frame[column.name], column, place, first) for column in schema.used])


def _cast(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    match column.kind:
        case "label":
            return _label(series, column, place, first)
        case "dense":
            return _number(series, column, place, first)
        case "bag":
            return _bag(series, column)
        case _:
            return series.cast(pl.String)


def _number(series: pl.Series, column: Column, place: str, first: int) -> pl.Series:
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise InputError(f"{place.rpartition(',')[0]}, field {column.name!r}: {series.dtype} values are not numbers")
    text = series.str.strip_chars() if series.dtype == pl.String else series
    numbers = text.cast(pl.Float64, strict=False)
    bad = (numbers.is_null() & series.is_not_null()) | ~numbers.is_finite().fill_null(True)
    if bad.any():
        _refuse(series, bad, column, place, first, "a number, or nothing where it is missing")
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


def _bag(series: pl.Series, column: Column) -> pl.Series:
    lists = series if isinstance(series.dtype, pl.List) else series.cast(pl.String).str.split(column.separator)
    return lists.cast(pl.List(pl.String)).list.eval(pl.element().filter(pl.element() != ""))


def _refuse(series: pl.Series, bad: pl.Series, column: Column, place: str, first: int, allowed: str) -> NoReturn:
    row = bad.arg_true()[0]
    value = series[row]
    raise InputError(f"{place} {first + row}, field {column.name!r}: value {value!r}, expected {allowed}")
