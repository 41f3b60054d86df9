"""Calls a kernel for every instruction set of this machine and several numbers of threads."""

from __future__ import annotations

import numpy as np

from nasrec import kernels
from nasrec._kernels import best_isa

NAMES = ["portable", "avx2", "avx512"]
ISAS = NAMES[: 1 + NAMES.index(best_isa())]


def on_every_machine(function) -> list[np.ndarray]:
    """The result of `function` for every instruction set and 1, 2 and 4 threads."""
    results = []
    try:
        for name in ISAS:
            kernels.set_isa(name)
            for threads in (1, 2, 4):
                kernels.set_threads(threads)
                results.append(function())
    finally:
        kernels.set_isa(best_isa())
        kernels.set_threads(0)
    return results


def on_each_kind(function) -> list[np.ndarray]:
    """The results in plain C++ and with fused multiply-adds; each the same bits for every number of threads."""
    results = on_every_machine(function)
    fused = [same_bits(results[3:])] if len(ISAS) > 1 else []
    return [same_bits(results[:3]), *fused]


def same_bits(results: list[np.ndarray]) -> np.ndarray:
    for other in results[1:]:
        assert other.tobytes() == results[0].tobytes()
    return results[0]
