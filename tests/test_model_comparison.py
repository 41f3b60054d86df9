"""The comparison of hand-made and searched models: its arithmetic, its optimisers, its libraries, and going on."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from typer.testing import CliRunner

from benchmarks import movielens
from benchmarks.contestants import MODELS, Contestant, build_searched, hand_made, macs, searched
from benchmarks.ctr_peers import LIBRARIES, Peer, columns, fuxictr, versions
from benchmarks.movielens_searches import by_operator
from benchmarks.movielens_table import grouped
from benchmarks.paired import difference
from benchmarks.trainings import Point
from nasrec.arch import Arch, BlockChoice
from nasrec.arch_file import write_arch
from nasrec.data.features import Features, Table
from nasrec.data.prepare import prepare
from nasrec.data.synthetic import SyntheticLog
from nasrec.errors import InputError
from nasrec.interop import official_from_arch
from nasrec.model.baselines import DLRM, LogisticRegression
from nasrec.nas.summary import SUMMARY_FORMAT
from nasrec.space import FULL
from nasrec.train import TrainOptions

FEATURES = Features(3, (Table("a", 10), Table("b", 20), Table("g", 7, 2.0, True)))
DENSE = torch.rand((4, 3), generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 6, 2, 3, 4])
OFFSETS = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 11, 14])  # the bags of g: 0 1, 6, none, 2 3 4
LABELS = torch.tensor([1.0, 0.0, 0.0, 1.0])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_a_difference_and_its_errors() -> None:
    others = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    gaps = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    found = difference(others + gaps, others)
    assert found.mean == 2.0
    assert found.by_seed == pytest.approx(math.sqrt(2) / math.sqrt(2))  # means 1 and 3: deviation sqrt 2
    assert found.by_row == pytest.approx(1 / math.sqrt(3))  # means 1, 2, 3: deviation 1
    assert found.error == pytest.approx(math.sqrt(1 + 1 / 3))
    same = difference(others, others)
    assert (same.mean, same.error) == (0.0, 0.0)
    alone = difference(others[:1], others[:1])
    assert alone.by_seed is None and alone.error is None and alone.by_row == 0.0
    with pytest.raises(ValueError, match="same"):
        difference(others, others[:1])


def test_groups_and_what_is_between_them() -> None:
    lines = [("a", 0.30, 10), ("a", 0.32, 30), ("b", 0.35, 1), ("b", 0.37, 1), ("c", 0.4, 1)]
    groups = grouped(
        [
            {"group": name, "name": f"{name}:{number}", "log_loss": loss, "macs": count}
            for number, (name, loss, count) in enumerate(lines)
        ]
    )
    assert (groups["a"]["members"], groups["a"]["macs"]) == (2, 20)
    assert groups["a"]["log_loss_error"] == pytest.approx(0.01)  # of two values 0.02 apart: half of that
    gap = groups["a"]["minus"]["b"]
    assert (gap["mean"], gap["error"]) == (pytest.approx(-0.05), pytest.approx(0.01 * math.sqrt(2)))
    assert groups["b"]["minus"]["a"]["mean"] == pytest.approx(0.05)
    assert groups["c"]["minus"]["a"]["error"] is None and set(groups["c"]["minus"]) == {"a", "b"}


def test_groups_of_the_same_seeds_are_compared_in_pairs() -> None:
    losses = {"a": {"seed0": 0.30, "seed1": 0.40}, "b": {"seed1": 0.42, "seed0": 0.31}}
    groups = grouped(
        [
            {"group": group, "name": f"{group}:{seed}", "log_loss": loss, "macs": 1}
            for group, seeds in losses.items()
            for seed, loss in seeds.items()
        ]
    )
    gap = groups["a"]["minus"]["b"]  # -0.01 and -0.02: deviation 0.01 / sqrt 2, over sqrt 2
    assert gap == {"mean": pytest.approx(-0.015), "error": pytest.approx(0.005), "paired": True}


def test_models_without_a_group_in_their_name_all_count() -> None:
    lines = [("dlrm", "hand-made", 0.30), ("fm", "hand-made", 0.40), ("a:seed0", "a", 0.31), ("a:seed1", "a", 0.33)]
    groups = grouped([{"name": name, "group": group, "log_loss": loss, "macs": 1} for name, group, loss in lines])
    gap = groups["a"]["minus"]["hand-made"]
    assert gap == {"mean": pytest.approx(-0.03), "error": pytest.approx(math.hypot(0.01, 0.05)), "paired": False}


def test_columns_are_the_ids_of_a_table() -> None:
    a, b, bags = columns(FEATURES, IDS, OFFSETS)
    assert (a.tolist(), b.tolist()) == ([1, 2, 3, 4], [5, 6, 7, 8])
    assert bags.tolist() == [[1, 2, 0], [7, 0, 0], [0, 0, 0], [3, 4, 5]]  # one more than the id, none is 0
    plain = Features(0, FEATURES.tables[:2])
    assert [column.tolist() for column in columns(plain, torch.tensor([[1, 5], [2, 6]]), None)] == [[1, 2], [5, 6]]


class Plain(nn.Module):
    """Logistic regression as anybody would write it."""

    def __init__(self, model: LogisticRegression) -> None:
        super().__init__()
        self.tables = nn.ParameterList([nn.Parameter(table.detach().clone()) for table in model.embeddings.tables])
        self.head = nn.Linear(3, 1)
        with torch.no_grad():
            self.head.weight.copy_(model.head.get_parameter("weight"))
            self.head.bias.zero_()

    def forward(self, inputs: tuple[Tensor, list[Tensor]]) -> Tensor:
        dense, (a, b, bags) = inputs
        mean = torch.stack([self.tables[2][bag[bag > 0] - 1].sum(dim=0) / max(1, int((bag > 0).sum())) for bag in bags])
        return self.head(dense) + self.tables[0][a] + self.tables[1][b] + mean


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_ours_and_a_peer_take_the_same_steps(optimizer: str) -> None:
    """Row-sparse Adagrad inside our model is torch's dense one; Adam moves our tables as it moves plain parameters."""
    ours = LogisticRegression(FEATURES, generator=generator())
    network = Plain(ours)
    peer = Peer(FEATURES, network, lambda dense, ids: (dense, ids), lambda found: found.squeeze(1))
    pair = [Contestant(ours, optimizer), Contestant(peer, optimizer)]
    for rate in (0.1, 0.1, 0.05):
        norms = []
        for model in pair:
            binary_cross_entropy_with_logits(model.train()(DENSE, IDS, OFFSETS), LABELS).backward()
            norms.append(model.adagrad_step(lr=rate, clip_norm=0.3))
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for table, wanted in zip(ours.embeddings.tables, network.tables, strict=True):
        torch.testing.assert_close(table, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.head.get_parameter("weight"), network.head.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_librarys_model_takes_our_rows(library: str, name: str) -> None:
    model = LIBRARIES[library](name, FEATURES, 0)
    if isinstance(model, str):
        pytest.skip(model)
    logits = model.eval()(DENSE, IDS, OFFSETS)
    assert logits.shape == (4,) and bool(logits.isfinite().all())
    again = LIBRARIES[library](name, FEATURES, 0)
    torch.testing.assert_close(again.eval()(DENSE, IDS, OFFSETS), logits)  # the seed decides
    moved = OFFSETS.clone()
    moved[9:] -= 1  # the first bag of g loses its last id: only that row changes
    shorter = model(DENSE, torch.cat([IDS[:9], IDS[10:]]), moved)
    assert shorter[0] != logits[0]
    torch.testing.assert_close(shorter[1:], logits[1:])
    contestant = Contestant(model, "adam").train()
    binary_cross_entropy_with_logits(contestant(DENSE, IDS, OFFSETS), LABELS).backward()
    assert contestant.adagrad_step(lr=1e-3) > 0


def test_our_dlrm_is_fuxictrs() -> None:
    features = Features(0, FEATURES.tables)
    ours, peer = DLRM(features, generator=generator()), fuxictr("dlrm", features, 0)
    if isinstance(peer, str):
        pytest.skip(peer)
    layers = [layer for layer in peer.network.top_mlp.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        tables = peer.network.embedding_layer.embedding_layer.embedding_layers
        for table, description in zip(ours.embeddings.tables, features.tables, strict=True):
            tables[description.name].weight[int(description.multi_hot) :] = table
        order = [0, 1, 2]  # theirs are the pairs (0,1), (0,2), (1,2), ours (1,0), (2,0), (2,1)
        for layer, own in zip(layers, [*ours.top[::2], ours.head], strict=True):
            weight = own.get_parameter("weight")
            layer.weight.copy_(weight[:, order] if layer is layers[0] else weight)
            layer.bias.copy_(own.get_parameter("bias"))
        none = torch.zeros(4, 0)
        torch.testing.assert_close(peer(none, IDS, OFFSETS), ours.eval()(none, IDS, OFFSETS))


def test_macs_are_those_of_matrix_products() -> None:
    features = Features(0, FEATURES.tables)
    assert macs(LogisticRegression(features), features) == 0
    top = 3 * 256 + 256 * 128 + 128 * 64 + 64
    assert macs(DLRM(features, generator=generator()), features) == 3 * 3 * 16 + top
    arch = FULL.sample(np.random.default_rng(0))
    assert macs(build_searched(arch)(FEATURES, 0), FEATURES) > 0


def test_searched_architectures_are_read_in_every_form(tmp_path: Path) -> None:
    archs = [FULL.sample(np.random.default_rng(seed)) for seed in range(3)]
    (tmp_path / "few.json").write_text(json.dumps([arch.to_json() for arch in archs[:2]]))
    (tmp_path / "one.json").write_text(json.dumps({"candidate": {"arch": archs[2].to_json()}}))
    (tmp_path / "official.json").write_text(json.dumps(official_from_arch(archs[0])))
    write_arch(tmp_path / "winner.json", archs[1], FEATURES)
    found = searched(tmp_path)
    assert list(found) == ["few/0", "few/1", "official", "one", "winner"]
    assert [found["few/0"], found["few/1"], found["one"]] == archs and found["winner"] == archs[1]
    assert found["official"].blocks[0].dense_width == archs[0].blocks[0].dense_width
    assert searched(tmp_path / "few.json") == {"few/0": archs[0], "few/1": archs[1]}
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no architecture"):
        searched(tmp_path / "none")
    (tmp_path / "none" / "bad.json").write_text("[3]")
    with pytest.raises(InputError, match=r"bad\.json\[0\]: not an architecture"):
        searched(tmp_path / "none")


def block(dense: str, sparse: str, *, fm: bool) -> BlockChoice:
    return BlockChoice((dense,), (sparse,), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=fm)


def test_searches_are_collected_for_the_comparison(tmp_path: Path) -> None:
    """A finalist's figure is that of its first training, not of another seed; winners come back as architectures."""
    arch = Arch((block("fc", "attention", fm=False), block("dot", "efc", fm=True)))  # nobody reads the first block
    other = Arch((block("deep", "efc", fm=False),))
    trainings = [("retrain-0-0.25-0", 0.35), ("retrain-1-0.25-0", 0.34), ("retrain-1-0.25-1", 0.39)]
    summary = {
        "format": SUMMARY_FORMAT,
        "version": 1,
        "options": {"strategy": "random", "seed": 3},
        "search": {"log_losses": [0.5, 0.4]},
        "finalists": [
            {"number": 1, "parent": None, "macs": 10, "arch": arch.to_json()},
            {"number": None, "parent": 0, "macs": 20, "arch": other.to_json()},
        ],
        "retraining": [{"name": name, "log_loss": loss} for name, loss in trainings],
        "winner": {"arch": arch.to_json()},
        "spent": {
            "wall_s": {"search": 60.0, "retrain-0-0.25-0": 40.0, "retrain-1-0.25-0": 20.0, "retrain-1-0.25-1": 180.0}
        },
    }
    (tmp_path / "run").mkdir()
    for name, content, changed in (("run.json", "{}", 1000), ("summary.json", json.dumps(summary), 1180)):
        (tmp_path / "run" / name).write_text(content)
        os.utime(tmp_path / "run" / name, (changed, changed))
    arguments = ["searches", tmp_path / "run", "--out", tmp_path / "out.json", "--winners", tmp_path / "winners"]
    found = CliRunner().invoke(movielens.app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    results = json.loads((tmp_path / "out.json").read_text())
    (one,) = results["searches"]
    assert (one["strategy"], one["seed"], one["spent"]) == ("random", 3, summary["spent"])
    assert [(finalist["searched"], finalist["trained"]) for finalist in one["finalists"]] == [(0.4, 0.35), (None, 0.34)]
    assert one["minutes"] == 3.0
    assert one["origins"]["one-shot best"] == {"count": 1, "mean": 0.35, "least": 0.35}
    assert one["origins"]["children"] == {"count": 1, "mean": 0.34, "least": 0.34}
    assert results["operators"] == {
        "deep": {"count": 1, "mean": 0.34, "least": 0.34, "wall_s": 20.0},
        "dot": {"count": 1, "mean": 0.35, "least": 0.35, "wall_s": 40.0},
        "efc": {"count": 2, "mean": pytest.approx(0.345), "least": 0.34, "wall_s": 30.0},
        "fm": {"count": 1, "mean": 0.35, "least": 0.35, "wall_s": 40.0},
    }
    assert "random, seed 3: 3.0 min; mean log loss of 1 one-shot best 0.3500; 1 children 0.3400\n" in found.stdout
    assert "efc: log loss 0.3450 on average, 0.3400 at best, 30.0 s a training (2)\n" in found.stdout
    assert searched(tmp_path / "winners" / "random") == {"seed3": arch}
    again = CliRunner().invoke(movielens.app, [str(argument) for argument in arguments])
    assert isinstance(again.exception, InputError) and "not empty" in str(again.exception)
    twice = ["searches", tmp_path / "run", *arguments[1:-1], tmp_path / "others"]
    refused = CliRunner().invoke(movielens.app, [str(argument) for argument in twice])
    assert "2 searches, but 1 strategies and seeds" in str(refused.exception) and not (tmp_path / "others").exists()


def test_a_finalist_of_two_searches_counts_once() -> None:
    finalist = {"trained": 0.3, "macs": 7, "operators": ["efc", "fc"], "wall_s": 2.0}
    other = {**finalist, "trained": 0.4}
    found = by_operator([finalist, {**finalist, "wall_s": 3.0}, other, {**finalist, "trained": None}])
    assert {name: line["count"] for name, line in found.items()} == {"efc": 2, "fc": 2}
    assert found["fc"]["mean"] == pytest.approx(0.35) and found["fc"]["least"] == 0.3


def test_groups_need_names_of_their_own(tmp_path: Path) -> None:
    data = prepare(SyntheticLog(100, 0), tmp_path / "data", seed=0)
    arguments = ["models", "--data", data.folder, "--work", tmp_path, "--out", tmp_path / "out.json"]
    for folder in ("a", "b"):
        arguments += ["--searched", tmp_path / folder / "evolution"]
    found = CliRunner().invoke(movielens.app, [str(argument) for argument in arguments])
    assert "every group needs a name of its own" in str(found.exception)


def test_only_searched_networks_need_some(tmp_path: Path) -> None:
    data = prepare(SyntheticLog(100, 0), tmp_path / "data", seed=0)
    arguments = ["models", "--data", data.folder, "--work", tmp_path, "--out", tmp_path / "out.json", "--only-searched"]
    for more in ([], ["--searched", tmp_path, "--model", "fm"]):
        found = CliRunner().invoke(movielens.app, [str(argument) for argument in [*arguments, *more]])
        assert "--only-searched goes with --searched, and without --model" in str(found.exception)


def test_models_that_nobody_has_say_why() -> None:
    assert hand_made("dlrm", "nasrec")[0] == "nasrec"
    assert hand_made("wide", "nasrec") == "nasrec has no wide"


def test_versions_of_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUXICTR", str(tmp_path))
    assert versions()["fuxictr"] == "absent"
    (tmp_path / "model_zoo").mkdir()
    (tmp_path / "fuxictr").mkdir()
    (tmp_path / "fuxictr" / "version.py").write_text('__version__ = "7.8.9"\n')
    assert versions()["fuxictr"] == "7.8.9" and set(versions()) == set(LIBRARIES)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = prepare(SyntheticLog(3000, 0), tmp_path / "data", seed=0)
    (tmp_path / "archs.json").write_text(json.dumps(FULL.sample(np.random.default_rng(0)).to_json()))
    grid = (Point("adagrad", 0.1, 2), Point("adam", 1e-3, 1), Point("adam", 3e37, 2))
    monkeypatch.setattr(movielens, "GRID", grid)
    monkeypatch.setattr(movielens, "RECIPE", TrainOptions(patience=1))
    arguments = ["models", "--data", data.folder, "--work", tmp_path / "work", "--out", tmp_path / "out.json"]
    arguments += ["--model", "nasrec/logistic_regression", "--model", "nasrec/dlrm", "--seeds", 2]

    def run(*more: object) -> str:
        found = CliRunner().invoke(movielens.app, [str(argument) for argument in [*arguments, *more]])
        assert found.exit_code == 0, found.output
        return found.stdout

    output = run()
    file = tmp_path / "work" / "trainings.jsonl"
    before = file.read_text()
    assert len(before.splitlines()) == 2 * (3 + 2)
    results = json.loads((tmp_path / "out.json").read_text())
    best = min(results["models"], key=lambda one: one["log_loss"])
    assert all(one["to_best"]["hand-made"]["name"] == best["name"] for one in results["models"])
    assert best["to_best"]["hand-made"]["mean"] == 0.0 and best["name"] in output
    assert sum(record["validation_log_loss"] is None for record in map(json.loads, before.splitlines())) == 2  # 3e37
    assert run() == output and file.read_text() == before  # nothing was trained again
    file.write_text(before[:-20])  # a kill in the middle of the last line
    run("--searched", tmp_path / "archs.json")
    results = json.loads((tmp_path / "out.json").read_text())
    assert [one["name"] for one in results["models"]] == ["nasrec/logistic_regression", "nasrec/dlrm", "archs:archs"]
    again = {json.loads(line)["key"] for line in file.read_text().splitlines() if line.endswith("}")}
    assert {json.loads(line)["key"] for line in before.splitlines()} < again
    tried = results["models"][2]
    assert tried["to_best"]["archs"]["mean"] == 0.0 and results["groups"]["archs"]["members"] == 1
    assert tried["macs"] > 0 and tried["arch"] is not None
    arguments[-6:-2] = ["--only-searched"]
    run("--searched", tmp_path / "archs.json")
    only = json.loads((tmp_path / "out.json").read_text())
    assert [one["log_loss"] for one in only["models"]] == [tried["log_loss"]] and [*only["groups"]] == ["archs"]
    for one in results["models"]:  # the point of the grid is the best one on validation rows
        tries = {(entry["optimizer"], entry["learning_rate"]): entry["validation_log_loss"] for entry in one["tuning"]}
        chosen = tries[one["optimizer"], one["learning_rate"]]
        assert chosen == min(loss for loss in tries.values() if loss is not None)
