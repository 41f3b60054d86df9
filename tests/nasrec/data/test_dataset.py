"""Batches: complete, in an order that the seed alone decides, resumable; bags against a loop."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.data import dataset
from nasrec.data.arrays import Arrays, bag_ids, bag_offsets, map_array, release
from nasrec.data.batch import Batch
from nasrec.data.dataset import Dataset
from nasrec.data.features import Features, Table
from nasrec.errors import InputError

ROWS = 103


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    folder = tmp_path_factory.mktemp("arrays")
    return make(folder, np.random.default_rng(0))


def make(folder: Path, rng: np.random.Generator) -> Arrays:
    lengths = rng.integers(1, 5, ROWS)
    stored = {
        "labels.npy": rng.integers(0, 2, ROWS).astype(np.uint8),
        "dense.npy": rng.random((ROWS, 2), np.float32),
        "ids.npy": np.stack([np.arange(ROWS), rng.integers(0, 5, ROWS)], axis=1).astype(np.int32),
        bag_ids(1): rng.integers(0, 7, lengths.sum()).astype(np.int32),
        bag_offsets(1): np.concatenate([[0], np.cumsum(lengths)]),
    }
    for name, array in stored.items():
        np.save(folder / name, array)
    features = Features(2, (Table("row", ROWS), Table("bag", 7, 2.5, True), Table("small", 5)))
    return Arrays(folder, features, {name: (str(a.dtype), a.shape) for name, a in stored.items()})


def rows_in(batch: Batch) -> list[int]:
    assert batch.offsets is not None
    return batch.ids[: batch.offsets[len(batch)]].tolist()  # table 0 holds the row number


@given(size=st.integers(1, 120), seed=st.none() | st.integers(0, 2**32), start=st.integers(0, 10), drop=st.booleans())
def test_batches_cover_every_row_once_and_resume(
    arrays: Arrays, size: int, seed: int | None, start: int, drop: bool
) -> None:
    data = Dataset(arrays, np.arange(ROWS)[::-1])
    batches = [rows_in(batch) for batch in data.batches(size, seed=seed, drop_last=drop)]
    assert all(len(batch) == size for batch in batches[: len(batches) if drop else -1])
    seen = [row for batch in batches for row in batch]
    assert len(seen) == len(set(seen)) == (ROWS // size * size if drop else ROWS)
    if seed is None:
        assert seen == list(range(ROWS - 1, ROWS - 1 - len(seen), -1))
    assert [rows_in(batch) for batch in data.batches(size, seed=seed, start=start, drop_last=drop)] == batches[start:]


def test_the_seed_decides_the_order(arrays: Arrays) -> None:
    data = Dataset(arrays, np.arange(ROWS))
    first, again, other = (rows_in(next(data.batches(ROWS, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other


@given(chosen=st.lists(st.integers(0, ROWS - 1), max_size=20))
def test_table_major_bags_against_a_loop(arrays: Arrays, chosen: list[int]) -> None:
    batch = arrays.batch(np.array(chosen, np.int64))
    ids, offsets = arrays._bags[1]
    expected: list[list[int]] = [arrays._ids[[row], 0].tolist() for row in chosen]
    expected += [ids[offsets[row] : offsets[row + 1]].tolist() for row in chosen]
    expected += [arrays._ids[[row], 1].tolist() for row in chosen]
    assert batch.offsets is not None and len(batch.offsets) == 3 * len(chosen) + 1
    found = [batch.ids[a:b].tolist() for a, b in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)]
    assert found == expected
    assert batch.dense.shape == (len(chosen), 2) and batch.labels.dtype == np.float32 and batch.ids.dtype == np.int64


def test_head_and_labels(arrays: Arrays) -> None:
    data = Dataset(arrays, np.arange(10, 20))
    assert len(data.head(3)) == 3 and len(data.head(30)) == 10
    assert np.array_equal(data.head(3).labels, arrays.labels[10:13])
    assert data.planted is None and data.optimum() is None
    assert np.array_equal(data.batch(np.array([2, 0])).labels, arrays.labels[[12, 10]])


def test_without_head_holds_every_other_row(arrays: Arrays, large: Dataset) -> None:
    for data in (Dataset(arrays, np.arange(20, 10, -1)), large):
        for count in (0, 3, len(data), len(data) + 1):
            head, rest = data.head(count)._rows.tolist(), data.without_head(count)._rows.tolist()
            assert sorted(head + rest) == sorted(data._rows.tolist()) and not set(head) & set(rest)
            assert rest == [row for row in data._rows.tolist() if row in set(rest)]


def test_an_id_beyond_a_multi_hot_table(tmp_path: Path) -> None:
    arrays = make(tmp_path, np.random.default_rng(1))
    ids, offsets = np.load(tmp_path / bag_ids(1)), np.load(tmp_path / bag_offsets(1))
    ids[offsets[51] - 1] = 7
    np.save(tmp_path / bag_ids(1), ids)
    arrays = Arrays(tmp_path, arrays._features, {p.name: _shape(p) for p in tmp_path.glob("*.npy")})
    with pytest.raises(InputError, match=r"bag-1-ids.npy, row 50, table 'bag': id 7, expected 0 to 6"):
        arrays.batch(np.array([3, 50, 4]))


def _shape(path: Path) -> tuple[str, tuple[int, ...]]:
    array = np.load(path)
    return str(array.dtype), array.shape


@pytest.fixture
def large(arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The same rows as if they were too many to be shuffled wholly: blocks of 8 rows, 3 at a time."""
    monkeypatch.setattr(dataset, "SHUFFLED_ROWS", ROWS - 1)
    monkeypatch.setattr(dataset, "BLOCK_ROWS", 8)
    monkeypatch.setattr(dataset, "GROUP_BLOCKS", 3)
    return Dataset(arrays, np.arange(1, ROWS))


@pytest.mark.parametrize("size", [1, 7, 24, 25, 102, 200])
@pytest.mark.parametrize("drop", [False, True])
def test_shuffled_by_blocks_every_row_comes_once_and_a_resume_goes_on(large: Dataset, size: int, drop: bool) -> None:
    batches = [rows_in(batch) for batch in large.batches(size, seed=5, drop_last=drop)]
    seen = [row for batch in batches for row in batch]
    assert len(seen) == len(set(seen)) == ((ROWS - 1) // size * size if drop else ROWS - 1)
    assert all(len(batch) == size for batch in batches[: len(batches) if drop else -1])
    for start in (1, 3, len(batches)):
        assert [rows_in(batch) for batch in large.batches(size, seed=5, start=start, drop_last=drop)] == batches[start:]
    assert [rows_in(batch) for batch in large.batches(size, seed=6, drop_last=drop)] != batches or not seen


def test_a_group_holds_whole_blocks_in_random_order(large: Dataset) -> None:
    seen = np.array([row for batch in large.batches(8, seed=5) for row in rows_in(batch)])
    group = seen[:24] - 1
    assert sorted(np.bincount(group // 8)[np.unique(group // 8)]) in ([8, 8, 8], [6, 8, 8])
    assert (np.diff(group) < 0).any() and len(set((seen[:8] - 1) // 8)) > 1


def test_a_sample_of_a_large_log_is_spread_over_it(large: Dataset) -> None:
    few, more = large.head(10)._rows, large.head(50)._rows
    assert np.array_equal(few, more[:10]) and len(set(more.tolist())) == 50
    assert np.diff(np.sort(few)).max() <= 20 and len(large.head(1000)) == ROWS - 1


def mapped_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))


@pytest.mark.skipif(sys.platform != "linux", reason="left out: reads /proc, which only Linux has")
def test_pages_of_a_mapped_array_can_be_released(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(1 << 22, dtype=np.int32))
    array = map_array(tmp_path, "ids.npy", {"ids.npy": ("int32", (1 << 22,))})
    assert array.max() == (1 << 22) - 1
    before = mapped_kib()
    release(array)
    assert before - mapped_kib() > 15 << 10
    assert array[-1] == (1 << 22) - 1
    release(np.zeros(3))  # not mapped: nothing to do


def test_rows_are_the_same_after_a_release(arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Dataset(arrays, np.arange(ROWS))
    expected = [batch.ids for batch in rows.batches(10, seed=None)]
    monkeypatch.setattr(dataset, "SHUFFLED_ROWS", 50)
    monkeypatch.setattr(dataset, "GROUP_ROWS", 15)
    found = [batch.ids for batch in rows.batches(10, seed=None)]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("shuffled_rows", [50, 1000])
@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_put_together_are_the_batch(
    arrays: Arrays, monkeypatch: pytest.MonkeyPatch, shuffled_rows: int, seed: int | None, drop_last: bool
) -> None:
    monkeypatch.setattr(dataset, "SHUFFLED_ROWS", shuffled_rows)
    monkeypatch.setattr(dataset, "BLOCK_ROWS", 8)
    monkeypatch.setattr(dataset, "GROUP_BLOCKS", 3)
    rows = Dataset(arrays, np.arange(ROWS)[::-1].copy())
    whole = list(rows.batches(10, seed=seed, start=2, drop_last=drop_last))
    shares = [rows.batches(10, seed=seed, start=2, drop_last=drop_last, share=(k, 3)) for k in range(3)]
    parts = list(zip(*shares, strict=True))
    assert len(parts) == len(whole)
    for batch, cut in zip(whole, parts, strict=True):
        assert np.array_equal(np.concatenate([part.dense for part in cut]), batch.dense)
        assert np.array_equal(np.concatenate([part.labels for part in cut]), batch.labels)
