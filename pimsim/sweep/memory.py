"""What a process that sweeps asks of the C library's allocator."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc, malloc.h


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed arrays for the next ones, up to 1 GiB (glibc; elsewhere nothing).

    Otherwise each array of a block is mapped and unmapped by the kernel, which took more than half of a sweep's time.
    For a process of its own: it holds for all that runs in it.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, 1 << 30), (_TOP_PAD, 1 << 26)):
            mallopt(parameter, value)
