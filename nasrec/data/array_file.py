"""A .npy file written piece by piece, so that an array larger than memory can be made.

Ordinary writes, not a memory map: a full disk is then an OSError instead of a killed process.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ArrayFile:
    """A context manager; `append` adds rows of `row_shape`, leaving the block writes the final shape."""

    def __init__(self, path: Path, dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self.path = path
        self.rows = 0
        self._dtype, self._row_shape = np.dtype(dtype), row_shape
        self._file = path.open("wb")
        self._write_header()
        self._start = self._file.tell()

    def __enter__(self) -> ArrayFile:
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """Add `rows`, [N, *row_shape], cast to the file's type; raises OSError when the disk is full."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"{self.path.name}: rows of shape {rows.shape[1:]}, expected {self._row_shape}")
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.rows += len(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._write_header()
                if self._file.tell() != self._start:
                    raise RuntimeError(f"{self.path.name}: the header has outgrown the room NumPy leaves for it")
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first dimension may grow in place.
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
