"""The process that measures: its allocator, its libraries' threads, its instruction set, and what it says about itself.

`prepare` has to run before NumPy and torch are loaded: conftest.py calls it first.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

VERSIONED = ("numpy", "torch", "fbgemm-gpu-cpu", "numba", "scipy", "pytest-benchmark")
BUILD = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
# mallopt's parameters, from malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
# What makes torch's own code do with AVX2; FBGEMM's generated code heeds none of them.
PEERS_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def prepare(isa: str | None) -> None:
    """Keep freed memory, NumPy's BLAS to one thread, numba's code serial, and the peers to `isa` too."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    # Compiled code for one instruction set is not told apart from that for another: mixed, it crashes.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(BUILD / f"torch-{isa or 'best'}"))
    if isa in ("avx2", "portable"):
        for name, value in PEERS_AVX2.items():
            os.environ.setdefault(name, value)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Have glibc hand out large blocks from its heap and never give them back; False on another C library.

    By default blocks above 32 MB are mapped anew on each call: page faults then cost more than the kernel or its peer
    does. The same as MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 MALLOC_TOP_PAD_=268435456 in the environment.
    """
    library = ctypes.CDLL(ctypes.util.find_library("c"))
    mallopt = getattr(library, "mallopt", None)
    return mallopt is not None and all(
        [mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, -1), mallopt(TOP_PAD, 256 << 20)]
    )


def machine() -> dict[str, Any]:
    """Model, cores that this process may use, cache and memory."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = fields.get("model name", platform.processor())
    if "cpu family" in fields:
        model += f" (family {fields['cpu family']}, model {fields['model']})"
    cache = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    return {
        "model": model,
        "architecture": platform.machine(),
        "cores": cores(),
        "last_level_cache": cache.read_text(encoding="utf-8").strip() if cache.exists() else "unknown",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def versions() -> dict[str, str]:
    """Of Python and of what the figures depend on; "absent" where not installed."""
    return {"python": platform.python_version(), **versions_of(*VERSIONED)}


def versions_of(*names: str) -> dict[str, str]:
    """Of these packages; "absent" where not installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found
