"""The whole of `nasrec search` in small: the same end after a kill and for any number of workers; what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_run import call, command, environment, refused, temporary_files

from nasrec.arch import Arch
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError, TrainingDiverged
from nasrec.hardware import workload_of
from nasrec.liveness import network
from nasrec.metrics import log_loss
from nasrec.model.baselines import BASELINES
from nasrec.nas import retrain
from nasrec.nas.presets import preset
from nasrec.nas.retrain import read_model, retrain_best, train_winner
from nasrec.nas.run import SearchRun
from nasrec.nas.search import search
from nasrec.nas.supernet import copy_tables
from nasrec.nas.untrained import untrained_supernet
from nasrec.predict import predict
from nasrec.score_run import score_run
from nasrec.sections import set_by_key
from nasrec.train import train_subnet

ROWS = "synthetic:rows=2000"
SETTINGS = (
    "space.blocks=2", "space.dense_widths=[8, 16]", "space.sparse_widths=[8]", "supernet.batch_size=128",
    "supernet.most_epochs=1", "supernet.warm_start=true",
    "score.fine_tune_rows=256", "score.fine_tune_steps=5", "score.rows=150", "evolution.population=4",
    "evolution.generations=3", "evolution.children=3", "evolution.tournament=2", "retrain.top=2", "retrain.finals=1",
    "retrain.epochs=2", "retrain.learning_rates=[0.08, 0.12]", "retrain.seeds=[0, 1]",
    "refine.fresh=1", "refine.rounds=2", "refine.children=2", "refine.parents=2",
    "evolution.target_macs=5000", "evolution.beta=0.05",
)  # fmt: skip
SET = [text for setting in SETTINGS for text in ("--set", setting)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "run"
    search(SearchRun.create(folder, ROWS, set_by_key(preset("fast"), SETTINGS), workers=1))
    return folder


def summary_of(folder: Path) -> dict[str, Any]:
    """What a run found, without what it took."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    del summary["spent"]
    return summary


def test_a_killed_search_goes_on_to_the_same_summary(finished: Path, tmp_path: Path) -> None:
    """Killed in the middle of a generation, with another number of workers."""
    folder = tmp_path / "run"
    arguments = ["search", "--preset", "fast", "--data", ROWS, "--out", folder, "--workers", 2, *SET]
    process = subprocess.Popen(command("nasrec", *arguments), env=environment(), stderr=subprocess.DEVNULL)
    journal, deadline = folder / "search.journal", time.monotonic() + 100
    while not journal.exists() or journal.read_bytes().count(b"\n") < 7:  # 1 for the study, 1 for each trial
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (folder / "summary.json").exists()
    search(replace(SearchRun.open(folder), workers=1))
    assert summary_of(folder) == summary_of(finished)
    assert temporary_files(folder) == []


def test_the_summary_says_everything(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    found, winner, spent = summary["search"], summary["winner"], summary["spent"]
    assert len(found["values"]) == len(found["macs"]) == 13 >= found["scored"]
    order = np.argsort(found["values"], kind="stable")
    assert found["best"][0]["number"] == order[0] and len(found["best"]) == 2
    names = [training["name"] for training in summary["retraining"]]
    assert len(names) == len(set(names)) == 7 + 1 + 1
    firsts = [training for training in summary["retraining"] if training["seed"] == 0]
    assert [training["learning_rate"] for training in firsts] == [0.08] * 7 + [0.12]
    final = str(np.argmin(trained_values(summary)))
    assert [name.split("-")[1] for name in names[7:]] == [final, final]
    of_winner = [t["log_loss"] for t in summary["retraining"] if t["learning_rate"] == winner["learning_rate"]
                 and t["name"].split("-")[1] == final]  # fmt: skip
    assert winner["validation_log_loss"] == pytest.approx(sum(of_winner) / 2) and len(of_winner) == 2
    finalist = summary["finalists"][int(final)]
    assert (winner["place"], winner["number"], winner["arch"]) == (int(final), finalist["number"], finalist["arch"])
    assert winner["macs"] == finalist["macs"]
    features = Prepared.open(finished / "data").features
    assert winner["macs"] == workload_of(Arch.from_json(winner["arch"]), features).macs
    assert {"data", "supernet", "search"} < set(spent["wall_s"])
    assert min(spent["peak_bytes"].values()) > 50 << 20
    one = spent["one_architecture"]
    parts = ("extract_s", "features_s", "fine_tune_s", "judge_s")
    assert one["total_s"] == pytest.approx(sum(one[part] for part in parts)) and one["peak_bytes"] > 50 << 20


def test_a_refinement_goes_on_in_any_round(finished: Path, tmp_path: Path) -> None:
    """As killed after four trainings: in the first of two rounds, whose parents are read back from finished stages."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "summary.json").unlink()
    trainings = {path: path.name.split("-") for path in (folder / "stages").glob("retrain-*")}
    assert len({parts[1] for parts in trainings.values()}) == 7
    for path in [*(folder / "stages").glob("winner-*"), *(p for p, parts in trainings.items() if int(parts[1]) > 3)]:
        path.unlink()
    search(SearchRun.open(folder))
    assert summary_of(folder) == summary_of(finished)


def trained_values(summary: dict[str, Any]) -> list[float]:
    """Of each finalist: log loss of its first training, and what its MACs are charged with."""
    losses = [training["log_loss"] for training in summary["retraining"][: len(summary["finalists"])]]
    macs = [finalist["macs"] for finalist in summary["finalists"]]
    return [loss + 0.05 * (count / 5000 - 1) for loss, count in zip(losses, macs, strict=True)]


def test_refinement_mutates_the_best_so_far(finished: Path) -> None:
    """The search's two, a random one, and two rounds of a child of each of the two best that are trained by then."""
    summary = summary_of(finished)
    finalists, values = summary["finalists"], trained_values(summary)
    best = summary["search"]["best"]
    assert [one["number"] for one in finalists] == [best[0]["number"], best[1]["number"], *[None] * 5]
    assert [one["parent"] for one in finalists[:3]] == [None] * 3
    for start in (3, 5):
        ranked = [int(place) for place in np.argsort(values[:start], kind="stable")]
        assert [one["parent"] for one in finalists[start : start + 2]] == ranked[:2]
    archs = [Arch.from_json(one["arch"]) for one in finalists]
    assert len({network(arch) for arch in archs}) == 7
    for child, one in zip(archs[3:], finalists[3:], strict=True):
        pairs = zip(child.blocks, archs[one["parent"]].blocks, strict=True)
        changed = sum(a[key] != b[key] for a, b in ((vars(x), vars(y)) for x, y in pairs) for key in a)
        assert 1 <= changed <= 4  # a mutation draws one field anew, or both branches' operators; repeats are mutated on


def test_what_is_kept_is_the_winner(finished: Path) -> None:
    """Its weights give the log loss that the summary states; checkpoints are gone."""
    winner = summary_of(finished)["winner"]
    model, encoder = read_model(SearchRun.open(finished))
    data = Prepared.open(finished / "data")
    assert encoder.digest() == data.encoder.digest()
    test = data.split("test")
    loss = log_loss(predict(model, test), test.labels)
    assert loss == pytest.approx(winner["test"]["seeds"][0]["log_loss"], abs=1e-6)
    assert {path.name for path in finished.glob("*")} == {
        "run.json", "data", "stages", "supernet.safetensors", "vocabulary", "search.journal", "best",
        "summary.json"}  # fmt: skip


def test_the_winner_scores_other_rows(finished: Path, tmp_path: Path) -> None:
    """Of all the rows of the log, those for the test are a part; the prepared data may be gone."""
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("supernet*"))
    (tmp_path / "run" / "data" / "prepared.json").unlink()
    (found,) = score_run(tmp_path / "run", ROWS)
    assert found["winner"] == "log_loss" and found["rows"] == 2000
    data = Prepared.open(finished / "data").split("all")
    model, _ = read_model(SearchRun.open(finished))
    assert found["log_loss"] == pytest.approx(log_loss(predict(model, data), data.labels), abs=1e-6)
    (tmp_path / "run" / "stages" / "winner-0.json").unlink()
    with pytest.raises(InputError, match="no winner is trained yet"):
        score_run(tmp_path / "run", ROWS)


def test_a_warm_start_takes_the_tables_and_nothing_else(finished: Path) -> None:
    run, features = SearchRun.open(finished), Prepared.open(finished / "data").features
    cold, warm = (untrained_supernet(features, run.options) for _ in range(2))
    dlrm = BASELINES["dlrm"](features, generator=torch.Generator().manual_seed(5))
    copy_tables(dlrm, warm)
    for (name, before), after in zip(cold.state_dict().items(), warm.state_dict().values(), strict=True):
        expected = dlrm.state_dict()[name] if name.startswith("embeddings.tables.") else before
        assert torch.equal(after, expected), name
    assert not torch.equal(cold.embeddings.tables[0], warm.embeddings.tables[0])


def test_random_search_takes_as_many(finished: Path, tmp_path: Path) -> None:
    settings = [*SETTINGS, "strategy=random", "retrain.seeds=[0]", "retrain.learning_rates=[0.1]"]
    run = SearchRun.create(tmp_path / "run", ROWS, set_by_key(preset("fast"), settings), workers=1)
    summary = json.loads(search(run).read_text())
    assert len(summary["search"]["values"]) == 13
    assert summary["winner"]["test"]["log_loss"]["deviation"] is None
    assert [one["parent"] for one in summary["finalists"]] == [None] * 7
    assert summary["search"]["values"][:4] == summary_of(finished)["search"]["values"][:4]


def test_what_diverges_is_left_out(finished: Path, tmp_path: Path) -> None:
    """The first rate is far too high for all: the finals go on with the second. Where none serves, it is said."""
    found = summary_of(finished)["search"]["best"]
    archs = [Arch.from_json(one["arch"]) for one in found]
    features = Prepared.open(finished / "data").features
    for rates, epochs in (("[1e25, 0.1]", 1), ("[1e25]", None)):
        settings = [*SETTINGS, f"retrain.learning_rates={rates}", "retrain.epochs=1"]
        folder = tmp_path / str(epochs)
        run = SearchRun.create(folder, f"prepared:{finished / 'data'}", set_by_key(preset("fast"), settings))
        if epochs is None:
            with pytest.raises(TrainingDiverged, match=r"lower retrain\.learning_rates"):
                retrain_best(run, archs, features)
            continue
        choice = retrain_best(run, archs, features)
        assert (choice["place"], choice["learning_rate"], choice["epochs"]) == (0, 0.1, epochs)
        assert [training["log_loss"] is None for training in choice["trainings"]] == [True, True, False, False]
        assert not list(run.trainings.glob("*"))


@pytest.mark.parametrize("failing", [(0,), (1,), (0, 1)])
def test_a_winner_that_diverges_with_some_seeds_is_kept_with_another(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[int, ...]
) -> None:
    def sometimes(*args: Any, **options: Any) -> Any:
        if args[3].seed in failing:
            raise TrainingDiverged("the loss is nan")
        return train_subnet(*args, **options)

    monkeypatch.setattr(retrain, "train_subnet", sometimes)
    run = SearchRun.create(tmp_path / "run", f"prepared:{finished / 'data'}", set_by_key(preset("fast"), SETTINGS))
    summary = summary_of(finished)
    arch = Arch.from_json(summary["winner"]["arch"])
    choice = {"learning_rate": summary["winner"]["learning_rate"], "epochs": summary["winner"]["epochs"]}
    if failing == (0, 1):
        with pytest.raises(TrainingDiverged, match=r"lower retrain\.learning_rates"):
            train_winner(run, arch, choice)
        return
    tests = train_winner(run, arch, choice)
    whole = summary["winner"]["test"]["seeds"]
    for seed, test in enumerate(tests):
        assert test == whole[seed] if seed not in failing else test["log_loss"] is None and "nan" in test["diverged"]
    model, _ = read_model(run)
    rows = Prepared.open(finished / "data").split("test")
    kept = 1 if failing == (0,) else 0
    assert log_loss(predict(model, rows), rows.labels) == pytest.approx(whole[kept]["log_loss"], rel=1e-12)


def test_prepared_rows_have_their_own_options(finished: Path, tmp_path: Path) -> None:
    """What is set and is not theirs is refused, where a run would have stated it as a fact."""
    rows = f"prepared:{finished / 'data'}"
    line = refused(call("nasrec", "search", "--data", rows, "--set", "data.split=own", "--out", tmp_path / "run"))
    assert line.startswith(f"nasrec: data.split is 'own', but {rows} was made with 'random': leave it out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "slow"], "preset 'slow': allowed are paper, fast"),
        (["--scale", "2"], "scale is 2.0: allowed are numbers above 0 up to 1"),
        (["--set", "evolution.childs=3"], "unknown key 'evolution.childs': allowed are population, generations,"),
        (["--strategy", "best"], "strategy is 'best'"),
        (["--data", "table:absent.toml"], "absent.toml"),
        (["--resume", "absent"], "--out stands beside --resume"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    line = refused(call("nasrec", "search", *arguments, "--out", tmp_path / "run", cwd=tmp_path))
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_not_there_does_not_go_on(tmp_path: Path) -> None:
    assert "absent/run.json: no such file" in refused(call("nasrec", "search", "--resume", "absent", cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []
