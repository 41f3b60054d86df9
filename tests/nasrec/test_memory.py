"""Peak memory belongs to the block that needed it, and to those around."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest

from nasrec import memory
from nasrec.memory import MIB, peak_memory


def hold(size: int) -> None:
    """Take memory from the system and write to it; `malloc` might have as much left over from other tests."""
    with mmap.mmap(-1, size) as taken:
        np.frombuffer(taken, np.uint8)[:] = 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the high-water mark back")
def test_a_block_counts_its_own_peak_and_that_of_blocks_inside() -> None:
    with peak_memory() as outer:
        with peak_memory() as large:
            hold(150 * MIB)
        with peak_memory() as small:
            hold(1 * MIB)
        with peak_memory() as medium:
            hold(70 * MIB)
    assert 60 * MIB < medium.bytes - small.bytes < 90 * MIB
    assert 140 * MIB < large.bytes - small.bytes < 170 * MIB
    assert outer.bytes >= large.bytes
    assert outer.mib - 1 < outer.bytes / MIB <= outer.mib


def test_without_proc_it_is_the_peak_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_RESET", tmp_path / "none" / "none")
    with peak_memory() as peak:
        np.ones(1 * MIB, np.uint8)
        assert peak.bytes > 10 * MIB
    assert peak.bytes > 10 * MIB
