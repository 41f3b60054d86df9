"""Peaks of memory: of the block alone, also where blocks lie in each other, and as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasrec import memory
from nasrec.memory import as_text, peak_memory

MIB = 1 << 20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be measured anew here")
def test_a_block_counts_what_it_held() -> None:
    with peak_memory() as outer:
        with peak_memory() as first:
            np.ones(200 * MIB, np.uint8)
        with peak_memory() as second:
            np.ones(50 * MIB, np.uint8)
    assert second.bytes + 100 * MIB < first.bytes < second.bytes + 200 * MIB
    assert outer.bytes == first.bytes
    before = first.bytes
    np.ones(400 * MIB, np.uint8)
    assert first.bytes == before, "what came after the block does not count"


def test_elsewhere_it_is_the_peak_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "absent")
    monkeypatch.setattr(memory, "_RESET", tmp_path / "nowhere" / "absent")
    with peak_memory() as peak:
        pass
    assert peak.bytes > 10 * MIB


def test_as_text() -> None:
    assert [as_text(size) for size in (3 * MIB, 1023 * MIB, 1 << 30, 5 * (1 << 29))] == [
        "3 MiB", "1023 MiB", "1.00 GiB", "2.50 GiB"]  # fmt: skip
