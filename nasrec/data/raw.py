"""The raw rows of prepared data: typed, before encoding, in Parquet parts of the folder `raw`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from nasrec.errors import InputError


def write_raw(frames: Iterable[pl.DataFrame], folder: Path, wrote: Callable[[int], None]) -> int:
    """Write each frame as a part of the new `folder`, call `wrote` with the rows so far, return their total.

    Raises OSError when the disk is full.
    """
    folder.mkdir()
    rows = 0
    for number, frame in enumerate(frames):
        with _part(folder, number).open("wb") as file:
            frame.write_parquet(file, compression="lz4")
        rows += frame.height
        wrote(rows)
    return rows


def read_raw(folder: Path) -> Iterator[pl.DataFrame]:
    """The frames that `write_raw` wrote, in order; raises InputError naming a part that cannot be read."""
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{folder}: no parts of raw rows")
    for part in parts:
        try:
            yield pl.read_parquet(part)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(f"{part}: not a whole Parquet file: {reason}") from None


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06d}.parquet"
