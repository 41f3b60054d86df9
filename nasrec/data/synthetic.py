"""The built-in data: a click log drawn from a planted truth, of any length, a function of its seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from nasrec.data.criteo import CRITEO_SCHEMA
from nasrec.data.planted import CATEGORIES, INTEGERS, PLANTED, SIZES, Draw, PlantedTruth, generator, planted_truth
from nasrec.data.vocabulary import hexadecimal
from nasrec.errors import InputError
from nasrec.files import atomic_path

DEFAULT_ROWS = 500_000
BLOCK_ROWS = 1 << 14  # a part of the meaning of a seed: row i comes from block i // BLOCK_ROWS
FRAME_BLOCKS = 16


@dataclass(frozen=True)
class SyntheticLog:
    """The source `synthetic:rows=N,seed=S,start=K`: rows K to K + N - 1 of the endless log of world S.

    Row i depends on the seed and i alone, however the log is cut. In every third category the most frequent value is
    written as missing. Frames carry the true probability of a click in the column `PLANTED`.
    """

    rows: int = DEFAULT_ROWS
    seed: int = 0
    start: int = 0
    schema = CRITEO_SCHEMA
    planted = True
    files = ()
    expected_frames = 0.0

    def __post_init__(self) -> None:
        for name, least in (("rows", 1), ("seed", 0), ("start", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"synthetic: {name}={value}, expected a whole number from {least}")

    @property
    def spec(self) -> str:
        """The text that `open_source` makes this source from."""
        return f"synthetic:rows={self.rows},seed={self.seed}" + (f",start={self.start}" if self.start else "")

    @classmethod
    def from_spec(cls, options: str) -> SyntheticLog:
        """Read "rows=500000,seed=1,start=0", any of them left out; raises InputError naming what cannot be used."""
        values: dict[str, int] = {}
        for option in filter(None, options.split(",")):
            name, _, text = option.partition("=")
            if name not in ("rows", "seed", "start"):
                raise InputError(f"synthetic: unknown option {name!r}, allowed are rows=, seed= and start=")
            if not text.isascii() or not text.isdecimal():
                raise InputError(f"synthetic: {name}={text!r}, expected a whole number from 0")
            values[name] = int(text)
        return cls(**values)

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames of up to FRAME_BLOCKS blocks."""
        truth = planted_truth(self.seed)
        stop = self.start + self.rows
        blocks = range(self.start // BLOCK_ROWS, -(-stop // BLOCK_ROWS))
        for first in range(start * FRAME_BLOCKS, len(blocks), FRAME_BLOCKS):
            parts = []
            for block in blocks[first : first + FRAME_BLOCKS]:
                begin = block * BLOCK_ROWS
                rows = slice(max(self.start - begin, 0), min(stop - begin, BLOCK_ROWS))
                parts.append(_block(truth, self.seed, block, rows))
            yield pl.concat(parts, rechunk=True)


def write_criteo(path: Path, rows: int = DEFAULT_ROWS, seed: int = 0, start: int = 0) -> None:
    """Write rows of the synthetic log as a raw Criteo file, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for frame in SyntheticLog(rows, seed, start).frames():
            integers = [pl.col(column.name).cast(pl.Int64) for column in CRITEO_SCHEMA.dense]
            codes = [_spelled(frame[column.name]) for column in CRITEO_SCHEMA.tables]
            text = frame.drop(PLANTED).with_columns(*integers, *codes).write_csv(include_header=False, separator="\t")
            file.write(text.encode())


def _block(truth: PlantedTruth, seed: int, block: int, rows: slice) -> pl.DataFrame:
    rng = generator(seed, 1, block)
    whole = truth.draw(BLOCK_ROWS, rng)
    chances = rng.random(BLOCK_ROWS)
    draw = Draw(whole.values[rows], whole.integers[rows])
    probability = truth.probability(draw)
    columns = [pl.Series("label", (chances[rows] < probability).astype(np.uint8))]
    for number in range(INTEGERS):
        columns.append(pl.Series(f"I{number + 1}", draw.integers[:, number], nan_to_null=True))
    for field in range(CATEGORIES):
        columns.append(_spellings(field).gather(draw.values[:, field]).alias(f"C{field + 1}"))
    return pl.DataFrame([*columns, pl.Series(PLANTED, probability)])


@lru_cache(maxsize=CATEGORIES)
def _spellings(field: int) -> pl.Series:
    # An odd factor modulo 2**32 is one to one: no two values of a field are spelled alike.
    codes = (np.arange(1, SIZES[field] + 1, dtype=np.uint64) * 2654435761 + field * 0x9E3779B9) % (1 << 32)
    names = pl.Series(codes.astype(np.uint32))
    return names.scatter(0, None) if field % 3 == 2 else names


def _spelled(codes: pl.Series) -> pl.Series:
    text = hexadecimal(codes.fill_null(0))
    return text.set(codes.is_null(), None).alias(codes.name)
