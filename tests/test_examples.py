"""The files in examples/ are what README and CONTRIBUTING say they are."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from math import prod
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.published import SPACE, criteo_full
from nasrec.nas.presets import preset
from nasrec.nas.rank_options import RankOptions
from nasrec.sections import changed, read_toml
from nasrec.space import EXTENDED
from pimsim.files import read_workload
from pimsim.space_file import space_from_toml

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def test_the_workload_is_the_published_architecture() -> None:
    assert read_workload(EXAMPLES / "criteo_full.json") == criteo_full()


def test_the_space_has_as_many_chips_as_it_says() -> None:
    assert SPACE.parent == EXAMPLES
    said = SPACE.read_text(encoding="utf-8").split()[1]
    assert f"{prod(map(len, space_from_toml(SPACE).axes.values())):,}" == said


def test_the_chip_runs_the_workload() -> None:
    command = [Path(sys.executable).with_name("pimsim"), "evaluate", "examples/criteo_full.json"]
    run = subprocess.run([*command, "--chip", "examples/small_adc.toml", "--json"],
                         capture_output=True, text=True, check=True, cwd=ROOT)
    report = json.loads(run.stdout)
    assert report["workload"] == "criteo_full"
    assert report["energy_j"] > report["dynamic_j"] > 0


def test_the_search_on_movielens_has_the_space_and_the_target_that_it_names() -> None:
    path = EXAMPLES / "movielens_search.toml"
    options = changed(preset("fast"), read_toml(path), str(path))
    space, refine = options.space.space(), options.refine
    assert space.blocks == 2 and space.dense_ops == EXTENDED.dense_ops and options.evolution.evaluations == 512
    said = f"{options.evolution.beta} (MACs / {options.evolution.target_macs:,} - 1)"
    assert said in path.read_text(encoding="utf-8")
    assert space.sparse_ops == ("efc", "skip")
    trained = options.retrain.top + refine.fresh + refine.rounds * refine.children
    assert f"{trained} are trained" in path.read_text(encoding="utf-8")


def test_the_searches_of_the_results_are_those_of_the_example() -> None:
    path = EXAMPLES / "movielens_search.toml"
    results = json.loads((EXAMPLES.parent / "benchmarks/results/movielens-searches.json").read_text(encoding="utf-8"))
    kinds = [(one["strategy"], one["seed"]) for one in results["searches"]]
    assert sorted(kinds) == [(strategy, seed) for strategy in ("evolution", "random") for seed in range(3)]
    for one in results["searches"]:
        chosen = {**read_toml(path), "seed": one["seed"], "strategy": one["strategy"]}
        assert one["options"] == changed(preset("fast"), chosen, "example").model_dump(mode="json")
    models = json.loads((EXAMPLES.parent / "benchmarks/results/movielens-models.json").read_text(encoding="utf-8"))
    compared = {line["name"]: (line["macs"], line["arch"]) for line in models["models"] if line["arch"] is not None}
    searches = {f"{one['strategy']}:seed{one['seed']}": one["winner"] for one in results["searches"]}
    (paper,) = json.loads((EXAMPLES.parent / "benchmarks/results/movielens-paper.json").read_text("utf-8"))["searches"]
    searches[f"paper:seed{paper['seed']}"] = paper["winner"]
    assert compared == {name: (winner["macs"], winner["arch"]) for name, winner in searches.items()}


def test_the_search_with_the_published_numbers_ends_where_the_fast_one_does() -> None:
    """The same example over the preset `paper`: test log losses of both winners, paired by seed."""
    path, results = EXAMPLES / "movielens_search.toml", EXAMPLES.parent / "benchmarks/results"
    (paper,) = json.loads((results / "movielens-paper.json").read_text(encoding="utf-8"))["searches"]
    assert paper["options"] == changed(preset("paper"), read_toml(path), "example").model_dump(mode="json")
    searches = json.loads((results / "movielens-searches.json").read_text(encoding="utf-8"))["searches"]
    (fast,) = (one for one in searches if (one["strategy"], one["seed"]) == (paper["strategy"], paper["seed"]))
    both = [[seed["log_loss"] for seed in one["winner"]["test"]["seeds"]] for one in (paper, fast)]
    gaps = np.subtract(*both)
    assert abs(gaps.mean()) < gaps.std(ddof=1) / np.sqrt(len(gaps))
    assert paper["minutes"] < 6 * 60 and fast["minutes"] < 60


SHOWN = (("before", "kendall"), ("after", "kendall"), ("after", "pearson"))  # columns of the table in benchmarks/README


def test_the_rank_study_of_the_results_is_that_of_the_example() -> None:
    """Its options, its log losses by the trainings that are kept, and its Kendall's tau by scipy."""
    path, folder = EXAMPLES / "movielens_rank.toml", ROOT / "benchmarks/results/movielens-rank"
    results = json.loads((folder / "rank.json").read_text(encoding="utf-8"))
    options = changed(RankOptions.of_preset(preset("fast")), read_toml(path), "example")
    assert results["options"] == options.model_dump(mode="json")
    kept = {one.stem: json.loads(one.read_text(encoding="utf-8"))["result"] for one in folder.glob("stages/*.json")}
    by_seed = {(row["subnet"], seed): loss for row in results["subnets"] for seed, loss in row["by_seed"].items()}
    assert by_seed == {(int(name[6:9]), name[10]): one["log_loss"] for name, one in kept.items()}
    assert all(len(one["by_epoch"]) == options.truth.stop_after for one in kept.values())
    second, third = ([one["by_epoch"][epoch] for one in kept.values()] for epoch in (1, 2))
    said = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    plain = " ".join(said.split())
    assert f"with a tau of {kendalltau(second, third)[0]:.2f} only" in plain
    assert set(kept) == {f"truth-{number:03d}-{seed}-{rate}" for number, seed, rate in options.truth.trainings(100)}
    unseen = [row for row in results["subnets"] if row["subnet"] >= 26]
    taus = {
        name: kendalltau(*zip(*((row["one_shot"][name]["after"], row["validation"]) for row in unseen), strict=True))[0]
        for name in results["strategies"]
    }
    listed = "{single-operator:.2f} (single operator), {single-path:.2f} (single path) and {any-path:.2f} (any path)"
    assert len(unseen) == 74
    assert f"give {listed.format(**taus)} after fine-tuning" in plain
    seeds = [np.array(losses) for losses in zip(*(row["by_seed"].values() for row in results["subnets"]), strict=True)]
    assert len(seeds) == len(options.truth.seeds) == 4
    pairs = [kendalltau(a, b)[0] for a, b in combinations(seeds, 2)]
    assert f"with a tau of {min(pairs):.2f} to {max(pairs):.2f}, by the pair" in plain
    first, *others = seeds
    halves = [kendalltau(first + one, sum(others) - one)[0] for one in others]
    assert f"as the other two's does with {min(halves):.2f} to {max(halves):.2f}" in plain
    of_two = [
        f"{kendalltau(seeds[0] + seeds[1], [row['one_shot'][name]['after'] for row in results['subnets']])[0]:.2f}"
        for name in ("single-operator", "single-path", "any-path")
    ]
    assert f"the means of the same supernets have {of_two[0]}, {of_two[1]} and {of_two[2]}" in plain
    by_supernet = [one for found in results["strategies"].values() for one in found["by_supernet"].values()]
    below = sum(one["after"]["validation"]["kendall"]["low"] < 0.35 for one in by_supernet)
    assert len(by_supernet) == 9 and f"alone, {below} of the nine miss the lower end" in plain
    for name, found in results["strategies"].items():
        cells = [
            f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
            for time, one in ((time, found[time]["validation"][kind]) for time, kind in SHOWN)
        ]
        by_seed = [one["after"]["validation"]["kendall"]["value"] for one in found["by_supernet"].values()]
        cells.append(", ".join(f"{tau:.2f}" for tau in by_seed))
        assert " | ".join(cells) in said.replace("**", "")
        assert found["after"]["validation"]["kendall"]["low"] >= 0.35
        scored = [row for row in results["subnets"] if name in row["one_shot"]]
        for time in ("before", "after"):
            pairs = [(row["one_shot"][name][time], row["validation"]) for row in scored]
            tau = found[time]["validation"]["kendall"]
            assert found[time]["validation"]["count"] == len(scored)
            assert tau["low"] < tau["value"] < tau["high"]
            assert tau["value"] == pytest.approx(kendalltau(*zip(*pairs, strict=True))[0])
