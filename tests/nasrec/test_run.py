"""Run folders and options: done stages are kept, damage is named, unknown keys are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.errors import InputError
from nasrec.nas.options import NasOptions
from nasrec.nas.presets import PRESETS
from nasrec.nas.rank_options import RankOptions
from nasrec.options import CodesignOptions, load_options
from nasrec.run import Run
from nasrec.run_data import prepared_data, with_data_options
from nasrec.sections import changed, set_by_key

HASHED = EncodingOptions("hash", max_rows=50)


def prepared(folder: Path, seed: int) -> Prepared:
    return prepare(open_source("synthetic:rows=300"), folder, seed=seed, options=HASHED)


def test_a_stage_is_done_once(tmp_path) -> None:
    run = Run.create(tmp_path / "run", "synthetic", CodesignOptions())
    calls = []
    assert run.stage("one", lambda: calls.append(1) or {"answer": 42}) == {"answer": 42}
    again = Run.open(tmp_path / "run")
    assert again.stage("one", lambda: calls.append(1)) == {"answer": 42}
    assert calls == [1]
    assert set(again.wall_s()) == {"one"}


def test_a_failed_stage_leaves_nothing(tmp_path) -> None:
    run = Run.create(tmp_path / "run", "synthetic", CodesignOptions())
    with pytest.raises(ZeroDivisionError):
        run.stage("bad", lambda: 1 / 0)
    assert not run.done("bad")
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_run_is_not_overwritten(tmp_path) -> None:
    Run.create(tmp_path / "run", "synthetic", CodesignOptions())
    with pytest.raises(InputError, match="--resume"):
        Run.create(tmp_path / "run", "synthetic", CodesignOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run.json, line 1: not valid JSON"),
        ('{"format": "other"}', "field 'format' is 'other'"),
        ('{"format": "nasrec.run", "version": 9, "data": "x", "options": {}}', "field 'version' is 9"),
        ('{"format": "nasrec.run", "version": 1}', "expected the fields data and options and workers"),
        (
            '{"format": "nasrec.run", "version": 1, "data": "x", "options": {}, "workers": 0}',
            "field 'workers' is 0, expected a whole number from 1",
        ),
        (
            '{"format": "nasrec.run", "version": 1, "data": "x", "options": {"sead": 1}, "workers": 1}',
            "unknown key 'sead': allowed are seed,",
        ),
    ],
)
def test_a_damaged_run_folder_is_named(tmp_path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Run.open(tmp_path)
    assert message in str(caught.value)
    assert "run.json" in str(caught.value)


def test_a_missing_run_folder_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere/run\.json: no such file"):
        Run.open(tmp_path / "nowhere")


def test_a_damaged_stage_is_named(tmp_path) -> None:
    run = Run.create(tmp_path / "run", "synthetic", CodesignOptions())
    run.stage("one", lambda: 1)
    (tmp_path / "run" / "stages" / "one.json").write_text('{"format": "nasrec.st')
    with pytest.raises(InputError, match=r"one\.json, line 1"):
        run.stage("one", lambda: 1)


def test_options_round_trip_through_json() -> None:
    options = CodesignOptions()
    assert CodesignOptions.model_validate(json.loads(json.dumps(options.model_dump(mode="json")))) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nevaluatons = 3", "unknown key 'search.evaluatons': allowed are sampler, evaluations"),
        ("[search]\nevaluations = 0", "search.evaluations is 0"),
        ("[search]\nevaluations = 1", "search.evaluations is 1"),
        ("[chip]\ncell_bits = [9]", "chip.cell_bits.0 is 9"),
        ("[chip]\nrows = []", "chip.rows is []"),
        ("[chip]\nrows = [64, 64]", "chip.rows is [64, 64]: every value is allowed once"),
        ("[chip]\nrows = [100000]", "chip.rows.0 is 100000"),
        ("[space]\ndense_widths = []", "space.dense_widths is []"),
        ("[space]\nweight_bits = []", "space.weight_bits is []"),
        ("[data]\nseed = -1", "data.seed is -1"),
        ("[data]\nseed = 4294967296", "data.seed is 4294967296"),
        ("[search", "not valid TOML"),
    ],
)
def test_bad_options_are_named(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "options.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_options(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("own", [False, True])
def test_a_run_does_not_go_on_with_data_made_anew(tmp_path: Path, own: bool) -> None:
    """Made anew alike, they are the same data; with another seed of the split they are others."""
    run_folder = tmp_path / "run"
    place = run_folder / "data" if own else tmp_path / "rows"
    run = Run.create(run_folder, "synthetic:rows=300" if own else f"prepared:{place}", CodesignOptions())
    first = prepared(place, 0)
    assert prepared_data(run).digest == first.digest
    shutil.rmtree(place)
    prepared(place, 0)
    assert prepared_data(Run.open(run_folder)).digest == first.digest
    shutil.rmtree(place)
    other = prepared(place, 1)
    with pytest.raises(InputError) as caught:
        prepared_data(Run.open(run_folder))
    digests = f"digest {other.digest!r}, expected {first.digest!r}"
    assert str(caught.value) == f"{place}: other data than {run_folder} began with: {digests}"


def test_a_run_of_an_older_release_goes_on(tmp_path: Path) -> None:
    """Its stage `data` notes no digest."""
    run = Run.create(tmp_path / "run", "synthetic:rows=300", CodesignOptions())
    made = prepared(run.folder / "data", 0)
    run.stage("data", lambda: made.split_rows)
    assert prepared_data(Run.open(run.folder)) == made


def test_a_run_does_not_begin_without_rows_for_test(tmp_path: Path) -> None:
    """It would fail at its very end; nothing is noted, so that its folder can be removed."""
    made = prepare(open_source("synthetic:rows=300"), tmp_path / "rows", seed=0, shares=(8, 2, 0), options=HASHED)
    run = Run.create(tmp_path / "run", f"prepared:{made.folder}", CodesignOptions())
    with pytest.raises(InputError, match="rows: no row is for test: expected rows for train, validation, test"):
        prepared_data(run)
    run.discard_if_untouched()
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_a_run_does_not_begin_without_a_category(tmp_path: Path) -> None:
    """Sparse operators have nothing to read; without the check a supernet is trained before anybody says so."""
    lines = ["click,x", *(f"{row % 2},{row}" for row in range(60))]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (tmp_path / "log.toml").write_text('files = ["log.csv"]\n[columns]\nclick = "label"\nx = "dense"\n')
    rows = prepare(open_source(f"table:{tmp_path / 'log.toml'}"), tmp_path / "rows", seed=0)
    run = Run.create(tmp_path / "run", f"prepared:{rows.folder}", CodesignOptions())
    with pytest.raises(InputError, match="rows: no category and no bag: the sparse operators of the space need one"):
        prepared_data(run)
    run.discard_if_untouched()
    assert not run.folder.exists()


@pytest.fixture(scope="module")
def by_time(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "rows"
    return prepare(open_source("synthetic:rows=300"), folder, seed=5, split="time", options=HASHED).folder


@pytest.mark.parametrize("options", [CodesignOptions(), *PRESETS.values(), RankOptions.of_preset(PRESETS["fast"])])
def test_options_say_how_prepared_data_were_made(by_time: Path, options: CodesignOptions) -> None:
    found = with_data_options(options, open_source(f"prepared:{by_time}"))
    assert found.data.model_dump() == {"seed": 5, "max_rows": 50, "min_count": 2, "hashing": True, "split": "time"}
    assert found.model_copy(update={"data": options.data}) == options
    assert with_data_options(options, open_source("synthetic:rows=300")) == options


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [("seed", 0, 5), ("max_rows", 500_000, 50), ("min_count", 3, 2), ("hashing", False, True),
     ("split", "random", "time")],
)  # fmt: skip
def test_an_option_that_prepared_data_contradict_is_refused(
    by_time: Path, tmp_path: Path, name: str, value: object, made: object
) -> None:
    """Even where it is the default, if it was set: in a file, or by key over a preset and a file."""
    source, file = open_source(f"prepared:{by_time}"), tmp_path / "options.toml"
    file.write_text(f"[data]\n{name} = {json.dumps(value)}\n")
    for options in (load_options(file), set_by_key(PRESETS["fast"], [f"data.{name}={json.dumps(value)}"])):
        with pytest.raises(InputError) as caught:
            with_data_options(options, source)
        said = f"data.{name} is {value!r}, but prepared:{by_time} was made with {made!r}: leave it out, or prepare"
        assert str(caught.value).startswith(said)
    file.write_text(f"[data]\n{name} = {json.dumps(made)}\n")
    assert with_data_options(load_options(file), source).data.split == "time"


def test_a_folder_that_does_not_say_how_it_was_split(by_time: Path, tmp_path: Path) -> None:
    """Of an older release: what was set, or else the default, is not contradicted."""
    shutil.copytree(by_time, tmp_path / "old")
    path = tmp_path / "old" / "prepared.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "split_method"}))
    source = open_source(f"prepared:{path.parent}")
    assert with_data_options(set_by_key(NasOptions(), ["data.split=own"]), source).data.split == "own"
    assert with_data_options(NasOptions(), source).data.model_dump() | {"split": "time"} == (
        with_data_options(NasOptions(), open_source(f"prepared:{by_time}")).data.model_dump()
    )


@pytest.mark.parametrize("name", PRESETS)
def test_changes_leave_everything_else_as_it_was(name: str) -> None:
    before = PRESETS[name]
    after = changed(before, {"data": {"seed": 3}, "retrain": {"patience": 2}}, "here")
    expected = before.model_dump()
    expected["data"]["seed"], expected["retrain"]["patience"] = 3, 2
    assert after.model_dump() == expected
    assert after.data.model_fields_set == {"seed"}
