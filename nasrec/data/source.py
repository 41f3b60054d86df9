"""Where rows come from: one interface for raw logs, tables, prepared data and the built-in generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import polars as pl

from nasrec.data.avazu import AvazuLog
from nasrec.data.criteo import CriteoLog
from nasrec.data.kdd import KddLog
from nasrec.data.prepared import PREPARED_JSON, PreparedLog
from nasrec.data.schema import Schema
from nasrec.data.synthetic import SyntheticLog
from nasrec.data.table import TableLog
from nasrec.errors import InputError

KINDS = "synthetic[:rows=N,seed=S,start=K], criteo:FILE, avazu:FILE, kdd:FILE, table:SCHEMA.TOML, prepared:FOLDER"


class Source(Protocol):
    """A click log that can be read from the start any number of times."""

    @property
    def spec(self) -> str:
        """The text that `open_source` makes this source from."""

    @property
    def schema(self) -> Schema:
        """What the columns are."""

    @property
    def rows(self) -> int | None:
        """The number of rows, None where only reading can tell."""

    @property
    def planted(self) -> bool:
        """Whether the frames carry each row's true probability in the column `nasrec.data.planted.PLANTED`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""

    @property
    def expected_frames(self) -> float:
        """About how many frames there are; asked where `rows` is None."""

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """Typed frames (see `nasrec.data.cast`), in order, from number `start` on; the same frames whenever it is read.

        Raises InputError where a row cannot be used.
        """


def open_source(spec: str) -> Source:
    """The source that `spec` names: "synthetic", "criteo:train.txt", "avazu:train.csv", "kdd:training.txt",
    "table:schema.toml" or "prepared:folder".

    Raises InputError for an unknown kind, listing the known ones, and for what cannot be found or read.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "synthetic":
        return SyntheticLog.from_spec(rest)
    readers: dict[str, Callable[[Path], Source]] = {
        "criteo": CriteoLog,
        "avazu": AvazuLog,
        "kdd": KddLog,
        "table": TableLog,
        "prepared": PreparedLog,
    }
    if kind not in readers:
        meant = f"; for that folder write prepared:{spec}" if (Path(spec) / PREPARED_JSON).is_file() else ""
        raise InputError(f"data {spec!r}: unknown kind {kind!r}, allowed are {KINDS}{meant}")
    if not colon or not rest:
        raise InputError(f"data {spec!r}: nothing after {kind!r}, allowed are {KINDS}")
    return readers[kind](Path(rest))


def absolute_source(spec: str) -> str:
    """`spec` with its path made absolute, so that a run resumes from any folder."""
    kind, _, place = spec.partition(":")
    if kind not in ("criteo", "avazu", "kdd", "table", "prepared") or not place:
        return spec
    return f"{kind}:{Path(place).resolve()}"
