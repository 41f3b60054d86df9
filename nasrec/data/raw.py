"""The raw rows of prepared data: typed, before encoding, in Parquet parts of the folder `raw`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from nasrec.data.parquet_file import read_parquet, write_parquet
from nasrec.errors import InputError


def write_raw(frames: Iterable[pl.DataFrame], folder: Path, wrote: Callable[[int], None]) -> int:
    """Write each frame as a part of the new `folder`, call `wrote` with the rows so far, return their total.

    Raises OSError when the disk is full.
    """
    folder.mkdir()
    rows = 0
    for number, frame in enumerate(frames):
        write_parquet(frame, folder / f"part-{number:06d}.parquet")
        rows += frame.height
        wrote(rows)
    return rows


def read_raw(folder: Path) -> Iterator[pl.DataFrame]:
    """The frames that `write_raw` wrote, in order; raises InputError naming a part that cannot be read."""
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{folder}: no parts of raw rows")
    for part in parts:
        yield read_parquet(part)
