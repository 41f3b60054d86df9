"""Preparing data: whole or not at all, reproducible, and equal to what the source says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nasrec.data.encoder import EncodingOptions
from nasrec.data.planted import PLANTED
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.data.split import split_rows
from nasrec.data.synthetic import BLOCK_ROWS, FRAME_BLOCKS, SyntheticLog, write_criteo
from nasrec.errors import InputError

ROWS = 5_000


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SyntheticLog(ROWS, seed=1), tmp_path_factory.mktemp("data") / "prepared", seed=7)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.concat(SyntheticLog(ROWS, seed=1).frames())


def test_splits_share_out_all_rows(prepared: Prepared) -> None:
    parts = [prepared.split(name)._rows for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [4000, 500, 500] == list(prepared.split_rows.values())
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(ROWS))
    assert abs(float(np.mean(parts[2])) - ROWS / 2) < 5 * ROWS / np.sqrt(12 * 500)  # from all over the log


@pytest.mark.parametrize(
    ("rows", "shares", "sizes"),
    [(10, (8, 1, 1), (8, 1, 1)), (9, (8, 1, 1), (7, 1, 1)), (7, (0, 0, 1), (0, 0, 7)), (3, (1, 1, 0), (1, 2, 0))],
)
def test_split_sizes(rows: int, shares: tuple[int, int, int], sizes: tuple[int, int, int]) -> None:
    assert tuple(len(part) for part in split_rows(rows, 0, shares).values()) == sizes


@pytest.mark.parametrize(("rows", "shares"), [(1, (8, 1, 1)), (2, (8, 1, 1)), (5, (0, 0, 0)), (5, (-1, 1, 1))])
def test_impossible_splits(rows: int, shares: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="split"):
        split_rows(rows, 0, shares)


def test_arrays_hold_what_the_source_says(prepared: Prepared, rows: pl.DataFrame) -> None:
    batch = prepared.split("all").batch(slice(0, ROWS))
    assert np.array_equal(batch.labels, rows["label"].to_numpy())
    assert np.allclose(batch.dense[:, 4], np.log1p(rows["I5"].fill_null(0).to_numpy()), rtol=1e-6)
    for column, name in ((0, "C1"), (2, "C3"), (25, "C26")):
        values = ["", "", *prepared.encoder.fields[column].values]  # type: ignore[union-attr]
        decoded = [values[number] for number in batch.ids[:, column]]
        for found, number, code in zip(decoded, batch.ids[:, column], rows[name], strict=True):
            true = None if code is None else f"{code:08x}"
            assert (number == 0) == (true is None) and (number < 2 or found == true)


def test_vocabulary_comes_from_the_training_rows(prepared: Prepared, rows: pl.DataFrame) -> None:
    train = rows[prepared.split("train")._rows.tolist()]["C20"].drop_nulls()
    counts = train.value_counts().filter(pl.col("count") >= 2)
    assert set(prepared.encoder.fields[19].values) == {f"{code:08x}" for code in counts["C20"]}  # type: ignore[union-attr]


def test_optimum_is_the_loss_of_the_planted_probabilities(prepared: Prepared, rows: pl.DataFrame) -> None:
    test = rows[prepared.split("test")._rows.tolist()]
    chance = test[PLANTED].to_numpy()
    right = np.where(test["label"].to_numpy() == 1, chance, 1 - chance)
    assert prepared.optimum("test") == pytest.approx(float(-np.log(right).mean()), rel=1e-12)
    head = prepared.split("test").head(100)
    assert head.optimum() == pytest.approx(float(-np.log(right[:100]).mean()), rel=1e-12)


def test_access_counts_are_those_of_the_training_rows(prepared: Prepared) -> None:
    train = prepared.split("train")
    ids = train.batch(slice(None)).ids
    for table, counts in enumerate(prepared.access_counts()):
        assert np.array_equal(counts, np.bincount(ids[:, table], minlength=prepared.features.tables[table].rows))
    assert prepared.access[0]["lookups"] == 4000 and 0 < prepared.access[0]["top_10_percent"] <= 1


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


def test_the_same_seed_gives_the_same_arrays(tmp_path: Path, prepared: Prepared) -> None:
    again = prepare(SyntheticLog(ROWS, seed=1), tmp_path / "again", seed=7)
    assert files_of(again.folder) == files_of(prepared.folder)
    other = prepare(SyntheticLog(ROWS, seed=1), tmp_path / "other", seed=8)
    assert files_of(other.folder)["train.npy"] != files_of(prepared.folder)["train.npy"]


def test_progress_counts_every_pass_over_several_frames(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    rows = FRAME_BLOCKS * BLOCK_ROWS + 10
    prepare(SyntheticLog(rows), tmp_path / "p", seed=0, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == [rows - 10, rows, 2 * rows - 10, 2 * rows, 3 * rows - 10, 3 * rows]
    assert {total for _, total in calls} == {3 * rows}


def test_another_log_with_the_encoder_of_the_first(tmp_path: Path, prepared: Prepared) -> None:
    write_criteo(tmp_path / "other.txt", 300, seed=1, start=100_000)
    source = open_source(f"criteo:{tmp_path / 'other.txt'}")
    other = prepare(source, tmp_path / "o", seed=0, encoder=prepared.encoder)
    assert other.features == prepared.features and other.optimum("test") is None
    assert len(other.split("test")) == len(other.split("all")) == 300 and len(other.split("train")) == 0
    assert (other.split("all").batch(slice(None)).ids == 1).any()  # values that training has never seen


def test_one_row_can_be_encoded_with_the_encoder_of_another_log(tmp_path: Path, prepared: Prepared) -> None:
    one = prepare(SyntheticLog(1, 1, ROWS), tmp_path / "one", seed=0, encoder=prepared.encoder)
    assert one.rows == 1 and one.optimum("test") == one.optimum("all") and one.optimum("train") is None


def test_prepared_data_as_a_source(tmp_path: Path, prepared: Prepared) -> None:
    source = open_source(f"prepared:{prepared.folder}")
    same = prepare(source, tmp_path / "unused", seed=99)
    assert same == prepared and not (tmp_path / "unused").exists()
    assert prepare(source, tmp_path / "unused", seed=7, encoder=prepared.encoder) == prepared
    with pytest.raises(InputError, match="vocabulary, min_count 2, max_rows 500000, not hash, max_rows 50; prep"):
        prepare(source, tmp_path / "h", seed=7, options=EncodingOptions("hash", max_rows=50))
    other = prepare(SyntheticLog(500, seed=1), tmp_path / "other", seed=7)
    with pytest.raises(InputError, match="encoded with another vocabulary; give the log"):
        prepare(source, tmp_path / "h", seed=7, encoder=other.encoder)


def test_bags(tmp_path: Path) -> None:
    tags = ["a|b", "", "b", "b|a|a", "a|b", "b", "a", "b|b", "a", "a|b"]
    lines = [f"{number % 2},{tag},u{number % 3}\n" for number, tag in enumerate(tags)]
    (tmp_path / "log.csv").write_text("y,tags,user\n" + "".join(lines))
    schema = 'files = ["log.csv"]\n[columns]\ny = "label"\ntags = "bag"\nuser = "category"\n'
    (tmp_path / "schema.toml").write_text(schema)
    source = open_source(f"table:{tmp_path / 'schema.toml'}")
    data = prepare(source, tmp_path / "p", seed=0, options=EncodingOptions(min_count=1))
    assert [table.multi_hot for table in data.features.tables] == [True, False]
    batch = data.split("all").batch(np.array([3, 1, 0]))
    assert batch.offsets is not None and batch.offsets.tolist() == [0, 3, 4, 6, 7, 8, 9]
    names = ["", "?", *data.encoder.fields[0].values]  # type: ignore[union-attr]
    assert [names[number] for number in batch.ids[:6]] == ["b", "a", "a", "", "a", "b"]
    train = data.split("train").batch(slice(None))
    counts = data.access_counts()
    assert np.array_equal(counts[0], np.bincount(train.ids[: train.offsets[8]], minlength=4))  # type: ignore[index]
    assert data.features.tables[0].lookups == counts[0].sum() / 8


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bad_row_leaves_nothing_behind(tmp_path: Path) -> None:
    write_criteo(tmp_path / "train.txt", 50)
    text = (tmp_path / "train.txt").read_text()
    (tmp_path / "train.txt").write_text(text + "2" + text.splitlines()[0][1:] + "\n")
    with pytest.raises(InputError, match="line 51, field 'label': value '2'"):
        prepare(open_source(f"criteo:{tmp_path / 'train.txt'}"), tmp_path / "out", seed=0)
    assert left_in(tmp_path) == ["train.txt"]


def test_too_few_rows_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 rows are too few"):
        prepare(SyntheticLog(1), tmp_path / "out", seed=0)
    assert left_in(tmp_path) == []


def test_an_output_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="already there and not empty"):
        prepare(SyntheticLog(50), tmp_path, seed=0)
    with pytest.raises(InputError, match="already there"):
        prepare(SyntheticLog(50), tmp_path / "mine.txt", seed=0)
    assert left_in(tmp_path) == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert prepare(SyntheticLog(50), tmp_path / "empty", seed=0).rows == 50


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from nasrec.data.prepare import prepare; "
        "from nasrec.data.synthetic import SyntheticLog; "
        "prepare(SyntheticLog(100), Path(sys.argv[1]), seed=0, progress=lambda done, total: os.kill(os.getpid(), 9))"
    )
    run = subprocess.run([sys.executable, "-c", killed, str(tmp_path / "out")])
    assert run.returncode == -9 and len(left_in(tmp_path)) == 1 and not (tmp_path / "out").exists()
    prepare(SyntheticLog(100), tmp_path / "out", seed=0)
    assert left_in(tmp_path) == ["out"]


@pytest.mark.parametrize("limit", [1_000, 100_000, 220_000])
def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    # A limit on the size of one file stands in for a full disk: the same failing write(2), with another number.
    full = (
        "import resource, sys; from pathlib import Path; from nasrec.data.prepare import prepare\n"
        "from nasrec.data.synthetic import SyntheticLog\n"
        "limit = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "try: prepare(SyntheticLog(3000), Path(sys.argv[1]), seed=0)\n"
        "except OSError as error: sys.exit(3)\n"
    )
    run = subprocess.run([sys.executable, "-c", full, str(tmp_path / "out"), str(limit)], capture_output=True)
    assert run.returncode == 3, run.stderr.decode()
    assert left_in(tmp_path) == []
