"""From any source to prepared data, streaming: raw rows to Parquet, an encoder from the training rows, arrays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.array_file import ArrayFile
from nasrec.data.arrays import Arrays, Shapes, bag_ids, bag_offsets
from nasrec.data.dataset import Dataset
from nasrec.data.encoder import EncodedRows, Encoder, EncodingOptions
from nasrec.data.features import Features
from nasrec.data.fit import fit_encoder
from nasrec.data.planted import PLANTED
from nasrec.data.prepared import PREPARED_JSON, RAW, Prepared, PreparedLog
from nasrec.data.raw import read_raw, write_raw
from nasrec.data.source import Source
from nasrec.data.split import split_rows
from nasrec.errors import InputError
from nasrec.files import is_running, write_json

Progress = Callable[[int, int | None], None]


def prepare(
    source: Source,
    out: Path,
    *,
    seed: int,
    options: EncodingOptions | None = None,
    shares: tuple[int, int, int] | None = None,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Read `source` once and write prepared data to the new folder `out`; it appears whole or not at all.

    Training, validation and test rows are in the ratio of `shares`, a function of `seed`. The encoder is learned from
    the training rows, with `options`, unless one is given. `shares` are 8:1:1; with a given encoder, all rows are for
    test. Prepared data are returned as they are, `out` untouched,
    unless an encoder or options are given. `progress(done, total)` counts each row once per pass over the rows.
    Raises InputError for rows that cannot be used and for an `out` that holds something, OSError for a full disk.
    """
    if isinstance(source, PreparedLog) and encoder is None and options is None:
        return source.prepared
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already there and not empty; prepared data need a folder of their own")
    if encoder is not None:
        encoder.check_schema(source.schema, source.spec)
    shares = shares or ((0, 0, 1) if encoder else (8, 1, 1))
    progress = progress or (lambda done, total: None)
    with _new_folder(out) as folder:
        _write(folder, source, seed, options or EncodingOptions(), shares, encoder, progress)
    return Prepared.open(out)


def _write(
    folder: Path,
    source: Source,
    seed: int,
    options: EncodingOptions,
    shares: tuple[int, int, int],
    encoder: Encoder | None,
    progress: Progress,
) -> None:
    passes = 2 if encoder else 3
    expected = None if source.rows is None else source.rows * passes
    rows = write_raw(source.frames(), folder / RAW, lambda done: progress(done, expected))
    splits = split_rows(rows, seed, shares)
    in_train = np.zeros(rows, bool)
    in_train[splits["train"]] = True
    if encoder is None:
        raw = read_raw(folder / RAW)
        encoder = fit_encoder(raw, source.schema, options, in_train, lambda done: progress(rows + done, 3 * rows))
    encoder.save(folder)
    shapes, counts = _encode(
        folder, encoder, in_train, source.planted, lambda done: progress((passes - 1) * rows + done, passes * rows)
    )
    features = encoder.features
    for name, numbers in (*splits.items(), ("access", np.concatenate([np.zeros(0, np.int64), *counts]))):
        with ArrayFile(folder / f"{name}.npy", np.int64) as file:
            file.append(numbers)
        shapes[f"{name}.npy"] = ("int64", numbers.shape)
    arrays = Arrays(folder, features, shapes)
    optima = {name: Dataset(arrays, part).optimum() for name, part in (*splits.items(), ("all", np.arange(rows)))}
    prepared = Prepared(
        folder,
        source.spec,
        rows,
        seed,
        {name: len(part) for name, part in splits.items()},
        features,
        shapes,
        {name: optimum for name, optimum in optima.items() if optimum is not None} if source.planted else None,
        tuple(_summary(table.name, count) for table, count in zip(features.tables, counts, strict=True)),
    )
    write_json(folder / PREPARED_JSON, {"format": "nasrec.prepared", "version": 1, **prepared.to_json()})


def _encode(
    folder: Path, encoder: Encoder, in_train: NDArray[np.bool_], planted: bool, encoded: Callable[[int], None]
) -> tuple[Shapes, list[NDArray[np.int64]]]:
    """Write the arrays of all raw rows; returns their shapes and, per table, how often training reads each row."""
    features = encoder.features
    counts = [np.zeros(table.rows, np.int64) for table in features.tables]
    rows = 0
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(ArrayFile(folder / name, kind, shape))
            for name, (kind, shape) in _layout(features, planted).items()
        }
        for table, described in enumerate(features.tables):
            if described.multi_hot:
                files[bag_offsets(table)].append(np.zeros(1, np.int64))
        for frame in read_raw(folder / RAW):
            batch = encoder.encode(frame)
            _append(files, features, batch)
            if planted:
                files["planted.npy"].append(frame[PLANTED].to_numpy())
            _count(counts, features, batch, in_train[rows : rows + frame.height])
            rows += frame.height
            encoded(rows)
        layout = _layout(features, planted)
        return {name: (layout[name][0], (file.rows, *layout[name][1])) for name, file in files.items()}, counts


def _layout(features: Features, planted: bool) -> Shapes:
    """The array files: element type and the shape of one row."""
    plain = sum(not table.multi_hot for table in features.tables)
    layout: Shapes = {
        "labels.npy": ("uint8", ()),
        "dense.npy": ("float32", (features.dense,)),
        "ids.npy": ("int32", (plain,)),
    }
    for table, described in enumerate(features.tables):
        if described.multi_hot:
            layout[bag_ids(table)] = ("int32", ())
            layout[bag_offsets(table)] = ("int64", ())
    if planted:
        layout["planted.npy"] = ("float64", ())
    return layout


def _append(files: dict[str, ArrayFile], features: Features, batch: EncodedRows) -> None:
    files["labels.npy"].append(batch.labels)
    files["dense.npy"].append(batch.dense)
    files["ids.npy"].append(batch.ids)
    for table, described in enumerate(features.tables):
        if described.multi_hot:
            ids, lengths = batch.bags[described.name]
            files[bag_offsets(table)].append(files[bag_ids(table)].rows + np.cumsum(lengths))
            files[bag_ids(table)].append(ids)


def _count(
    counts: list[NDArray[np.int64]], features: Features, batch: EncodedRows, chosen: NDArray[np.bool_]
) -> None:
    plain = iter(batch.ids.T)
    for count, table in zip(counts, features.tables, strict=True):
        if table.multi_hot:
            ids, lengths = batch.bags[table.name]
            ids = ids[np.repeat(chosen, lengths)]
        else:
            ids = next(plain)[chosen]
        count += np.bincount(ids, minlength=len(count))


def _summary(name: str, counts: NDArray[np.int64]) -> dict[str, Any]:
    """How unevenly the rows of a table are read: the share of lookups that go to its most read rows."""
    falling = np.sort(counts)[::-1]
    lookups = int(falling.sum())
    share = {
        f"top_{percent}_percent": float(falling[: -(-len(falling) * percent // 100)].sum() / max(lookups, 1))
        for percent in (1, 10)
    }
    return {"name": name, "rows": len(counts), "rows_read": int((counts > 0).sum()), "lookups": lookups, **share}


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` when the block succeeds and vanishes when it fails.

    What an earlier, killed process left behind there is removed first.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for leftover in out.parent.glob(f".{out.name}.*.preparing"):
        if not is_running(leftover.name.split(".")[-2]):
            shutil.rmtree(leftover, ignore_errors=True)
    folder = out.with_name(f".{out.name}.{os.getpid()}.preparing")
    folder.mkdir()
    try:
        yield folder
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
