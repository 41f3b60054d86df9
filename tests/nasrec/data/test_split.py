"""Splits: sizes, proportions, order, and NASRec's own folds worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from frame_log import FrameLog
from hypothesis import given
from hypothesis import strategies as st

from nasrec.data import split
from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.schema import Column, Schema
from nasrec.data.split import SplitMethod, rows_of, split_by_time, split_rows, split_stratified
from nasrec.errors import InputError

OFFICIAL = (8, 1, 1)


@given(rows=st.integers(300, 3000), rate=st.floats(0.1, 0.9), seed=st.integers(0, 2**31))
def test_folds_differ_by_a_row_and_so_do_their_positives(rows: int, rate: float, seed: int) -> None:
    labels = (np.random.default_rng(seed).random(rows) < rate).astype(np.uint8)
    splits = split_stratified(labels, seed, OFFICIAL)
    for place, share in enumerate(OFFICIAL):
        for chosen, whole in ((splits == place, rows), ((splits == place) & (labels == 1), int(labels.sum()))):
            assert abs(int(chosen.sum()) - whole * share / 10) <= share
    assert np.array_equal(splits, split_stratified(labels, seed, OFFICIAL))


def test_the_first_row_decides_which_label_is_dealt_first() -> None:
    """Six rows in three folds, by hand: the class of the first row is dealt first, from what the seed draws."""
    labels = np.array([1, 0, 1, 0, 0, 1], np.uint8)
    rng = np.random.RandomState(2018)
    ones, zeros = np.array([0, 1, 2]), np.array([0, 1, 2])
    rng.shuffle(ones)
    rng.shuffle(zeros)
    expected = np.empty(6, int)
    expected[labels == 1], expected[labels == 0] = ones, zeros
    assert split_stratified(labels, 2018, (1, 1, 1)).tolist() == expected.tolist()


def test_the_sizes_of_the_published_splits() -> None:
    """45,840,617 rows of Criteo, 36,672,495 of them for training (NASRec's data), at a thousandth of the size."""
    labels = np.zeros(45_841, np.uint8)
    labels[: 11_745] = 1
    assert np.bincount(split_stratified(labels, 2018, OFFICIAL)).tolist() == [36_673, 4_584, 4_584]


def test_too_few_of_a_label() -> None:
    labels = np.zeros(100, np.uint8)
    labels[:9] = 1
    with pytest.raises(InputError, match="stratified split into 10 folds: a label has fewer rows"):
        split_stratified(labels, 0, OFFICIAL)
    labels[9] = 1
    assert sorted(np.bincount(split_stratified(labels, 0, OFFICIAL))) == [10, 10, 80]
    assert np.bincount(split_stratified(np.zeros(20, np.uint8), 0, OFFICIAL)).tolist() == [16, 2, 2]


def test_by_time() -> None:
    assert split_by_time(None, 10, OFFICIAL).tolist() == [0] * 8 + [1, 2]
    times = np.array([5.0, 1, 2, 3, 4, 9, 8, 7, 6, 0])
    assert split_by_time(times, 10, OFFICIAL).tolist() == [0, 0, 0, 0, 0, 2, 1, 0, 0, 0]
    # Three rows of time 7 stay together: the cut moves before them.
    assert split_by_time(np.array([1.0, 7, 7, 7, 9]), 5, (3, 1, 1)).tolist() == [0, 1, 1, 1, 2]
    with pytest.raises(InputError, match="none of 4 rows is left for train"):
        split_by_time(np.ones(4), 4, (2, 1, 1))


@pytest.mark.parametrize("rows", [50, 51])
def test_large_logs_keep_their_order(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(split, "SHUFFLED_ROWS", 50)
    parts = split_rows(rows, 3, OFFICIAL)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(rows))
    assert [len(part) for part in parts.values()] == [rows * 8 // 10, 5, rows - rows * 8 // 10 - 5]
    assert (np.diff(parts["train"]) > 0).all() == (rows > 50)
    given = rows_of(np.arange(rows, dtype=np.uint8) % 3, 0)
    assert (np.diff(given["train"]) > 0).all() == (rows > 50) and set(given["test"] % 3) == {2}


SCHEMA = Schema((Column("y", "label"), Column("u", "category"), Column("t", "time"), Column("part", "split")))


def log(rows: int = 40) -> FrameLog:
    numbers = np.arange(rows)
    frame = pl.DataFrame(
        {
            "y": pl.Series(numbers % 2, dtype=pl.UInt8),
            "u": pl.Series(numbers % 5).cast(pl.String),
            "t": (numbers * 7 % rows).astype(np.float64),
            "part": pl.Series(numbers % 4 % 3, dtype=pl.UInt8),
        }
    )
    return FrameLog([frame], SCHEMA)


@pytest.mark.parametrize("method", ["random", "stratified", "time", "own"])
def test_prepared_with_each(tmp_path: Path, method: SplitMethod) -> None:
    data = prepare(log(), tmp_path / "p", seed=1, split=method, options=EncodingOptions(min_count=1))
    assert [table.name for table in data.features.tables] == ["u"]  # neither time nor split is an input
    rows = {name: np.sort(data.split(name)._rows) for name in ("train", "validation", "test")}
    if method == "own":
        assert all((rows[name] % 4 % 3 == place).all() for place, name in enumerate(rows))
    else:
        assert [len(part) for part in rows.values()] == [32, 4, 4]
    if method == "time":
        assert (rows["test"] * 7 % 40).min() > (rows["validation"] * 7 % 40).max() > (rows["train"] * 7 % 40).max()
    if method == "stratified":
        assert data.split("test").labels.sum() == 2
    assert sorted(path.name for path in data.folder.iterdir() if path.suffix == ".npy") == [
        "access.npy", "dense.npy", "ids.npy", "labels.npy", "test.npy", "train.npy", "validation.npy",
    ]  # fmt: skip


def test_an_own_split_needs_its_column_and_rows_for_training(tmp_path: Path) -> None:
    bare = FrameLog([frame.drop("part") for frame in log().log], Schema(SCHEMA.columns[:3]))
    with pytest.raises(InputError, match="split 'own' needs a column of kind 'split'"):
        prepare(bare, tmp_path / "p", seed=0, split="own")
    held_back = FrameLog([frame.with_columns(part=pl.lit(2, pl.UInt8)) for frame in log().log], SCHEMA)
    with pytest.raises(InputError, match=f"^{held_back.spec}: split 'own': no row is for train$"):
        prepare(held_back, tmp_path / "p", seed=0, split="own")
    assert list(tmp_path.iterdir()) == []
    trained = prepare(log(), tmp_path / "p", seed=0, split="own", options=EncodingOptions(min_count=1))
    to_score = prepare(held_back, tmp_path / "q", seed=0, split="own", encoder=trained.encoder)
    assert list(to_score.split_rows.values()) == [0, 0, 40] and to_score.rows == 40, "all rows are scored"
