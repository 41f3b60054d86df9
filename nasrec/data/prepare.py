"""From any source to prepared data, streaming: rows to arrays, an encoder from the training rows, ids."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.array_file import ArrayFile
from nasrec.data.arrays import Arrays, Shapes, bag_ids, bag_offsets
from nasrec.data.assign_ids import Counts, assign_ids, count_ids, learn_encoder
from nasrec.data.dataset import Dataset
from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.features import Features
from nasrec.data.prepared import PREPARED_JSON, Prepared, PreparedLog, digest_of
from nasrec.data.read_rows import PROGRESS_JSON, VALUES, Progress, is_direct, provisional, read_rows
from nasrec.data.source import Source
from nasrec.data.split import SPLITS, SplitMethod, rows_of, split_by_time, split_rows, split_stratified
from nasrec.data.workplace import workplace
from nasrec.errors import InputError
from nasrec.files import write_json

Report = Callable[[int, int | None], None]


def prepare(
    source: Source,
    out: Path,
    *,
    seed: int,
    options: EncodingOptions | None = None,
    split: SplitMethod = "random",
    shares: tuple[int, int, int] | None = None,
    encoder: Encoder | None = None,
    progress: Report | None = None,
) -> Prepared:
    """Read `source` once and write prepared data to the new folder `out`; it appears whole or not at all.

    Rows are split at random, stratified by label, by time, or as a column of kind "split" says ("own"); in the ratio of
    `shares` and, but for "own" and "time", from `seed`. The encoder is learned from the training rows, with `options`,
    unless one is given. `shares` are 8:1:1; with a given encoder, all rows are for test. Prepared data are returned as
    they are, `out` untouched, unless an encoder or options are given that are not their own.

    Killed and called again with the same arguments, it goes on where it was. `progress(done, total)` counts each row
    once per pass over the rows; the total is estimated while the first pass goes on. Raises InputError for rows that
    cannot be used and for an `out` that holds something, OSError for a full disk: nothing is left behind then.
    """
    if isinstance(source, PreparedLog):
        return source.encoded(encoder, options)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already there and not empty; prepared data need a folder of their own")
    if encoder is not None:
        encoder.check_schema(source.schema, source.spec)
    if split == "own" and source.schema.only("split") is None:
        raise InputError(f"{source.spec}: split 'own' needs a column of kind 'split', there is none")
    shares = shares or ((0, 0, 1) if encoder else (8, 1, 1))
    job = _Job(
        source, options or EncodingOptions(), split, seed, shares, encoder, progress or (lambda done, total: None)
    )
    with workplace(out, job.identity()) as folder:
        job.write(folder)
    return Prepared.open(out)


class _Job:
    """One preparation: what it makes of what."""

    def __init__(
        self,
        source: Source,
        options: EncodingOptions,
        split: SplitMethod,
        seed: int,
        shares: tuple[int, int, int],
        encoder: Encoder | None,
        progress: Report,
    ) -> None:
        self.source, self.options, self.split, self.seed, self.shares = source, options, split, seed, shares
        self.encoder, self.progress = encoder, progress
        self.schema = source.schema if encoder is None else encoder.schema
        self.direct = is_direct(options if encoder is None else encoder.options, self.schema)

    def identity(self) -> dict[str, Any]:
        """What decides the outcome: a preparation is gone on with only if all of it is the same."""
        files = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in self.source.files]
        return {
            "source": self.source.spec,
            "files": files,
            "schema": self.source.schema.to_json(),
            "options": asdict(self.options),
            "split": [self.split, self.seed, *self.shares],
            "encoder": None if self.encoder is None else self.encoder.digest(),
        }

    def write(self, folder: Path) -> None:
        read = read_rows(self.source, self.schema, self.direct, folder, self._reading)
        rows = read.rows
        splits = self._splits(folder, rows)
        in_train = np.zeros(rows, bool)
        in_train[splits["train"]] = True
        passes = 2 if all(self.direct) else 3
        counts = count_ids(
            folder, self.schema, self.direct, in_train, lambda done: self.progress(rows + done, passes * rows)
        )
        encoder = self.encoder or learn_encoder(
            folder, self.schema, self.options, self.direct, counts, len(splits["train"])
        )
        encoder.save(folder)
        access = assign_ids(
            folder, encoder, self.direct, counts, lambda done: self.progress(2 * rows + done, passes * rows)
        )
        shapes = _shapes(read, encoder)
        for name, numbers in (*splits.items(), ("access", np.concatenate([np.zeros(0, np.int64), *access]))):
            with ArrayFile(folder / f"{name}.npy", np.int64) as file:
                file.append(numbers)
            shapes[f"{name}.npy"] = ("int64", numbers.shape)
        self._describe(folder, rows, encoder.features, shapes, splits, access)
        for leftover in (PROGRESS_JSON, "times.npy", "splits.npy", *map(provisional, shapes)):
            (folder / leftover).unlink(missing_ok=True)
        shutil.rmtree(folder / VALUES)

    def _reading(self, rows: int, frames: int) -> None:
        passes = 2 if all(self.direct) else 3
        expected = self.source.rows
        if expected is None:
            expected = max(rows, int(rows / frames * self.source.expected_frames))
        self.progress(rows, passes * expected)

    def _splits(self, folder: Path, rows: int) -> dict[str, NDArray[np.int64]]:
        """The row numbers of each split; InputError where none is for train, which the vocabulary is learnt from."""
        splits = self._divided(folder, rows)
        if self.encoder is None and len(splits["train"]) == 0:
            raise InputError(f"{self.source.spec}: split {self.split!r}: no row is for train")
        return splits

    def _divided(self, folder: Path, rows: int) -> dict[str, NDArray[np.int64]]:
        if self.split == "random":
            return split_rows(rows, self.seed, self.shares)
        if self.split == "stratified":
            places = split_stratified(np.load(folder / "labels.npy"), self.seed, self.shares)
        elif self.split == "time":
            times = folder / "times.npy"
            places = split_by_time(np.load(times) if times.exists() else None, rows, self.shares)
        else:
            places = np.load(folder / "splits.npy")
        return rows_of(places, self.seed)

    def _describe(
        self,
        folder: Path,
        rows: int,
        features: Features,
        shapes: Shapes,
        splits: dict[str, NDArray[np.int64]],
        access: Counts,
    ) -> None:
        optima = None
        if self.source.planted:
            arrays = Arrays(folder, features, shapes)
            found = {
                name: Dataset(arrays, part).optimum() for name, part in (*splits.items(), ("all", np.arange(rows)))
            }
            optima = {name: optimum for name, optimum in found.items() if optimum is not None}
        prepared = Prepared(
            folder,
            self.source.spec,
            rows,
            self.seed,
            {name: len(splits[name]) for name in SPLITS},
            features,
            shapes,
            optima,
            tuple(_summary(table.name, count) for table, count in zip(features.tables, access, strict=True)),
            self.split,
            digest_of(folder),
        )
        write_json(folder / PREPARED_JSON, {"format": "nasrec.prepared", "version": 1, **prepared.to_json()})


def _shapes(read: Progress, encoder: Encoder) -> Shapes:
    """The arrays that are kept, as they are at the end."""
    sizes, tables = dict(read.sizes), encoder.features.tables
    shapes: Shapes = {
        "labels.npy": ("uint8", (read.rows,)),
        "dense.npy": ("float32", (read.rows, encoder.features.dense)),
        "ids.npy": ("int32", (read.rows, sum(not table.multi_hot for table in tables))),
    }
    for table, described in enumerate(tables):
        if described.multi_hot:
            shapes[bag_ids(table)] = ("int32", (sizes[provisional(bag_ids(table))],))
            shapes[bag_offsets(table)] = ("int64", (read.rows + 1,))
    if "planted.npy" in sizes:
        shapes["planted.npy"] = ("float64", (read.rows,))
    return shapes


def _summary(name: str, counts: NDArray[np.int64]) -> dict[str, Any]:
    """How unevenly the rows of a table are read: the share of lookups that go to its most read rows."""
    falling = np.sort(counts)[::-1]
    lookups = int(falling.sum())
    share = {
        f"top_{percent}_percent": float(falling[: -(-len(falling) * percent // 100)].sum() / max(lookups, 1))
        for percent in (1, 10)
    }
    return {"name": name, "rows": len(counts), "rows_read": int((counts > 0).sum()), "lookups": lookups, **share}
