"""How much memory a piece of work took at most."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")

_open: list[PeakMemory] = []


class PeakMemory:
    """The most memory (bytes, resident) that this process held since the measurement began, or while it lasted.

    Pages of mapped files count, though the system takes them back when it needs room. Where the system cannot begin
    anew (it is not Linux), the peak is that of the whole process so far.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._seen = 0
        self._over = False

    @property
    def bytes(self) -> int:
        """The peak in bytes."""
        return self._seen if self._over else max(self._seen, _high_water())

    def _note(self, size: int) -> None:
        self._seen = max(self._seen, size)


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the block's peak of memory; blocks may lie in each other."""
    before = _high_water()
    for outer in _open:
        outer._note(before)
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # the high-water mark falls to what is resident now
    measured = PeakMemory()
    _open.append(measured)
    try:
        yield measured
    finally:
        _open.remove(measured)
        peak = _high_water()
        for one in (measured, *_open):
            one._note(peak)
        measured._over = True


def as_text(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _high_water() -> int:
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
