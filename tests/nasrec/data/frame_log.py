"""A log whose typed frames are given, with the interface of nasrec.data.source.Source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nasrec.data.schema import Schema


@dataclass
class FrameLog:
    """Frames as a reader would give them."""

    log: list[pl.DataFrame]
    schema: Schema
    spec: str = "frames"
    planted: bool = False
    files: tuple[Path, ...] = ()
    expected_frames: float = 0.0

    @property
    def rows(self) -> int:
        return sum(frame.height for frame in self.log)

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        yield from self.log[start:]
