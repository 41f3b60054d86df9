"""A raw log as large and as varied as a benchmark's: `python -m benchmarks.raw_file KIND ROWS FILE [--prepare OUT]`.

KIND is criteo (its log has 45,840,617 rows), avazu (40,428,967) or kdd (149,639,105; the users' profile is written
beside it). Each category has as many possible values as in the whole log, used about as unevenly; the labels mean
nothing. With --prepare the file is prepared at once, in this process, and its training rows are read once as a training
reads them, shuffled in batches of 512; it says rows a second and peak memory, and with --json RESULT writes them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks import process
from nasrec.data.avazu import TABLES as AVAZU_TABLES
from nasrec.data.criteo import TABLE_ROWS as CRITEO_ROWS
from nasrec.data.encoder import EncodingOptions
from nasrec.data.kdd import LOG_SCHEMA, PROFILE
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.data.vocabulary import hexadecimal
from nasrec.files import write_json
from nasrec.memory import peak_memory
from nasrec.progress import stage

BLOCK_ROWS = 250_000
DECAY = 0.15  # density of the rank r falls as r**(DECAY - 1)
PROFILES = 24_000_000  # users with gender and age; KDD's are about as many
AVAZU_TEXTS = ("site_", "app_", "device_id", "device_ip", "device_model")  # eight hexadecimal digits in Avazu's log
FACTOR = 0x9E3779B97F4A7C15  # odd: multiplying by it is one to one


def write_criteo(path: Path, rows: int) -> None:
    """Write `rows` rows of Criteo's form."""
    _write(path, rows, _criteo, "\t")


def write_avazu(path: Path, rows: int) -> None:
    """Write `rows` rows of Avazu's form, under its header."""
    _write(path, rows, _avazu, ",", header=True)


def write_kdd(path: Path, rows: int) -> None:
    """Write `rows` rows of KDD's form, and beside them the profiles of `PROFILES` users."""
    _write(path.with_name(PROFILE), PROFILES, _profiles, "\t")
    _write(path, rows, _kdd, "\t")


WRITERS: dict[str, Callable[[Path, int], None]] = {"criteo": write_criteo, "avazu": write_avazu, "kdd": write_kdd}


def _write(path: Path, rows: int, frame: Callable[..., pl.DataFrame], separator: str, header: bool = False) -> None:
    """Row i depends on its block alone, so that a longer file begins with a shorter one."""
    with path.open("wb") as file, stage(f"writing {path.name}", total=rows, unit="rows") as progress:
        for block in range(-(-rows // BLOCK_ROWS)):
            first = block * BLOCK_ROWS
            count = min(BLOCK_ROWS, rows - first)
            made = frame(count, np.random.default_rng([0, block]), first)
            file.write(made.write_csv(include_header=header and block == 0, separator=separator).encode())
            progress.advance(count)


def _ranks(rows: int, size: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Draws from `size` values, the first used most."""
    return (((size**DECAY - 1) * rng.random(rows) + 1) ** (1 / DECAY)).astype(np.uint64)


def _codes(ranks: NDArray[np.uint64], field: int) -> pl.Series:
    """Eight hexadecimal digits for each rank."""
    codes = (ranks * 2654435761 + field * 0x9E3779B9) % (1 << 32)  # one to one: the factor is odd
    return hexadecimal(pl.Series(codes.astype(np.uint32)))


def _criteo(rows: int, rng: np.random.Generator, first: int) -> pl.DataFrame:
    columns = [pl.Series("label", (rng.random(rows) < 0.256).astype(np.uint8))]
    for number in range(13):
        values = pl.Series(f"I{number}", np.exp(rng.standard_normal(rows) * 1.5 + 2).astype(np.int64))
        columns.append(values.set(pl.Series(rng.random(rows) < 0.2), None))
    for field, size in enumerate(CRITEO_ROWS):
        text = _codes(_ranks(rows, size, rng), field).alias(f"C{field}")
        columns.append(text.set(pl.Series(rng.random(rows) < 0.05), None) if field % 3 == 2 else text)
    return pl.DataFrame(columns)


def _avazu(rows: int, rng: np.random.Generator, first: int) -> pl.DataFrame:
    numbers = np.arange(first, first + rows, dtype=np.uint64)
    clicks = (rng.random(rows) < 0.17).astype(np.uint8)
    columns = {"id": pl.Series(numbers * np.uint64(FACTOR)), "click": pl.Series(clicks)}
    for field, (name, size) in enumerate(AVAZU_TABLES.items()):
        ranks = _ranks(rows, size, rng)
        columns[name] = _codes(ranks, field) if name.startswith(AVAZU_TEXTS) else pl.Series(ranks)
    columns["hour"] = 14102100 + columns["hour"] % 24 + columns["hour"] // 24 * 100
    return pl.DataFrame(columns)


def _kdd(rows: int, rng: np.random.Generator, first: int) -> pl.DataFrame:
    columns = {}
    for column in LOG_SCHEMA.columns:
        if column.kind == "category":
            ranks = _ranks(rows, column.rows or 1, rng)
            columns[column.name] = ranks * np.uint64(FACTOR) if column.name == "display_url" else ranks
        else:
            columns[column.name] = rng.poisson(0.04 if column.name == "click" else 1.0, rows).astype(np.uint64)
    return pl.DataFrame(columns)


def _profiles(rows: int, rng: np.random.Generator, first: int) -> pl.DataFrame:
    users = np.arange(first + 1, first + rows + 1)
    return pl.DataFrame({"user": users, "gender": rng.integers(0, 3, rows), "age": rng.integers(1, 7, rows)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=WRITERS)
    parser.add_argument("rows", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--prepare", type=Path, metavar="OUT", help="a new folder for prepared data")
    parser.add_argument("--json", type=Path, metavar="RESULT", help="a file for rate, memory and machine")
    parser.add_argument("--hash", action="store_true", help="hash values instead of keeping a vocabulary")
    parser.add_argument("--max-rows", type=int, default=EncodingOptions().max_rows, help="of a table")
    arguments = parser.parse_args()
    if not arguments.file.exists():
        WRITERS[arguments.kind](arguments.file, arguments.rows)
    if arguments.prepare is None:
        return
    categories = "hash" if arguments.hash else "vocabulary"
    wall, cpu = time.perf_counter(), time.process_time()
    with peak_memory() as peak, stage("preparing", unit="rows") as progress:
        data = prepare(
            open_source(f"{arguments.kind}:{arguments.file}"),
            arguments.prepare,
            seed=0,
            options=EncodingOptions(categories, max_rows=arguments.max_rows),
            progress=progress,
        )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    begin = time.perf_counter()
    with peak_memory() as feeding:
        read = sum(len(batch) for batch in data.split("train").batches(512, seed=1))
    feed = time.perf_counter() - begin
    found = {
        "ids": categories,
        "table_rows": sum(table.rows for table in data.features.tables),
        "rows": data.rows,
        "file_gb": round(arguments.file.stat().st_size / 1e9, 2),
        "wall_s": round(wall, 1),
        "rows_per_s": round(data.rows / wall),
        "cpu_us_per_row": round(cpu / data.rows * 1e6, 2),
        "peak_gib": round(peak.bytes / 2**30, 2),
        "fed_rows": read,
        "fed_rows_per_s": round(read / feed),
        "fed_peak_gib": round(feeding.bytes / 2**30, 2),
    }
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in found.items()) + "\n")
    if arguments.json is not None:
        command = f"python -m benchmarks.raw_file {' '.join(sys.argv[1:])}"
        about = {"command": command, "machine": process.machine(), "versions": process.versions()}
        write_json(arguments.json, {**about, **found})


if __name__ == "__main__":
    main()
