"""What a sweep has finished, on disk, so that it can go on after it was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pimsim.files import atomic_path, write_text
from pimsim.sweep.grid import Columns


class Journal:
    """A folder beside the result, for one sweep: what another sweep left there is thrown away.

    Every file in it is written under another name and renamed when it is whole.
    """

    def __init__(self, out: Path, sweep: str) -> None:
        """Open the journal of `sweep` (see `fingerprint`), whose result will be `out`."""
        self.out, self.sweep = out, sweep
        self.folder = out.with_name(f".{out.name}.journal")
        named = self.folder / "sweep"
        if self.folder.exists() and (not named.is_file() or named.read_text(encoding="utf-8") != sweep):
            shutil.rmtree(self.folder)

    @contextmanager
    def result(self) -> Iterator[Path]:
        """A path to write the result to; then it becomes `out`, and the journal is gone."""
        self._begin()
        path = self.folder / "result"
        yield path
        with path.open("rb") as written:
            os.fsync(written.fileno())
        path.replace(self.out)
        shutil.rmtree(self.folder)

    def parts(self) -> set[int]:
        """Numbers of the finished blocks whose files are there."""
        return {int(path.stem) for path in self.files()}

    def files(self) -> list[Path]:
        """The files of the finished blocks, in the order of the space."""
        return sorted(self.folder.glob("*.parquet"))

    def keep(self, index: int, part: bytes) -> None:
        """Keep the file of one finished block."""
        self._begin()
        with atomic_path(self.folder / f"{index:09d}.parquet") as temporary:
            temporary.write_bytes(part)

    def save(self, columns: Columns, **numbers: int) -> None:
        """Keep the state of a sweep, in place of the one before."""
        self._begin()
        arrays = {f"column {name}": values for name, values in columns.items()}
        with atomic_path(self.folder / "state.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, **{name: np.int64(n) for name, n in numbers.items()})

    def _begin(self) -> None:
        if not (self.folder / "sweep").is_file():
            write_text(self.folder / "sweep", self.sweep)

    def saved(self) -> tuple[Columns, dict[str, int]]:
        """The state that was saved last; nothing if there is none."""
        path = self.folder / "state.npz"
        if not path.is_file():
            return {}, {}
        with np.load(path, allow_pickle=False) as file:
            columns = {name.removeprefix("column "): file[name] for name in file.files if name.startswith("column ")}
            return columns, {name: int(file[name]) for name in file.files if not name.startswith("column ")}
