"""Numbering keys: equal to a dictionary, on every instruction set, in tables as full as can be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from every_machine import on_every_machine, same_bits
from hypothesis import given
from hypothesis import strategies as st

from nasrec.data import dictionary
from nasrec.data.dictionary import Dictionary
from nasrec.kernels import MISSING_KEY, intern_keys

KEYS = st.lists(st.sampled_from([0, 1, 2, 3, 2**32, 2**63, MISSING_KEY, MISSING_KEY - 1]) | st.integers(0, 2**64 - 1))


@given(first=KEYS, second=KEYS)
def test_equal_to_a_dictionary(first: list[int], second: list[int]) -> None:
    slots = 1 << (len(first) + len(second)).bit_length()

    def both(implementation: str = "kernel") -> tuple[np.ndarray, ...]:
        table = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
        ids, new = intern_keys(np.array(first, np.uint64), *table, 0, implementation=implementation)  # type: ignore[arg-type]
        more, later = intern_keys(np.array(second, np.uint64), *table, len(new), implementation=implementation)  # type: ignore[arg-type]
        return ids, new, more, later, np.sort(table[0]), np.sort(table[1])

    same_bits(on_every_machine(lambda: np.concatenate([part.astype(np.uint64) for part in both()])))
    got = both()
    for ours, expected in zip(got, both("reference"), strict=True):
        assert np.array_equal(ours, expected)
    known: dict[int, int] = {}
    for key, number in zip(first + second, [*got[0], *got[2]], strict=True):
        assert number == (0 if key == MISSING_KEY else known.setdefault(key, len(known) + 1))


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_a_table_may_be_full_to_the_last_slot_and_no_further(implementation: str) -> None:
    table = np.zeros(8, np.uint64), np.zeros(8, np.int32)
    ids, _ = intern_keys(np.arange(8, dtype=np.uint64), *table, 0, implementation=implementation)  # type: ignore[arg-type]
    assert ids.tolist() == list(range(1, 9))
    assert intern_keys(ids[:3].astype(np.uint64), *table, 8)[0].tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="all 8 slots are taken"):
        intern_keys(np.array([99], np.uint64), *table, 8, implementation=implementation)  # type: ignore[arg-type]


def test_bad_arguments_are_named() -> None:
    keys, ids = np.zeros(4, np.uint64), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match="slot_ids: 3 slots, expected a power of two"):
        intern_keys(keys, keys[:3].copy(), ids[:3].copy(), 0)
    with pytest.raises(ValueError, match="slot_keys: shape"):
        intern_keys(keys, keys[:2].copy(), ids, 0)
    with pytest.raises(ValueError, match="used: -1, expected"):
        intern_keys(keys, keys.copy(), ids, -1)
    with pytest.raises(TypeError, match="keys: dtype int64"):
        intern_keys(np.zeros(4, np.int64), keys, ids, 0)  # type: ignore[arg-type]


def test_a_dictionary_grows_and_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary, "CHUNK", 100)
    numbered = Dictionary()
    values = pl.Series([f"v{n * 7919 % 5000}" for n in range(20_000)])
    ids, fresh = numbered.numbers(values)
    assert fresh.to_list() == values.unique(maintain_order=True).to_list() and numbered.count == 5000
    assert np.array_equal(ids, values.cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy() + 1)
    again, none = numbered.numbers(pl.Series(["v1", None, "new"]))
    assert again.tolist() == [ids[values.to_list().index("v1")], 0, 5001] and none.to_list() == ["new"]


def test_numbers_of_hexadecimal_digits() -> None:
    numbered = Dictionary()
    values = pl.Series([5, None, 0, 5, 2**32 - 1], dtype=pl.UInt32)
    ids, fresh = numbered.numbers(values)
    assert ids.tolist() == [1, 0, 2, 1, 3] and fresh.to_list() == [5, 0, 2**32 - 1] and fresh.dtype == pl.UInt32
    empty, none = numbered.numbers(values.clear())
    assert empty.tolist() == [] and len(none) == 0
