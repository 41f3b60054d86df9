"""A .npy file written piece by piece, so that an array larger than memory can be made.

Ordinary writes, not a memory map: a full disk is then an OSError instead of a killed process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nasrec.errors import InputError


class ArrayFile:
    """A context manager; `append` adds rows of `row_shape`, leaving the block writes the final shape.

    With `rows`, the file is there already, perhaps without its final shape: its first `rows` rows are kept.
    """

    def __init__(self, path: Path, dtype: DTypeLike, row_shape: tuple[int, ...] = (), rows: int = 0) -> None:
        self.path = path
        self.rows = rows
        self._dtype, self._row_shape = np.dtype(dtype), row_shape
        self._file = path.open("r+b" if rows else "wb")
        self._write_header()
        self._start = self._file.tell()
        if rows:
            end = self._start + rows * self._dtype.itemsize * math.prod(row_shape)
            if path.stat().st_size < end:
                raise InputError(f"{path}: cut off, expected at least {end} bytes")
            self._file.truncate(end)
            self._file.seek(end)

    def __enter__(self) -> ArrayFile:
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """Add `rows`, [N, *row_shape], cast to the file's type; raises OSError when the disk is full."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"{self.path.name}: rows of shape {rows.shape[1:]}, expected {self._row_shape}")
        with self._named():
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.rows += len(rows)

    def flush(self) -> None:
        """Hand everything to the system: a killed process loses none of it."""
        with self._named():
            self._file.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                with self._named():
                    self._file.seek(0)
                    self._write_header()
                    if self._file.tell() != self._start:
                        raise RuntimeError(f"{self.path.name}: the header has outgrown the room NumPy leaves for it")
                    self._file.flush()
                    os.fsync(self._file.fileno())
        finally:
            with suppress(OSError) if kind else nullcontext():  # the first error says what is wrong
                self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """An error of the system names the file."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _write_header(self) -> None:
        # NumPy pads the header so that the first dimension may grow in place.
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


def read_array(path: Path, begin: int, end: int) -> NDArray[Any]:
    """Rows `begin` to `end` of the .npy file `path`, by ordinary reads: a map would count as this process's memory."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape[1:])
        file.seek(begin * size * dtype.itemsize, os.SEEK_CUR)
        count = max(0, min(end, shape[0]) - begin)
        numbers: NDArray[Any] = np.fromfile(file, dtype, count * size)
        return numbers.reshape(count, *shape[1:])


def read_chunks(path: Path, rows: int) -> Iterator[NDArray[Any]]:
    """All of the .npy file `path`, at most `rows` rows at a time; none where it has no rows."""
    begin = 0
    while len(chunk := read_array(path, begin, begin + rows)):
        yield chunk
        begin += len(chunk)
