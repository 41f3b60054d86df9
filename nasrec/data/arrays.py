"""The memory-mapped training form: which arrays there are, and how rows of them become a batch."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.batch import Batch
from nasrec.data.features import Features
from nasrec.errors import InputError

Shapes = dict[str, tuple[str, tuple[int, ...]]]  # file name -> element type, shape


def bag_ids(table: int) -> str:
    """The file of the flat ids of multi-hot table number `table`."""
    return f"bag-{table}-ids.npy"


def bag_offsets(table: int) -> str:
    """The file of the N + 1 positions where the bags of multi-hot table number `table` begin and end."""
    return f"bag-{table}-offsets.npy"


def map_array(folder: Path, name: str, shapes: Shapes) -> NDArray[Any]:
    """Map `name` into memory, read-only; InputError naming the file if it is absent, cut off or of another shape."""
    path = folder / name
    if name not in shapes:
        raise InputError(f"{folder}: prepared.json lists no {name}")
    kind, shape = shapes[name]
    try:
        # A file without rows cannot be mapped; loading it costs nothing.
        array = np.load(path, mmap_mode="r" if np.prod(shape) else None, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a whole array of {kind} {list(shape)}: {error}") from None
    if array.shape != shape or array.dtype != np.dtype(kind):
        raise InputError(f"{path}: {array.dtype} {list(array.shape)}, prepared.json says {kind} {list(shape)}")
    return np.asarray(array)


def release(array: NDArray[Any]) -> None:
    """Take the pages of a mapped array out of this process's memory; whoever reads them again finds them as before."""
    mapped: Any = array
    while mapped is not None and not isinstance(mapped, mmap.mmap):
        mapped = getattr(mapped, "base", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Arrays:
    """All rows of prepared data by row number."""

    def __init__(self, folder: Path, features: Features, shapes: Shapes) -> None:
        self.labels: NDArray[np.uint8] = map_array(folder, "labels.npy", shapes)
        self.planted: NDArray[np.float64] | None = (
            map_array(folder, "planted.npy", shapes) if "planted.npy" in shapes else None
        )
        self._folder, self._features = folder, features
        self._dense = map_array(folder, "dense.npy", shapes)
        self._ids = map_array(folder, "ids.npy", shapes)
        self._bags = {
            table: (map_array(folder, bag_ids(table), shapes), map_array(folder, bag_offsets(table), shapes))
            for table, described in enumerate(features.tables)
            if described.multi_hot
        }
        self._plain = [table for table in range(len(features.tables)) if table not in self._bags]
        self._limits = np.array([features.tables[table].rows for table in self._plain], np.int64)
        if self._dense.shape[1:] != (features.dense,) or self._ids.shape[1:] != (len(self._plain),):
            raise InputError(f"{folder}: prepared.json describes other inputs than dense.npy and ids.npy hold")

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The rows with numbers `rows`, int64 [B]; raises InputError for a row, id or label that cannot be."""
        self._check_rows(rows)
        ids = self._ids[rows].astype(np.int64)
        bad = (ids < 0) | (ids >= self._limits)
        if bad.any():
            where, column = (int(axis[0]) for axis in np.nonzero(bad))
            raise self._beyond("ids.npy", int(rows[where]), self._plain[column], int(ids[where, column]))
        found = self.labels[rows]
        if found.max(initial=0) > 1:
            row = int(rows[np.argmax(found)])
            raise InputError(f"{self._folder / 'labels.npy'}, row {row}: label {found.max()}, expected 0 or 1")
        dense, labels = self._dense[rows], found.astype(np.float32)
        if not self._bags:
            return Batch(dense, ids, None, labels)
        flat, lengths = [], []
        plain = iter(ids.T)
        for table in range(len(self._features.tables)):
            ones = np.ones(len(rows), np.int64)
            values, sizes = self._bag(table, rows) if table in self._bags else (next(plain), ones)
            flat.append(values)
            lengths.append(sizes)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
        return Batch(dense, np.concatenate(flat), offsets, labels)

    def fetch(self, rows: NDArray[np.int64]) -> None:
        """Bring the ascending row numbers `rows` from the disk into memory, in one sweep over each file."""
        self._check_rows(rows)
        for array in (self.labels, self._dense[:, :1], self._ids[:, :1]):
            array[rows].max(initial=0)
        for ids, begins in self._bags.values():
            ids[np.minimum(begins[rows], max(0, len(ids) - 1))].max(initial=0)

    def release(self) -> None:
        """Take what was read so far out of this process's memory: a log is larger than what a model needs of it."""
        for array in (self.labels, self._dense, self._ids, *(part for bags in self._bags.values() for part in bags)):
            release(array)

    def _check_rows(self, rows: NDArray[np.int64]) -> None:
        last = len(self.labels) - 1
        if rows.size and not 0 <= rows.min() <= rows.max() <= last:
            beyond = int(rows.max() if rows.max() > last else rows.min())
            raise InputError(
                f"{self._folder}: train.npy, validation.npy or test.npy has row {beyond}, expected 0 to {last}"
            )

    def _bag(self, table: int, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids, offsets = self._bags[table]
        begins = offsets[rows]
        sizes = offsets[rows + 1] - begins
        ends = np.cumsum(sizes)
        # Positions in the file: within each bag counting up from where it begins.
        values = ids[np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + sizes, sizes)].astype(np.int64)
        bad = (values < 0) | (values >= self._features.tables[table].rows)
        if bad.any():
            at = int(np.argmax(bad))
            row = int(rows[np.searchsorted(ends, at, side="right")])
            raise self._beyond(bag_ids(table), row, table, int(values[at]))
        return values, sizes

    def _beyond(self, file: str, row: int, table: int, value: int) -> InputError:
        described = self._features.tables[table]
        return InputError(
            f"{self._folder / file}, row {row}, table {described.name!r}: id {value}, "
            f"expected 0 to {described.rows - 1}"
        )
