"""A checkpoint and the encoder that it names are enough to score raw rows; those of other data are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrec.checkpoint import (
    check_encoder,
    load_checkpoint,
    load_encoder,
    restore_file,
    save_checkpoint,
    save_weights,
)
from nasrec.data.encoder import EncodingOptions
from nasrec.data.keepsake import VOCABULARY, KeptEncoder, keep_encoder
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.errors import InputError
from nasrec.model.baselines import LogisticRegression
from nasrec.model.optimizer import weights_of
from nasrec.predict import predict
from nasrec.train import TrainOptions, train_subnet


def data_of(folder: Path, seed: int) -> Prepared:
    options = EncodingOptions(min_count=1, max_rows=200)
    return prepare(open_source(f"synthetic:rows=600,seed={seed}"), folder, seed=0, options=options)


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Prepared, KeptEncoder]:
    data = data_of(tmp_path / "data", 0)
    return tmp_path, data, keep_encoder(tmp_path / "run" / VOCABULARY, data)


def train(data: Prepared, checkpoint: Path, encoder: KeptEncoder | None) -> LogisticRegression:
    model = LogisticRegression(data.features, generator=torch.Generator().manual_seed(0))
    options = TrainOptions(batch_size=128)
    train_subnet(model, data.split("train"), data.split("validation"), options, checkpoint=checkpoint, encoder=encoder)
    return model


def test_weights_and_the_kept_encoder_score_raw_rows(run: tuple[Path, Prepared, KeptEncoder]) -> None:
    folder, data, kept = run
    file = folder / "run" / "baselines" / "x.safetensors"
    model = train(data, folder / "run" / "checkpoint", kept)
    save_weights(file, model, kept.facts(file))
    moved = folder / "elsewhere"
    shutil.move(folder / "run", moved)
    logits = predict(model, data.split("all"))
    shutil.rmtree(data.folder)
    encoder = load_encoder(moved / "baselines" / "x.safetensors")
    rows = prepare(open_source("synthetic:rows=600,seed=0"), folder / "again", seed=0, encoder=encoder)
    found = LogisticRegression(encoder.features)
    restore_file(moved / "baselines" / "x.safetensors", weights_of(found))
    assert np.array_equal(predict(found, rows.split("all")), logits)
    assert load_encoder(moved / "checkpoint").digest() == encoder.digest() == kept.digest


def test_another_vocabulary_is_refused(run: tuple[Path, Prepared, KeptEncoder]) -> None:
    folder, data, kept = run
    checkpoint = folder / "run" / "checkpoint"
    train(data, checkpoint, kept)
    other = data_of(folder / "other", 1)
    with pytest.raises(InputError, match=r"other: encoded with another vocabulary"):
        keep_encoder(kept.folder, other)
    second = keep_encoder(folder / "second" / VOCABULARY, other)
    before = checkpoint.read_bytes()
    with pytest.raises(InputError, match=rf"from a training with vocabulary '{kept.digest}'"):
        train(data, checkpoint, second)
    assert checkpoint.read_bytes() == before
    with pytest.raises(InputError, match=r"checkpoint: trained with another vocabulary than the one kept in .*second"):
        check_encoder(checkpoint, second)
    check_encoder(checkpoint, kept)
    shutil.rmtree(kept.folder)
    with pytest.raises(InputError, match=r"encoder\.json: no such file"):
        load_encoder(checkpoint)
    shutil.copytree(second.folder, kept.folder)
    with pytest.raises(InputError, match=r"holds another vocabulary than the one that .*checkpoint was trained with"):
        load_encoder(checkpoint)


def test_other_data_are_refused(run: tuple[Path, Prepared, KeptEncoder]) -> None:
    """Hashed, every log and every split has the same encoder: a training must not take another's for its own."""
    folder, _, _ = run
    hashed, checkpoint = EncodingOptions("hash", max_rows=50), folder / "hashed" / "checkpoint"
    log = "synthetic:rows=600,seed={}"

    def prepared(name: str, seed: int, split_seed: int) -> Prepared:
        return prepare(open_source(log.format(seed)), folder / name, seed=split_seed, options=hashed)

    first, again = prepared("first", 0, 0), prepared("again", 0, 0)
    kept = keep_encoder(folder / "hashed" / VOCABULARY, first)
    model = train(first, checkpoint, kept)
    before = checkpoint.read_bytes()
    same = train(again, checkpoint, keep_encoder(kept.folder, again))
    assert np.array_equal(predict(same, first.split("test")), predict(model, first.split("test")))
    for other in (prepared("split", 0, 1), prepared("log", 1, 0)):
        assert other.split_rows == first.split_rows
        encoder = keep_encoder(kept.folder, other)
        assert encoder.digest == kept.digest
        line = rf"checkpoint: from a training with data of digest '{first.digest}', this one has '{other.digest}'"
        with pytest.raises(InputError, match=line):
            train(other, checkpoint, encoder)
    assert checkpoint.read_bytes() == before


def test_a_checkpoint_that_does_not_name_its_data_is_refused(run: tuple[Path, Prepared, KeptEncoder]) -> None:
    """As older releases wrote them."""
    folder, data, kept = run
    train(data, folder / "now", kept)
    found = load_checkpoint(folder / "now")
    assert found.facts["training"].pop("data") == data.digest
    save_checkpoint(folder / "old", found.tensors, found.facts)
    with pytest.raises(InputError, match=r"old: from an older release, which did not note its data: remove it"):
        train(data, folder / "old", kept)


def test_what_names_none_says_so(run: tuple[Path, Prepared, KeptEncoder]) -> None:
    folder, data, kept = run
    train(data, folder / "plain", None)
    with pytest.raises(InputError, match=r"plain: names no encoder"):
        load_encoder(folder / "plain")
    check_encoder(folder / "plain", kept)
    assert "encoder" not in load_checkpoint(folder / "plain").facts
