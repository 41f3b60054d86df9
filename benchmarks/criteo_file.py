"""A raw file as large and as varied as Criteo's log: `python -m benchmarks.criteo_file ROWS FILE [--prepare OUT]`.

Each category has as many possible values as the whole log of 45.8 M rows has, used about as unevenly; the labels mean
nothing. With --prepare the file is prepared at once, in this process, and its training rows are read once as a training
reads them, shuffled in batches of 512; it says rows a second and peak memory, and with --json RESULT writes them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import process
from nasrec.data.criteo import TABLE_ROWS
from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.data.vocabulary import hexadecimal
from nasrec.files import write_json
from nasrec.memory import peak_memory
from nasrec.progress import stage

BLOCK_ROWS = 250_000
DECAY = 0.15  # density of the rank r falls as r**(DECAY - 1)


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """Write `rows` rows; row i depends on `seed` and i's block alone."""
    with path.open("wb") as file, stage("writing", total=rows, unit="rows") as progress:
        for block in range(-(-rows // BLOCK_ROWS)):
            count = min(BLOCK_ROWS, rows - block * BLOCK_ROWS)
            rng = np.random.default_rng([seed, block])
            file.write(_frame(count, rng).write_csv(include_header=False, separator="\t").encode())
            progress.advance(count)


def _frame(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    columns = [pl.Series("label", (rng.random(rows) < 0.256).astype(np.uint8))]
    for number in range(13):
        values = pl.Series(f"I{number}", np.exp(rng.standard_normal(rows) * 1.5 + 2).astype(np.int64))
        columns.append(values.set(pl.Series(rng.random(rows) < 0.2), None))
    for field, size in enumerate(TABLE_ROWS):
        ranks = (((size**DECAY - 1) * rng.random(rows) + 1) ** (1 / DECAY)).astype(np.uint64)
        codes = (ranks * 2654435761 + field * 0x9E3779B9) % (1 << 32)  # one to one: the factor is odd
        text = hexadecimal(pl.Series(codes.astype(np.uint32))).alias(f"C{field}")
        columns.append(text.set(pl.Series(rng.random(rows) < 0.05), None) if field % 3 == 2 else text)
    return pl.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--prepare", type=Path, metavar="OUT", help="a new folder for prepared data")
    parser.add_argument("--json", type=Path, metavar="RESULT", help="a file for rate, memory and machine")
    parser.add_argument("--hash", action="store_true", help="hash values instead of keeping a vocabulary")
    arguments = parser.parse_args()
    if not arguments.file.exists():
        write_rows(arguments.file, arguments.rows)
    if arguments.prepare is None:
        return
    wall, cpu = time.perf_counter(), time.process_time()
    with peak_memory() as peak, stage("preparing", unit="rows") as progress:
        data = prepare(
            open_source(f"criteo:{arguments.file}"),
            arguments.prepare,
            seed=0,
            options=EncodingOptions("hash" if arguments.hash else "vocabulary"),
            progress=progress,
        )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    begin = time.perf_counter()
    with peak_memory() as feeding:
        read = sum(len(batch) for batch in data.split("train").batches(512, seed=1))
    feed = time.perf_counter() - begin
    found = {
        "ids": "hash" if arguments.hash else "vocabulary",
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
        command = f"python -m benchmarks.criteo_file {' '.join(sys.argv[1:])}"
        about = {"command": command, "machine": process.machine(), "versions": process.versions()}
        write_json(arguments.json, {**about, **found})


if __name__ == "__main__":
    main()
