"""The first pass over a log: typed rows to array files, in which values are numbers; after a kill it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.array_file import ArrayFile
from nasrec.data.arrays import Shapes, bag_ids, bag_offsets
from nasrec.data.dictionary import Dictionary
from nasrec.data.encoder import EncodingOptions, dense_inputs
from nasrec.data.parquet_file import parquet_rows, read_parquet, write_parquet
from nasrec.data.planted import PLANTED
from nasrec.data.schema import Schema
from nasrec.data.source import Source
from nasrec.data.vocabulary import Hashing, flatten_bags
from nasrec.files import atomic_path, read_json, write_json

PROGRESS_JSON = "progress.json"
PROGRESS_FORMAT = "nasrec.preparing"
VALUES = "values"
KEEP_ROWS = 1_000_000  # rows read between two notes of how far the reading is


@dataclass(frozen=True)
class Progress:
    """How far the reading is: frames and rows taken, rows of each array file, whether the log is at its end."""

    frames: int = 0
    rows: int = 0
    sizes: tuple[tuple[str, int], ...] = ()
    notes: int = 0
    whole: bool = False

    @classmethod
    def of(cls, folder: Path) -> Progress:
        """What `progress.json` in `folder` says; nothing done where there is none."""
        path = folder / PROGRESS_JSON
        if not path.exists():
            return cls()
        found = read_json(path, format=PROGRESS_FORMAT)
        sizes = tuple((str(name), int(rows)) for name, rows in found.pop("sizes").items())
        return cls(sizes=sizes, **found)

    def write(self, folder: Path) -> None:
        """Note it in `progress.json`."""
        data: dict[str, Any] = {"frames": self.frames, "rows": self.rows, "sizes": dict(self.sizes)}
        data |= {"notes": self.notes, "whole": self.whole}
        write_json(folder / PROGRESS_JSON, {"format": PROGRESS_FORMAT, "version": 1, **data})


def provisional(name: str) -> str:
    """The file of numbers that become the ids of file `name` in the second pass."""
    return f"numbers-{name}"


def is_direct(options: EncodingOptions, schema: Schema) -> tuple[Hashing | None, ...]:
    """For each table how its ids are computed from a value alone; None where its values have to be numbered."""
    fields = []
    for column in schema.tables:
        hashed = column.kind == "category" and column.digits != "text" and options.hashes(column)
        fields.append(options.hashing(column) if hashed else None)
    return tuple(fields)


def read_rows(
    source: Source,
    schema: Schema,
    direct: tuple[Hashing | None, ...],
    folder: Path,
    wrote: Callable[[int, int], None],
) -> Progress:
    """Read all rows of `source` into array files of `folder`, from where an earlier call was killed.

    The inputs are those of `schema`. Ids of a table in `direct` are final; the values of the others are numbered in the
    order in which they appear (see `read_values`). `wrote` hears rows and frames so far.
    """
    done = Progress.of(folder)
    if done.whole:
        return done
    (folder / VALUES).mkdir(exist_ok=True)
    tables = _Tables(schema, direct, folder, done.notes)
    with ExitStack() as stack:
        sizes = dict(done.sizes)
        files = {
            name: stack.enter_context(ArrayFile(folder / name, kind, shape, sizes.get(name, 0)))
            for name, (kind, shape) in layout(schema, source, direct).items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(2))
        if not done.frames:
            for table, column in enumerate(schema.tables):
                if column.kind == "bag":
                    files[bag_offsets(table)].append(np.zeros(1, np.int64))
        rows, frames, noted = done.rows, done.frames, done.rows

        def note(whole: bool) -> Progress:
            for file in files.values():
                file.flush()
            tables.write()
            here = tuple((name, file.rows) for name, file in files.items())
            now = Progress(frames, rows, here, tables.notes, whole)
            now.write(folder)
            return now

        for frame in _ahead(source.frames(start=done.frames)):
            _append(files, frame, source, schema, tables, pool)
            rows, frames = rows + frame.height, frames + 1
            if rows - noted >= KEEP_ROWS:
                note(whole=False)
                noted = rows
            wrote(rows, frames)
        done = note(whole=False)
    done = Progress(done.frames, done.rows, done.sizes, done.notes, whole=True)  # after the files are closed
    done.write(folder)
    return done


def layout(schema: Schema, source: Source, direct: tuple[Hashing | None, ...]) -> Shapes:
    """The array files of the first pass: element type and the shape of one row."""
    plain = sum(column.kind == "category" for column in schema.tables)
    ids = "ids.npy" if _final(schema, direct) else provisional("ids.npy")
    files: Shapes = {"labels.npy": ("uint8", ()), "dense.npy": ("float32", (max(1, len(schema.dense)),))}
    files[ids] = ("int32", (plain,))
    for table, column in enumerate(schema.tables):
        if column.kind == "bag":
            files[provisional(bag_ids(table))] = ("int32", ())
            files[bag_offsets(table)] = ("int64", ())
    if source.planted:
        files["planted.npy"] = ("float64", ())
    if source.schema.only("time"):
        files["times.npy"] = ("float64", ())
    if source.schema.only("split"):
        files["splits.npy"] = ("uint8", ())
    return files


def read_values(folder: Path, table: int) -> Iterator[pl.Series]:
    """The values of numbered `table` in the order of their numbers, from 1."""
    for part in sorted((folder / VALUES).glob(f"{table:03d}-*.parquet")):
        yield read_parquet(part)["value"]


def values_of(folder: Path, table: int) -> int:
    """How many values of `table` were numbered."""
    return sum(parquet_rows(part) for part in (folder / VALUES).glob(f"{table:03d}-*.parquet"))


def _final(schema: Schema, direct: tuple[Hashing | None, ...]) -> bool:
    return all(field for field, column in zip(direct, schema.tables, strict=True) if column.kind == "category")


class _Tables:
    """The dictionaries of the numbered tables, and their values that no file holds yet."""

    def __init__(self, schema: Schema, direct: tuple[Hashing | None, ...], folder: Path, notes: int) -> None:
        self.notes = notes
        self.direct = direct
        self._folder = folder
        self._dictionaries = [None if field else Dictionary() for field in direct]
        self._fresh: list[list[pl.Series]] = [[] for _ in direct]
        for part in (folder / VALUES).glob("*.parquet"):
            if int(part.stem.partition("-")[2]) >= notes:
                part.unlink()  # of rows that no note counts
        for table, dictionary in enumerate(self._dictionaries):
            if dictionary is not None:
                for values in read_values(folder, table):
                    dictionary.numbers(values)

    def ids(self, table: int, values: pl.Series) -> NDArray[np.int32]:
        """Final ids, or numbers; tables may be asked at the same time."""
        field, dictionary = self.direct[table], self._dictionaries[table]
        if dictionary is None:
            assert field is not None
            return field.encode(values)
        numbers, fresh = dictionary.numbers(values)
        if len(fresh):
            self._fresh[table].append(fresh)
        return numbers

    def write(self) -> None:
        """Put the new values into files."""
        for table, fresh in enumerate(self._fresh):
            if fresh:
                with atomic_path(self._folder / VALUES / f"{table:03d}-{self.notes:06d}.parquet") as temporary:
                    write_parquet(pl.concat(fresh).alias("value").to_frame(), temporary)
        self._fresh = [[] for _ in self._fresh]
        self.notes += 1


def _append(
    files: dict[str, ArrayFile],
    frame: pl.DataFrame,
    source: Source,
    schema: Schema,
    tables: _Tables,
    pool: ThreadPoolExecutor,
) -> None:
    def number(table: int) -> tuple[NDArray[np.int32], NDArray[np.int64] | None]:
        column = schema.tables[table]
        if column.kind == "category":
            return tables.ids(table, frame[column.name]), None
        values, lengths = flatten_bags(frame[column.name])
        return tables.ids(table, values), lengths

    numbered = pool.map(number, range(len(schema.tables)))
    files["labels.npy"].append(frame[source.schema.label.name].to_numpy())
    files["dense.npy"].append(dense_inputs(frame, schema))
    if source.planted:
        files["planted.npy"].append(frame[PLANTED].to_numpy())
    for kind, name in (("time", "times.npy"), ("split", "splits.npy")):
        if name in files:
            column = next(column for column in source.schema.columns if column.kind == kind)
            files[name].append(frame[column.name].to_numpy())
    plain = []
    for table, (ids, lengths) in enumerate(numbered):
        if lengths is None:
            plain.append(ids)
        else:
            flat = files[provisional(bag_ids(table))]
            files[bag_offsets(table)].append(flat.rows + np.cumsum(lengths))
            flat.append(ids)
    whole = np.empty((frame.height, len(plain)), np.int32)
    for place, ids in enumerate(plain):
        whole[:, place] = ids
    next(file for name, file in files.items() if name.endswith("ids.npy") and "bag" not in name).append(whole)


def _ahead(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same frames, the next one being read while this one is used."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = reader.submit(next, frames, None)
            yield frame
