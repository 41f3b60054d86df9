"""The bare inner loop of table look-ups (lookup_loop.cpp), compiled when asked for and called in this process."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("lookup_loop.cpp")
FLAGS = {"avx2": ["-mavx2"], "avx512": ["-mavx512f", "-mavx512bw", "-mavx512vbmi"]}


def lookup_loop(isa: str, *, bits: int = 4, rows: int = 128, slices: int = 4, size: int = 1024) -> Callable[[], None]:
    """One run of the loop over a `size` x `size` matrix, 8 phases of 64 vectors; the machine must have `isa`.

    `bits` of input index a table: 4, or 6 with "avx512". A run is `size * size * slices * 8 * 64` multiplications of
    one bit with one cell, as many as the kernel's on that matrix. Raises OSError or CalledProcessError without a
    compiler.
    """
    steps = -(-rows // bits)
    lines = size * slices * (size // rows)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 4096 if bits == 6 else 256, lines * steps).astype(np.uint16)
    tables = rng.integers(0, 4, 4096 << bits).astype(np.uint8)
    index = rng.integers(0, 1 << bits, steps * 8 * 64).astype(np.uint8)
    out = np.zeros(2 * 8 * 64, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "lookup_loop.so"
        subprocess.run(["g++", "-O3", "-std=c++17", "-shared", "-fPIC", *FLAGS[isa], str(SOURCE), "-o", str(target)],
                       check=True, capture_output=True)  # fmt: skip
        library = ctypes.CDLL(str(target))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (numbers, tables, index, out)]
    sizes = [ctypes.c_int64(lines), ctypes.c_int64(steps)]

    def run() -> None:
        keep = numbers, tables, index, out  # as long as the pointers are used
        if isa == "avx2":
            library.run_avx2(*sizes, *pointers)
        else:
            library.run_avx512(bits, *sizes, *pointers)
        del keep

    return run
