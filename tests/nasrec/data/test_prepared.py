"""Opening prepared data that are not whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec.data import dataset
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.data.synthetic import SyntheticLog
from nasrec.errors import InputError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(SyntheticLog(200), tmp_path_factory.mktemp("data") / "prepared", seed=0).folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def change(folder: Path, **keys: Any) -> None:
    path = folder / "prepared.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_it_round_trips(whole: Path) -> None:
    opened = Prepared.open(whole)
    assert Prepared.from_json(json.loads(json.dumps(opened.to_json())), "here", whole) == opened
    assert opened.source == "synthetic:rows=200,seed=0" and opened.rows == 200


def test_the_digest_is_that_of_labels_and_splits(whole: Path) -> None:
    """What docs/formats.md says to reproduce it with, in a shell."""
    files = ("labels.npy", "train.npy", "validation.npy", "test.npy", "access.npy")
    summed = subprocess.run(f"cat {' '.join(files)} | sha256sum", shell=True, cwd=whole, capture_output=True, text=True)
    assert Prepared.open(whole).digest == summed.stdout.split()[0]
    assert json.loads((whole / "prepared.json").read_text())["digest"] == summed.stdout.split()[0]


@pytest.mark.parametrize("name", ["labels", "train", "validation", "test"])
def test_a_folder_of_an_older_release_opens(copy: Path, name: str) -> None:
    """It notes neither its digest, which is then read from the arrays, nor how it was split."""
    expected = Prepared.open(copy).digest
    path = copy / "prepared.json"
    data = json.loads(path.read_text())
    assert data.pop("split_method") == "random" and data.pop("digest") == expected
    path.write_text(json.dumps(data))
    old = Prepared.open(copy)
    assert old.split_method is None and old.digest == expected and old.to_json() == {
        key: value for key, value in data.items() if key not in ("format", "version")
    }
    array = np.load(copy / f"{name}.npy")
    array[[3, 4]] = (1 - array[[3, 4]]) if name == "labels" else array[[4, 3]]
    np.save(copy / f"{name}.npy", array)
    assert Prepared.open(copy).digest != expected


def test_two_splits_together(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other where the log is short; in its order where it is long."""
    data = Prepared.open(whole)
    train, validation = data.split("train"), data.split("validation")
    both = train.with_rows_of(validation)
    assert len(both) == len(train) + len(validation)
    np.testing.assert_array_equal(both.labels, np.concatenate([train.labels, validation.labels]))
    monkeypatch.setattr(dataset, "SHUFFLED_ROWS", 10)
    ids = data.split("all").batch(slice(None)).ids
    numbers = np.sort(np.concatenate([np.load(whole / f"{name}.npy") for name in ("train", "validation")]))
    np.testing.assert_array_equal(train.with_rows_of(validation).batch(slice(None)).ids, ids[numbers])
    with pytest.raises(ValueError, match="different logs"):
        train.with_rows_of(Prepared.open(whole).split("test"))


def test_a_folder_without_prepared_json_is_not_prepared_data(copy: Path) -> None:
    (copy / "prepared.json").unlink()
    for folder in (copy, copy / "absent"):
        with pytest.raises(InputError, match="not prepared data"):
            Prepared.open(folder)
        with pytest.raises(InputError, match="not prepared data"):
            open_source(f"prepared:{folder}")


@pytest.mark.parametrize("name", ["labels", "dense", "ids", "planted", "train", "test", "access"])
def test_an_array_that_is_cut_off_or_absent_is_named(copy: Path, name: str) -> None:
    path = copy / f"{name}.npy"
    data = path.read_bytes()
    for kept in (len(data) - 1, 100, 0):
        path.write_bytes(data[:kept])
        with pytest.raises(InputError, match=f"{name}.npy: not a whole array") as caught:
            Prepared.open(copy)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match=f"{name}.npy: no such file"):
        Prepared.open(copy)


def test_an_array_of_another_shape_is_named(copy: Path) -> None:
    np.save(copy / "dense.npy", np.zeros((200, 12), np.float32))
    with pytest.raises(InputError, match=r"dense.npy: float32 \[200, 12\], prepared.json says float32 \[200, 13\]"):
        Prepared.open(copy)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"colour": 1}, "'colour' is unknown"),
        ({"rows": "many"}, "not a description"),
        ({"split": {}}, "not a description"),
        ({"features": {"dense": 13}}, "'features': not a description of features"),
        ({"version": 2}, "'version' is 2"),
        ({"split_method": "sideways"}, "'split_method' is 'sideways': allowed are random, stratified, time, own"),
        ({"digest": 5}, "'digest' is 5, expected a text"),
        ({"format": "x"}, "'format' is 'x'"),
    ],
)
def test_a_bad_prepared_json(copy: Path, keys: dict[str, Any], said: str) -> None:
    change(copy, **keys)
    with pytest.raises(InputError, match=said) as caught:
        Prepared.open(copy)
    assert str(caught.value).startswith(str(copy / "prepared.json"))


def test_a_missing_key(copy: Path) -> None:
    data = json.loads((copy / "prepared.json").read_text())
    del data["seed"]
    (copy / "prepared.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="'seed' is missing"):
        Prepared.open(copy)


@pytest.mark.parametrize("bad", [-1, 12])
def test_an_id_beyond_its_table_is_named(copy: Path, bad: int) -> None:
    assert Prepared.open(copy).features.tables[0].rows <= 12
    ids = np.load(copy / "ids.npy")
    ids[42, 0] = bad
    np.save(copy / "ids.npy", ids)
    data = Prepared.open(copy).split("all")
    data.batch(slice(0, 42))
    with pytest.raises(InputError, match=rf"ids.npy, row 42, table 'C1': id {bad}, expected 0 to"):
        data.batch(slice(40, 50))


def test_a_label_that_is_none_is_named(copy: Path) -> None:
    labels = np.load(copy / "labels.npy")
    labels[7] = 7
    np.save(copy / "labels.npy", labels)
    with pytest.raises(InputError, match=r"labels\.npy, row 7: label 7, expected 0 or 1"):
        Prepared.open(copy).split("all").batch(slice(0, 20))


@pytest.mark.parametrize("bad", [-1, 10**6])
def test_a_row_that_is_not_there_is_named(copy: Path, bad: int) -> None:
    rows = np.load(copy / "train.npy")
    rows[3] = bad
    np.save(copy / "train.npy", rows)
    with pytest.raises(InputError, match=rf"has row {bad}, expected 0 to "):
        Prepared.open(copy).split("train").batch(slice(0, 20))


def test_an_unknown_split(whole: Path) -> None:
    with pytest.raises(InputError, match="split 'dev', allowed are train, validation, test and all"):
        Prepared.open(whole).split("dev")


def test_rows_that_were_read_are_not_kept(whole: Path) -> None:
    with pytest.raises(InputError, match="holds encoded rows; give the log"):
        open_source(f"prepared:{whole}").frames()
