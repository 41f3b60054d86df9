"""A rank study of seconds: its parts in any order, interrupted and resumed, from Python and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_run import call, refused

from nasrec.cli_rank import rank as rank_command
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.errors import InputError
from nasrec.metrics import log_loss
from nasrec.model.subnet import Subnet
from nasrec.nas.rank import RankRun, rank
from nasrec.nas.rank_options import RankOptions, TruthOptions
from nasrec.nas.rank_truth import draw, train_from_scratch
from nasrec.predict import predict
from nasrec.sampling import step_arch
from nasrec.space import FULL, SAMPLING, Space
from nasrec.train import TrainOptions, train_subnet

DATA = "synthetic:rows=2000"
NO_CONTEXT: Any = SimpleNamespace(get_parameter_source=lambda name: None)  # nothing stood on the command line
TINY = Space("full", 2, dense_widths=(8, 16), sparse_widths=(8,))
SETTINGS: dict[str, Any] = {
    "subnets": 3,
    "strategies": ["single-operator"],
    "resamples": 100,
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_widths": [8]},
    "supernet": {"batch_size": 128},
    "score": {"fine_tune_rows": 256, "fine_tune_steps": 5, "rows": 200},
    "truth": {"batch_size": 128, "learning_rates": [0.12, 0.03]},
}


def study(folder: Path, **changes: Any) -> RankRun:
    return RankRun.create(folder, DATA, RankOptions.model_validate({**SETTINGS, **changes}))


def timeless(summary: dict[str, Any]) -> dict[str, Any]:
    """Without seconds."""
    if isinstance(summary, dict):
        return {name: timeless(part) for name, part in summary.items() if not name.endswith("_s")}
    return [timeless(part) for part in summary] if isinstance(summary, list) else summary


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(open_source(DATA), tmp_path_factory.mktemp("rows") / "rows", seed=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RankRun, dict[str, Any]]:
    run = study(tmp_path_factory.mktemp("rank") / "study")
    return run, rank(run)


def test_draws_do_not_depend_on_how_many() -> None:
    assert draw(FULL, 0, 3) == draw(FULL, 0, 3) != draw(FULL, 1, 3)
    assert len({draw(FULL, 0, number) for number in range(20)}) == 20
    assert all(len(block.dense_ops) == len(block.sparse_ops) == 1 for block in draw(FULL, 0, 0).blocks)


@pytest.mark.parametrize(
    ("repeated", "expected"),
    [
        (0, [(0, 4), (1, 4), (2, 4)]),
        (1, [(0, 4), (1, 4), (2, 4), (0, 7)]),
        (9, [(0, 4), (1, 4), (2, 4), (0, 7), (1, 7), (2, 7)]),
    ],
)
def test_which_subnets_are_trained_twice(repeated: int, expected: list[tuple[int, int]]) -> None:
    options = TruthOptions(seeds=(4, 7), repeated=repeated, learning_rates=(0.1, 0.3))
    assert options.trainings(3) == [
        (number, seed, rate) for seed in (4, 7) for rate in (0.1, 0.3) for number, s in expected if s == seed
    ]


def test_truth_is_a_training_like_any_other(data: Prepared) -> None:
    """The same numbers as training by hand, at the best epoch."""
    arch, options = draw(TINY, 0, 1), TrainOptions(epochs=8, batch_size=16, learning_rate=1.0, patience=1)
    found = train_from_scratch(arch, data, options)
    assert found["log_loss"] == min(found["by_epoch"]) and 2 <= len(found["by_epoch"]) < 8, "it stopped early"
    model = Subnet(arch, data.features, generator=torch.Generator().manual_seed(0))
    assert not model.layernorm
    train_subnet(model, data.split("train"), data.split("validation"), options)
    for split, value in (("validation", found["log_loss"]), ("test", found["test"]["log_loss"])):
        assert value == log_loss(predict(model, data.split(split)), data.split(split).labels)


def test_a_truth_stops_where_it_is_told(data: Prepared) -> None:
    """Under the schedule of all epochs: the same log losses, fewer of them."""
    whole = TruthOptions(epochs=3, patience=3, batch_size=64)
    cut = whole.model_copy(update={"stop_after": 2})
    found = [train_from_scratch(draw(TINY, 0, 1), data, one.train_options(0, 0.1))["by_epoch"] for one in (whole, cut)]
    assert found[1] == found[0][:2] and len(found[0]) == 3


def test_a_truth_that_diverges_says_so(data: Prepared) -> None:
    found = train_from_scratch(draw(TINY, 0, 0), data, TrainOptions(epochs=1, batch_size=128, learning_rate=1e30))
    assert "diverged" in found["diverged"] and found["log_loss"] is None and found["test"] is None


def test_summary(finished: tuple[RankRun, dict[str, Any]]) -> None:
    run, summary = finished
    assert json.loads((run.folder / "rank.json").read_text()) == summary
    assert (run.folder / "rank.png").stat().st_size > 0
    assert [row["subnet"] for row in summary["subnets"]] == [0, 1, 2]
    assert set(summary["subnets"][0]["by_seed"]) == {"0", "1"}
    assert summary["strategies"]["single-operator"]["after"]["validation"]["count"] == 3
    assert summary["truth"]["between_seeds"]["count"] == 3
    assert summary["truth"]["wall_s"] > 0
    losses = [row["one_shot"]["single-operator"]["after"] for row in summary["subnets"]]
    assert np.isfinite(losses).all() and len(set(losses)) == 3


def test_parts_in_any_order_and_a_lost_subnet(finished: tuple[RankRun, dict[str, Any]], tmp_path: Path) -> None:
    run = study(tmp_path / "study")
    assert rank(run, "report")["subnets"] == []
    first = rank(run, "scores")
    assert first["subnets"] == [], "a subnet without a truth has no row"
    second = rank(run, "truth")
    assert timeless(second) == timeless(finished[1])
    for stage in ("truth-001-1-0.12", "score-single-operator-1-002", "scores-single-operator-1"):
        (run.folder / "stages" / f"{stage}.json").unlink()
    kept = run.folder / "stages" / "truth-000-0-0.12.json"
    before = kept.stat().st_mtime_ns
    assert timeless(rank(RankRun.open(run.folder))) == timeless(finished[1])
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("strategy", SAMPLING)
def test_the_supernet_does_not_train_the_studied_networks_first(strategy: str) -> None:
    options = RankOptions(seed=4, supernets=2)
    studied = {draw(FULL, options.seed, number) for number in range(options.subnets)}
    for seed in options.supernet_seeds:
        training = TrainOptions(seed=options.search(strategy, seed).seed, sampling=strategy)
        assert not studied & {step_arch(FULL, training, step) for step in range(3 * options.subnets)}
    assert list(RankOptions(seed=4, supernet_seed=9, supernets=3).supernet_seeds) == [9, 10, 11]
    with pytest.raises(ValueError, match="2 supernets from it on would have the study's own seed 4 among theirs"):
        RankOptions(seed=4, supernet_seed=3, supernets=2)


def test_another_supernet_for_the_same_truth(finished: tuple[RankRun, dict[str, Any]], tmp_path: Path) -> None:
    """The truth is read, not trained again; two supernets, one of another seed, score otherwise, by their mean."""
    first, summary = finished
    rank_command(NO_CONTEXT, out=tmp_path / "study", truth=first.folder, workers=1, preset="paper", settings=[
        "supernet_seed=1", "supernets=2", "strategies=['single-operator']", "supernet.batch_size=128",
        "score.fine_tune_rows=256", "score.fine_tune_steps=5", "score.rows=200", f"resamples={first.options.resamples}",
    ])  # fmt: skip
    found = json.loads((tmp_path / "study" / "rank.json").read_text())
    assert not list((tmp_path / "study" / "stages").glob("truth-*"))
    assert not (tmp_path / "study" / "data").exists()
    assert found["truth"] | {"wall_s": 0} == summary["truth"] | {"wall_s": 0}
    for row, before in zip(found["subnets"], summary["subnets"], strict=True):
        assert row["validation"] == before["validation"]
        (shot,), (alone,) = row["one_shot"].values(), before["one_shot"].values()
        both = shot["by_supernet"]
        assert list(both) == ["1", "2"] and both["1"] == alone["by_supernet"]["1"] != both["2"]
        assert shot["after"] == pytest.approx((both["1"]["after"] + both["2"]["after"]) / 2)
    of_strategy = found["strategies"]["single-operator"]
    assert set(of_strategy["by_supernet"]) == {"1", "2"}
    by_first, alone = of_strategy["by_supernet"]["1"], summary["strategies"]["single-operator"]
    assert by_first == {time: alone[time] for time in by_first}


def test_no_supernet_has_the_seed_of_the_study_whose_truth_it_shares(tmp_path: Path) -> None:
    other = RankOptions.model_validate({**SETTINGS, "seed": 5})
    mine = RankOptions.model_validate({**SETTINGS, "supernet_seed": 4, "supernets": 3})
    with pytest.raises(InputError, match=r"--truth .*supernet_seed is 4: .*the study's own seed 5"):
        mine.sharing_truth(tmp_path, other)
    shared = RankOptions.model_validate({**SETTINGS, "supernet_seed": 6}).sharing_truth(tmp_path, other)
    assert (shared.seed, shared.supernet_seed, shared.truth_from) == (5, 6, str(tmp_path.resolve()))
    assert RankOptions.model_validate(shared.model_dump(mode="json")) == shared


@pytest.mark.parametrize(("option", "value"), [("--seed", "1"), ("--subnets", "9"), ("--data", DATA)])
def test_what_the_shared_truth_decides_is_refused_beside_it(tmp_path: Path, option: str, value: str) -> None:
    done = call("nasrec", "rank", "--truth", tmp_path, option, value, "--out", tmp_path / "study")
    assert refused(done) == f"nasrec: {option} stands beside --truth, whose study decides it: leave it out"


def test_command(tmp_path: Path) -> None:
    """A file's options over the preset's, the command line's over the file's."""
    config, out = tmp_path / "study.toml", tmp_path / "study"
    lines = ["subnets = 9", "seed = 3", "strategies = ['single-operator', 'any-path']", "[truth]", "batch_size = 128"]
    for table in ("space", "supernet", "score"):
        lines += [f"[{table}]", *(f"{key} = {value}" for key, value in SETTINGS[table].items())]
    config.write_text("\n".join(lines))
    command = ["rank", "--data", DATA, "--config", config, "--out", out, "--subnets", "2", "--workers", "2"]
    command += ["--set", "strategies=['single-operator']"]
    done = call("nasrec", *command, "--part", "truth")
    assert done.returncode == 0, done.stderr
    assert not (out / "supernets").exists()
    done = call("nasrec", "rank", "--resume", out)
    assert done.returncode == 0, done.stderr
    assert "after fine-tuning" in done.stdout and "Kendall" in done.stdout
    assert "trained from scratch: 2 subnets" in done.stdout and "with the seed by 0.0" in done.stdout
    found = json.loads((out / "rank.json").read_text())
    assert len(found["subnets"]) == 2 and set(found["strategies"]) == {"single-operator"}
    assert found["options"]["seed"] == 3 and found["options"]["truth"]["batch_size"] == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "slow"}, "preset 'slow': allowed are paper, fast"),
        ({"part": "half"}, "--part half: allowed are all, truth, scores, report"),
        ({"settings": ["truth.epoch=1"]}, "unknown key 'truth.epoch': allowed are epochs"),
        ({"settings": ["strategies=['paths']"]}, "--set strategies=['paths']: strategies.0 is 'paths'"),
        ({"data": "table:nowhere.toml"}, "nowhere.toml"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        rank_command(NO_CONTEXT, **{"out": tmp_path / "study", **arguments})
    assert not (tmp_path / "study").exists()
