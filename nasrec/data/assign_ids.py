"""The second pass over a log: the numbers of values become ids, by how often the training rows hold them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.array_file import ArrayFile, read_array, read_chunks
from nasrec.data.arrays import bag_ids, bag_offsets
from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.in_order import in_order
from nasrec.data.read_rows import provisional, read_values, values_of
from nasrec.data.schema import Schema
from nasrec.data.vocabulary import MISSING, Hashing, Vocabulary

CHUNK = 1 << 18  # rows in memory at a time
Counts = list[NDArray[np.int64]]


def count_ids(
    folder: Path,
    schema: Schema,
    direct: tuple[Hashing | None, ...],
    in_train: NDArray[np.bool_],
    counted: Callable[[int], None],
) -> Counts:
    """How often the training rows hold each number or id, a list by table; `counted` hears the rows so far."""
    sizes = (hashing.rows if hashing else 1 + values_of(folder, table) for table, hashing in enumerate(direct))
    counts = [np.zeros(size, np.int64) for size in sizes]
    plain = [table for table, column in enumerate(schema.tables) if column.kind == "category"]
    numbers = folder / provisional("ids.npy")

    def of_train(chunk: tuple[int, NDArray[np.int32]]) -> NDArray[np.int32]:
        number, ids = chunk
        return ids[in_train[number * CHUNK :][: len(ids)]].T.copy()

    chunks = read_chunks(numbers if numbers.exists() else folder / "ids.npy", CHUNK)
    for number, columns in enumerate(in_order(of_train, enumerate(chunks)), start=1):
        for place, table in enumerate(plain):
            _add(counts[table], columns[place])
        counted(min(number * CHUNK, len(in_train)))
    for table, column in enumerate(schema.tables):
        if column.kind == "bag":
            offsets = np.load(folder / bag_offsets(table), mmap_mode="r")
            for begin in range(0, len(in_train), CHUNK):
                part = offsets[begin : min(begin + CHUNK, len(in_train)) + 1]
                ids = read_array(folder / provisional(bag_ids(table)), int(part[0]), int(part[-1]))
                chosen = np.repeat(in_train[begin : begin + CHUNK], np.diff(part))
                _add(counts[table], ids[chosen])
    return counts


def learn_encoder(
    folder: Path,
    schema: Schema,
    options: EncodingOptions,
    direct: tuple[Hashing | None, ...],
    counts: Counts,
    trained: int,
) -> Encoder:
    """The encoder that the counted training rows, `trained` of them, lead to."""
    fields: list[Vocabulary | Hashing] = []
    for table, column in enumerate(schema.tables):
        hashing = direct[table]
        if hashing is not None or options.hashes(column):
            fields.append(hashing or options.hashing(column))
            continue
        parts, begin = [pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})], 1
        for values in read_values(folder, table):
            part = pl.DataFrame({"value": values, "count": counts[table][begin : begin + len(values)]})
            parts.append(part.filter(pl.col("count") >= options.min_count))
            begin += len(values)
        known = pl.concat(parts[1:] or parts)
        fields.append(Vocabulary.of_counts(column.name, known, options.min_count, options.max_rows))
    lookups = tuple(float(count.sum()) / trained for count in counts)
    return Encoder(schema, options, tuple(fields), lookups)


def assign_ids(
    folder: Path,
    encoder: Encoder,
    direct: tuple[Hashing | None, ...],
    counts: Counts,
    assigned: Callable[[int], None],
) -> Counts:
    """Write the final ids of all numbered tables, delete the numbers; how often training reads each id, by table."""
    maps = [None if hashing else _map(folder, table, encoder.fields[table]) for table, hashing in enumerate(direct)]
    plain = [table for table, column in enumerate(encoder.schema.tables) if column.kind == "category"]
    numbers = folder / provisional("ids.npy")

    def mapped(ids: NDArray[np.int32]) -> NDArray[np.int32]:
        columns = ids.T.copy()
        for place, table in enumerate(plain):
            mapping = maps[table]
            ids[:, place] = columns[place] if mapping is None else mapping[columns[place]]
        return ids

    if numbers.exists():
        with ArrayFile(folder / "ids.npy", np.int32, (len(plain),)) as file:
            for ids in in_order(mapped, read_chunks(numbers, CHUNK)):
                file.append(ids)
                assigned(file.rows)
    for table, column in enumerate(encoder.schema.tables):
        if column.kind == "bag":
            mapping = maps[table]
            assert mapping is not None
            numbers = folder / provisional(bag_ids(table))
            with ArrayFile(folder / bag_ids(table), np.int32) as file:
                for ids in read_chunks(numbers, CHUNK):
                    file.append(mapping[ids])
    fields = zip(counts, maps, encoder.fields, strict=True)
    return [_access(count, mapping, field.rows) for count, mapping, field in fields]


def _map(folder: Path, table: int, field: Vocabulary | Hashing) -> NDArray[np.int32]:
    """The id of each number of a table, int32."""
    parts = [np.full(1, MISSING, np.int32), *(field.encode(values) for values in read_values(folder, table))]
    return np.concatenate(parts)


def _access(count: NDArray[np.int64], mapping: NDArray[np.int32] | None, rows: int) -> NDArray[np.int64]:
    if mapping is None:
        return count
    return np.bincount(mapping, weights=count, minlength=rows).astype(np.int64)


def _add(counts: NDArray[np.int64], ids: NDArray[np.int32]) -> None:
    if len(counts) < CHUNK:
        counts += np.bincount(ids, minlength=len(counts))
    else:
        np.add.at(counts, ids, 1)
