"""The synthetic log: independent of how it is cut, calibrated, and readable as raw Criteo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nasrec.data.planted import PLANTED, SIZES
from nasrec.data.source import open_source
from nasrec.data.synthetic import BLOCK_ROWS, FRAME_BLOCKS, SyntheticLog, _spellings, write_criteo
from nasrec.errors import InputError


def rows_of(log: SyntheticLog) -> pl.DataFrame:
    return pl.concat(log.frames())


@pytest.fixture(scope="module")
def long_log() -> pl.DataFrame:
    return rows_of(SyntheticLog(3 * BLOCK_ROWS, seed=1))


@settings(deadline=None, max_examples=8)
@given(start=st.integers(0, 2 * BLOCK_ROWS), rows=st.integers(1, BLOCK_ROWS))
def test_a_row_depends_on_its_number_alone(long_log: pl.DataFrame, start: int, rows: int) -> None:
    assert_frame_equal(rows_of(SyntheticLog(rows, 1, start)), long_log.slice(start, rows))


@pytest.mark.parametrize("start", [0, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS - 1])
def test_both_sides_of_a_block_boundary(long_log: pl.DataFrame, start: int) -> None:
    assert_frame_equal(rows_of(SyntheticLog(2, 1, start)), long_log.slice(start, 2))


def test_frames_are_bounded_and_complete() -> None:
    heights = [frame.height for frame in SyntheticLog(FRAME_BLOCKS * BLOCK_ROWS + 5).frames()]
    assert heights == [FRAME_BLOCKS * BLOCK_ROWS, 5]


def test_labels_follow_the_planted_probability(long_log: pl.DataFrame) -> None:
    chance, label = long_log[PLANTED].to_numpy(), long_log["label"].to_numpy()
    for low, high in [(0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)]:
        chosen = (chance >= low) & (chance < high)
        spread = np.sqrt(np.sum(chance[chosen] * (1 - chance[chosen])))
        assert abs(label[chosen].sum() - chance[chosen].sum()) < 4 * spread


def test_another_seed_is_another_log(long_log: pl.DataFrame) -> None:
    other = rows_of(SyntheticLog(1000, 2))
    assert not other["label"].equals(long_log["label"].head(1000))


@pytest.mark.parametrize("field", [0, 2, 25])
def test_values_of_a_field_are_spelled_apart(field: int) -> None:
    names = _spellings(field)
    assert len(names) == SIZES[field] == names.n_unique()
    assert names.null_count() == (1 if field % 3 == 2 else 0)
    assert names.dtype == pl.UInt32


def test_written_as_raw_criteo_it_reads_back(tmp_path: Path) -> None:
    write_criteo(tmp_path / "train.txt", 2_000, seed=3, start=100)
    read = pl.concat(open_source(f"criteo:{tmp_path / 'train.txt'}").frames())
    assert_frame_equal(read, rows_of(SyntheticLog(2_000, 3, 100)).drop(PLANTED))
    line = (tmp_path / "train.txt").read_text().splitlines()[0].split("\t")
    assert len(line) == 40 and line[0] in "01" and "." not in "".join(line)


@pytest.mark.parametrize(
    ("spec", "rows", "seed", "start"),
    [("synthetic", 500_000, 0, 0), ("synthetic:rows=7", 7, 0, 0), ("synthetic:seed=2,rows=9,start=4", 9, 2, 4)],
)
def test_spec_round_trips(spec: str, rows: int, seed: int, start: int) -> None:
    log = open_source(spec)
    assert log == SyntheticLog(rows, seed, start)
    assert open_source(log.spec) == log
    assert log.rows == rows and log.planted


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("synthetic:rows=0", "rows=0"),
        ("synthetic:rows=-1", "'-1'"),
        ("synthetic:rows=1e6", "'1e6'"),
        ("synthetic:rows", "rows=''"),
        ("synthetic:columns=3", "unknown option 'columns'"),
        ("csv:x", "unknown kind 'csv', allowed are synthetic"),
        ("criteo", "nothing after 'criteo'"),
        ("criteo:", "nothing after 'criteo'"),
    ],
)
def test_a_bad_spec_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_source(spec)
