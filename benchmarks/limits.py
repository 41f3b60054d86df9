"""The machine's limits: bare loops (limits.cpp) as contestants, and rates that a run measures once.

The loops are compiled for this machine when first needed; where there is no compiler the limits are left out.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import BUILD, machine
from benchmarks.timing import Work, take_turns

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (Path(__file__).parent / "limits.cpp", ROOT / "csrc" / "parallel.h")
# Contraction is asked for: the peak is that of fused multiply-add.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-fPIC", "-shared", "-Wno-psabi")
LANES = {"avx512": 16, "avx2": 8, "portable": 4}  # float32 in a register
LOOK_UP_LANES = {"avx512": 64, "avx2": 32}  # bytes
BLOCK = 128  # rows of an array
LINES_AHEAD, MOST_AHEAD = 256, 128  # cache lines on their way at a time; rows between a prefetch and its use at most
Rows = NDArray[np.int64]


@cache
def library() -> ctypes.CDLL | str:
    """limits.cpp compiled for this machine; where it cannot be compiled, the reason."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        return "no C++ compiler"
    text = "".join(source.read_text(encoding="utf-8") for source in SOURCES) + machine()["model"]
    key = hashlib.sha256((text + compiler + " ".join(FLAGS)).encode()).hexdigest()[:16]
    path = BUILD / f"limits-{key}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        command = [*shlex.split(compiler), *FLAGS, f"-I{ROOT / 'csrc'}", str(SOURCES[0]), "-o", str(draft)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return f"{compiler} cannot compile {SOURCES[0].name}: {result.stderr.strip().splitlines()[0]}"
        draft.replace(path)
    loops = ctypes.CDLL(str(path))
    return loops


def missing() -> dict[str, str]:
    """Why there are no limits, if so."""
    loops = library()
    return {"limits": loops} if isinstance(loops, str) else {}


def _at(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _count(number: int) -> ctypes.c_int64:
    return ctypes.c_int64(number)


def _ahead(row_bytes: int) -> int:
    lines = -(-row_bytes // 64)
    return max(1, min(MOST_AHEAD, LINES_AHEAD // lines))


def pass_over(array: NDArray[np.generic], written: int, threads: int) -> Work | None:
    """A loop that reads `array` once and writes `written` bytes: what a kernel of one pass cannot do without."""
    loops, out, sink = library(), np.zeros(max(1, written), np.uint8), np.zeros(16 * threads, np.float32)
    if isinstance(loops, str):
        return None
    sizes = _count(array.nbytes), _at(out), _count(written), threads, _at(sink)
    return _keeping(partial(loops.pass_over, _at(array), *sizes), array, out, sink)


def gather(
    pool: NDArray[np.generic], row_bytes: int, rows: Rows, pooled: int, out_bytes: int, threads: int
) -> Work | None:
    """A loop that reads the `rows` of `pool` that a look-up reads and writes what it writes, without arithmetic."""
    loops, bags = library(), len(rows) // pooled
    out = np.zeros(bags * out_bytes, np.uint8)
    if isinstance(loops, str):
        return None
    sizes = _count(row_bytes), _at(rows), _count(bags), _count(pooled), _at(out), _count(out_bytes)
    return _keeping(partial(loops.gather, _at(pool), *sizes, _count(_ahead(row_bytes)), threads), pool, rows, out)


def update(table: NDArray[np.generic], state: NDArray[np.generic], rows: Rows, threads: int) -> Work | None:
    """A loop that reads, changes and writes the distinct `rows` of a table and of its optimiser's state."""
    loops = library()
    if isinstance(loops, str):
        return None
    row, of_state = table.nbytes // len(table), state.nbytes // len(table)
    arrays = _at(table), _count(row), _at(state), _count(of_state), _at(rows), _count(len(rows))
    return _keeping(partial(loops.update, *arrays, _count(_ahead(row + of_state)), threads), table, state, rows)


def look_up(isa: str, inputs: int, columns: int, threads: int) -> Work | None:
    """The bare inner loop of a product by table look-ups: 64 vectors of 8 bits, `columns` of 2-bit cells in all.

    Blocks of 128 rows; None where the instruction set has no such loop.
    """
    loops, lanes = library(), LOOK_UP_LANES.get(isa, 0)
    if isinstance(loops, str) or not (rows := loops.look_up_rows(lanes)):
        return None
    rng, steps, lines = np.random.default_rng(0), -(-BLOCK // rows), columns * (inputs // BLOCK)
    numbers = rng.integers(0, 4**rows, lines * steps).astype(np.uint16)  # one table for every content of its cells
    tables = rng.integers(0, 4, 4**rows << rows, np.uint8)
    index, out = rng.integers(0, 1 << rows, steps * 8 * 64, np.uint8), np.zeros(threads * 2 * 8 * 64, np.uint8)
    sizes = _count(lines), _count(steps), _at(numbers), _at(tables), _at(index), _at(out), threads
    return _keeping(partial(loops.look_up, lanes, *sizes), numbers, tables, index, out)


def rates(isa: str, threads: int) -> dict[str, float]:
    """Operations and bytes a second: arithmetic peak, memory read in order, rows of 256 bytes read at random places."""
    loops, sink = library(), np.zeros(16 * threads, np.float32)
    if isinstance(loops, str):
        return {}
    lanes, iterations = LANES[isa], 200_000
    memory = np.zeros(256 << 20, np.uint8) + np.uint8(1)
    rows = np.random.default_rng(0).integers(0, len(memory) // 256, 200_000)
    inputs, columns = 1024, 512
    work: dict[str, tuple[float, Work | None]] = {
        "fma_flops": (
            threads * 24.0 * lanes * iterations,
            lambda: loops.fma_peak(lanes, _count(iterations), threads, _at(sink)),
        ),
        "stream_bytes": (memory.nbytes, pass_over(memory, 0, threads)),
        "gather_256_bytes": (256.0 * len(rows), gather(memory, 256, rows, 1, 0, threads)),
        "look_up_macs": (inputs * columns * 8.0 * 64, look_up(isa, inputs, columns, threads)),
    }
    loops_of = {name: loop for name, (_, loop) in work.items() if loop is not None}
    timings, _ = take_turns(loops_of, threads, rounds=9, budget_s=5.0)
    return {name: work[name][0] / (timing.ms * 1e-3) for name, timing in timings.items()}


def _keeping(call: Callable[[], object], *arrays: NDArray[np.generic]) -> Work:
    """`call`, which holds on to the arrays that it points into."""

    def work() -> object:
        return call()

    work.arrays = arrays  # type: ignore[attr-defined]
    return work
