"""The peak memory of a piece of work, also where such pieces contain one another."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 1 << 20

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_measured: list[PeakMemory] = []  # those under way, the outermost first


class PeakMemory:
    """The most memory that this process held (resident, mapped files included) while a piece of work ran."""

    def __init__(self) -> None:
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """The peak so far."""
        return max(self._bytes, _process_peak()) if self in _measured else self._bytes

    @property
    def mib(self) -> int:
        """The peak so far in MiB, rounded up."""
        return -(-self.bytes // MIB)

    def note(self, peak: int) -> None:
        """Take account of a peak of `peak` bytes."""
        self._bytes = max(self._bytes, peak)


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the peak memory of this process while the block runs.

    Linux counts from the beginning of the block (its high-water mark is set back; outer blocks remember theirs).
    Elsewhere, or where that is not allowed, it is the peak of the process since its start.
    """
    _note_peak()
    measured = PeakMemory()
    _measured.append(measured)
    try:
        yield measured
    finally:
        _note_peak()
        _measured.remove(measured)


def _note_peak() -> None:
    """Let every block under way know the mark, and set it back."""
    peak = _process_peak()
    for measured in _measured:
        measured.note(peak)
    with suppress(OSError):
        _RESET.write_text("5")  # man 5 proc: resets the peak resident set size


def _process_peak() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
