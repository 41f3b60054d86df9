"""Encoder and rows kept with a model: the same batches, the same ids for other logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from frame_log import FrameLog

from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.keepsake import keep_encoder, load_keepsake, save_keepsake
from nasrec.data.prepare import prepare
from nasrec.data.schema import Column, Schema
from nasrec.errors import InputError

COLUMNS = (Column("y", "label"), Column("u", "category"), Column("tags", "bag"), Column("v", "category", digits="hex"))


def log(columns: tuple[Column, ...], shift: int = 0) -> FrameLog:
    numbers = np.arange(60) + shift
    frame = pl.DataFrame(
        {
            "y": pl.Series(numbers % 2, dtype=pl.UInt8),
            "u": pl.Series([f"u{n % 13}" for n in numbers]),
            "tags": [[f"t{n * k % 17}" for k in range(n % 3)] for n in numbers],
            "v": pl.Series(numbers % 7, dtype=pl.UInt32),
        },
        schema_overrides={"tags": pl.List(pl.String)},
    )
    return FrameLog([frame.select([column.name for column in columns])], Schema(columns))


@pytest.mark.parametrize("columns", [COLUMNS, (*COLUMNS[:2], COLUMNS[3]), (COLUMNS[0], COLUMNS[2])])
@pytest.mark.parametrize("categories", ["vocabulary", "hash"])
def test_it_comes_back(tmp_path: Path, columns: tuple[Column, ...], categories: str) -> None:
    options = EncodingOptions(categories, min_count=1, max_rows=50)  # type: ignore[arg-type]
    data = prepare(log(columns), tmp_path / "p", seed=0, options=options)
    save_keepsake(tmp_path / "kept", data.encoder, data.split("train").head(20))
    encoder, rows = load_keepsake(tmp_path / "kept")
    before, after = data.split("train").head(20).batch(slice(None)), rows.batch(slice(None))
    assert np.array_equal(before.ids, after.ids) and np.array_equal(before.dense, after.dense)
    assert np.array_equal(before.labels, after.labels)
    assert (before.offsets is None) == (after.offsets is None)
    assert before.offsets is None or np.array_equal(before.offsets, after.offsets)
    assert encoder.digest() == data.encoder.digest()
    unseen = log(columns, shift=1000)
    found = prepare(unseen, tmp_path / "q", seed=0, encoder=encoder).split("all").batch(slice(None))
    expected = encoder.encode(unseen.log[0])
    flat = found.ids if found.offsets is None else found.ids[: found.offsets[60]]
    first = expected.bags["tags"][0] if columns[1].kind == "bag" else expected.ids[:, 0]
    assert np.array_equal(flat[:, 0] if flat.ndim == 2 else flat, first)


def test_a_run_keeps_one_encoder(tmp_path: Path) -> None:
    options = EncodingOptions(min_count=1, max_rows=50)
    data = prepare(log(COLUMNS), tmp_path / "p", seed=0, options=options)
    kept = keep_encoder(tmp_path / "run" / "vocabulary", data)
    assert kept == keep_encoder(tmp_path / "run" / "vocabulary", data)
    assert kept.data == data.digest
    assert Encoder.load(kept.folder).digest() == kept.digest == data.encoder.digest()
    assert kept.facts(tmp_path / "run" / "baselines" / "x.safetensors")["encoder"]["folder"] == "../vocabulary"
    other = prepare(log(COLUMNS, shift=7), tmp_path / "q", seed=0, options=options)
    with pytest.raises(InputError, match=r"q: encoded with another vocabulary than the one kept in .*vocabulary"):
        keep_encoder(tmp_path / "run" / "vocabulary", other)


def test_a_digest_does_not_depend_on_how_much_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(log(COLUMNS), tmp_path / "p", seed=0, options=EncodingOptions(min_count=1, max_rows=50))
    whole = data.encoder.digest()
    monkeypatch.setattr("nasrec.data.encoder.DIGEST_VALUES", 3)
    assert data.encoder.digest() == whole


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows.json: no such file"):
        load_keepsake(tmp_path)
