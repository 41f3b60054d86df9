"""The encoder against cases worked by hand."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from frame_log import FrameLog

from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.features import Features, Table
from nasrec.data.prepare import prepare
from nasrec.data.schema import Column, Schema
from nasrec.data.vocabulary import Hashing, Vocabulary
from nasrec.errors import InputError

SCHEMA = Schema((Column("y", "label"), Column("x", "dense"), Column("u", "category"), Column("g", "bag")))
FRAME = pl.DataFrame(
    {
        "y": [1, 0, 1, 0, 1, 0],
        "x": [0.0, 1.0, None, -5.0, 99.0, 3.0],
        "u": ["b", "a", "b", None, "c", "rare"],
        "g": [["p", "q"], ["q"], [], None, ["q", "q", "r"], ["p"]],
    },
    schema={"y": pl.UInt8, "x": pl.Float64, "u": pl.String, "g": pl.List(pl.String)},
)


def fit(frame: pl.DataFrame = FRAME, train: slice = slice(0, 5), **options: object) -> Encoder:
    """The encoder that preparing `frame` leads to, as two frames of a log."""
    places = pl.Series("part", [2] * frame.height, dtype=pl.UInt8)
    places[list(range(*train.indices(frame.height)))] = 0
    log = frame.with_columns(places)
    half = frame.height // 2
    schema = Schema((*SCHEMA.columns, Column("part", "split")))
    with tempfile.TemporaryDirectory() as folder:
        source = FrameLog([log[:half], log[half:]], schema)
        data = prepare(source, Path(folder) / "p", seed=0, options=EncodingOptions(**options), split="own")
        assert data.encoder.to_json() == Encoder.load(data.folder).to_json()
        return data.encoder


def test_a_vocabulary_by_hand() -> None:
    encoder = fit(min_count=1)
    u, g = encoder.fields
    assert isinstance(u, Vocabulary) and u.values.to_list() == ["b", "a", "c"]  # frequency, then text
    assert isinstance(g, Vocabulary) and g.values.to_list() == ["q", "p", "r"]
    rows = encoder.encode(FRAME)
    assert rows.ids.tolist() == [[2], [3], [2], [0], [4], [1]]  # null is 0; "rare" is in no training row: 1
    ids, lengths = rows.bags["g"]
    assert ids.tolist() == [3, 2, 2, 0, 0, 2, 2, 4, 3] and lengths.tolist() == [2, 1, 1, 1, 3, 1]
    assert rows.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert rows.dense.ravel() == pytest.approx(np.log([1, 2, 1, 1, 100, 4]))
    assert rows.dense.dtype == np.float32 and rows.ids.dtype == np.int32
    assert encoder.features == Features(1, (Table("u", 5), Table("g", 5, lookups=8 / 5, multi_hot=True)))


@pytest.mark.parametrize(("min_count", "kept"), [(1, ["b", "a", "c"]), (2, ["b"]), (3, [])])
def test_min_count(min_count: int, kept: list[str]) -> None:
    field = fit(min_count=min_count).fields[0]
    assert isinstance(field, Vocabulary) and field.values.to_list() == kept and field.rows == 2 + len(kept)


@pytest.mark.parametrize(("max_rows", "kept"), [(6, 3), (5, 3), (4, 2), (3, 1)])
def test_both_sides_of_the_cap(max_rows: int, kept: int) -> None:
    field = fit(min_count=1, max_rows=max_rows).fields[0]
    assert field.rows == 2 + kept
    assert field.encode(FRAME["u"]).max() == 1 + kept


def test_reading_in_small_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(min_count=1).fields[1]
    monkeypatch.setattr("nasrec.data.read_rows.KEEP_ROWS", 1)
    monkeypatch.setattr("nasrec.data.assign_ids.CHUNK", 2)
    monkeypatch.setattr("nasrec.data.dictionary.CHUNK", 1)
    monkeypatch.setattr("nasrec.data.dictionary.FEWEST_SLOTS", 2)
    parts = fit(min_count=1).fields[1]
    assert isinstance(whole, Vocabulary) and isinstance(parts, Vocabulary) and whole.values.equals(parts.values)


def test_hashing_by_hand() -> None:
    encoder = fit(categories="hash", max_rows=10)
    expected = [0 if v is None else 1 + zlib.crc32(v.encode(), zlib.crc32(b"u")) % 9 for v in FRAME["u"]]
    assert encoder.encode(FRAME).ids.ravel().tolist() == expected
    assert [table.rows for table in encoder.features.tables] == [10, 10]


def test_hashing_fills_its_rows_evenly_and_stays_inside() -> None:
    ids = Hashing("f", 101).encode(pl.Series([str(number) for number in range(100_000)]))
    counts = np.bincount(ids, minlength=101)
    assert counts[0] == 0 and len(counts) == 101
    assert np.abs(counts[1:] - 1000).max() < 6 * np.sqrt(1000)


def test_untransformed_numbers_and_logs_without_numbers() -> None:
    columns = (Column("y", "label"), Column("x", "dense", transform="none"), Column("u", "category"))
    raw = Encoder(Schema(columns), EncodingOptions(), (Hashing("u", 5),), (1.0,))
    assert raw.encode(FRAME).dense.ravel().tolist() == [0, 1, 0, -5, 99, 3]
    none = Encoder(Schema((columns[0], columns[2])), EncodingOptions(), (Hashing("u", 5),), (1.0,))
    assert none.features.dense == 1 and none.encode(FRAME).dense.tolist() == [[1.0]] * 6


@pytest.mark.parametrize("categories", ["vocabulary", "hash"])
def test_saved_and_loaded_it_encodes_alike(tmp_path: Path, categories: str) -> None:
    encoder = fit(categories=categories, min_count=1, max_rows=100)
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded.to_json() == encoder.to_json() and loaded.features == encoder.features
    before, after = encoder.encode(FRAME), loaded.encode(FRAME)
    assert np.array_equal(before.ids, after.ids) and np.array_equal(before.bags["g"][0], after.bags["g"][0])


@pytest.mark.parametrize("values", [(["a"], ["bc"]), (["ab\nc"], ["d"]), (["ab"], ["d"])])
def test_different_vocabularies_have_different_digests(values: tuple[list[str], list[str]]) -> None:
    schema = Schema((Column("y", "label"), Column("a", "category"), Column("b", "category")))

    def digest(*values: list[str]) -> str:
        fields = tuple(Vocabulary(name, pl.Series(list(found))) for name, found in zip("ab", values, strict=True))
        return Encoder(schema, EncodingOptions(), fields, (1.0, 1.0)).digest()

    assert digest(*values) != digest(["ab"], ["c"])
    assert digest(["ab", "c"], ["d"]) != digest(["ab\nc"], ["d"]) != digest(["ab"], ["cd"])


def test_a_damaged_encoder_is_refused(tmp_path: Path) -> None:
    fit(min_count=1).save(tmp_path)
    stored = tmp_path / "encoder.json"
    good = json.loads(stored.read_text())
    for change, said in [
        ({"options": {"colour": 1}}, "not a description of an encoder"),
        ({"options": {"categories": "magic"}}, "'magic', allowed are"),
        ({"tables": []}, "'tables' does not list"),
        ({"tables": [{**good["tables"][0], "rows": 9}, good["tables"][1]]}, "table 'u' has 5 rows"),
        ({"format": "other"}, "expected 'nasrec.encoder'"),
    ]:
        stored.write_text(json.dumps({**good, **change}))
        with pytest.raises(InputError, match=said):
            Encoder.load(tmp_path)
    stored.write_text(json.dumps(good))
    values = tmp_path / "vocabulary.parquet"
    values.write_bytes(values.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"vocabulary.parquet: not a whole Parquet file"):
        Encoder.load(tmp_path)
    values.unlink()
    with pytest.raises(InputError, match=r"vocabulary.parquet: no such file"):
        Encoder.load(tmp_path)


def test_another_log_needs_the_same_inputs() -> None:
    encoder = fit()
    encoder.check_schema(Schema((*SCHEMA.columns, Column("new", "category"))), "here")
    with pytest.raises(InputError, match="here: column 'g' is absent, in training it was bag"):
        encoder.check_schema(Schema(SCHEMA.columns[:3]), "here")
    with pytest.raises(InputError, match="column 'x' is category"):
        encoder.check_schema(Schema((SCHEMA.columns[0], Column("x", "category"), *SCHEMA.columns[2:])), "here")
    with pytest.raises(InputError, match="the label is 'z'"):
        encoder.check_schema(Schema((Column("z", "label"), *SCHEMA.columns[1:])), "here")


@pytest.mark.parametrize("options", [{"categories": "magic"}, {"min_count": 0}, {"max_rows": 2}, {"max_rows": 2**31}])
def test_impossible_options(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        EncodingOptions(**options)
