"""Parquet files whose failures are the ordinary ones: OSError for a full disk, InputError for a file not whole."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import polars as pl

from nasrec.errors import InputError


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` to `path`; raises OSError with the number that the system gave, which polars hides in its text."""
    try:
        with path.open("wb") as file:
            frame.write_parquet(file, compression="lz4")
    except pl.exceptions.PolarsError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def read_parquet(path: Path) -> pl.DataFrame:
    """Read `path`; raises InputError naming it if it is absent or cannot be read whole."""
    try:
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None


def parquet_rows(path: Path) -> int:
    """The rows of `path`, from its footer; raises InputError naming it if it cannot be read whole."""
    try:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> InputError:
    """The one-line error for a `path` that polars refused with `error`."""
    reason = str(error).strip().partition("\n")[0]
    return InputError(f"{path}: not a whole Parquet file: {reason}")
