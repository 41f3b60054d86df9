"""The README's Python examples print what it says they print; its table of models is what was measured."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasrec.candidate_space import ChipSpace

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", README, flags=re.DOTALL)

NAMES = {
    "logistic_regression": "logistic regression", "fm": "FM", "deepfm": "DeepFM", "dcnv2": "DCNv2",
    "xdeepfm": "xDeepFM", "autoint+": "AutoInt+", "dlrm": "DLRM", "finalmlp": "FinalMLP",
    **{f"evolution:seed{seed}": f"**searched**: evolution, seed {seed}" for seed in range(3)},
    **{f"random:seed{seed}": f"searched: at random, seed {seed}" for seed in range(3)},
    "paper:seed0": "**searched**: evolution with `paper`, seed 0",
}  # fmt: skip


def test_there_is_an_example_of_each_package() -> None:
    assert len(EXAMPLES) == 2
    assert "from pimsim import" in EXAMPLES[0][0]
    assert "from nasrec" in EXAMPLES[1][0]


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=["pimsim", "nasrec"])
def test_an_example_prints_what_is_shown(code: str, printed: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == printed


def test_the_table_of_models_is_what_was_measured() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "movielens-models.json").read_text("utf-8"))
    lines = re.search(r"\| model \| MACs \| log loss \| AUC \|\n\|[-|]+\n((?:\|.*\n)+)", README)[1].splitlines()  # type: ignore[index]
    models = sorted(results["models"], key=lambda model: float(model["log_loss"]))
    assert lines == [
        f"| {NAMES[model['name']]} | {model['macs']:,} | {model['log_loss']:.4f} ± {model['log_loss_error']:.4f} "
        f"| {model['auc']:.4f} |"
        for model in models
    ]
    grid = {(point["optimizer"], point["learning_rate"]) for point in results["grid"]}
    for model in models:  # a best point on the edge of the grid would ask for a wider one
        rates = sorted(rate for optimizer, rate in grid if optimizer == model["optimizer"])
        assert rates[0] < model["learning_rate"] < rates[-1], model["name"]


ROLES = {
    "knee": "winner: knee", "log_loss": "winner: least log loss", "energy": "winner: least energy",
    "logistic_regression": "logistic regression on ISAAC", "dlrm": "DLRM on ISAAC", "deepfm": "DeepFM on ISAAC",
}  # fmt: skip
CODESIGNS = re.findall(r"\| model \| log loss \| log loss, crossbar .*\n\|[-|]+\n((?:\|.*\n)+)", README)


@pytest.mark.parametrize(("place", "name"), [(0, "codesign"), (1, "movielens")], ids=["generator", "movielens"])
def test_a_table_of_models_and_chips_is_what_was_measured(place: int, name: str) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
    assert len(CODESIGNS) == 2
    assert CODESIGNS[place].splitlines() == [
        f"| {ROLES[model['name']]} | {model['test']['log_loss']:.4f} | {model['test']['log_loss_crossbar']:.4f} "
        f"| {model['test']['auc']:.4f} | {model['hardware']['energy_j'] * 1e6:.3f} µJ "
        f"| {model['hardware']['latency_s'] * 1e6:.2f} µs | {model['hardware']['area_m2'] * 1e6:.2f} mm² |"
        for model in (*results["winners"], *results["baselines"])
    ]
    said = " ".join(README.split())
    means = {one: sum(by_seed.values()) / len(by_seed) for one, by_seed in results["hypervolume"].items()}
    assert f"{means['joint']:.4f}, random search {means['random']:.4f}, model first, then chip" in said
    assert f"model first, then chip {means['model_first']:.4f}" in said
    dlrm, deepfm = (one["compared"]["cheapest"] for one in results["baselines"] if one["name"] != "logistic_regression")
    told = [f"{one['energy_j'] * 1e6:.3f} µJ and {one['latency_s'] * 1e6:.2f} µs" for one in (dlrm, deepfm)]
    assert f"lossless chip of the same space DLRM would take {told[0]}, DeepFM {told[1]}" in said
    if name == "codesign":
        assert f"closes {results['gap_closed']:.0%} of the gap" in said
        return
    ahead = [
        sum(one > results["hypervolume"][other][seed] for seed, one in results["hypervolume"]["joint"].items())
        for other in ("random", "model_first")
    ]
    assert ahead == [5, 2] and "joint is ahead of random in all five, of model first in two." in said


def test_a_finalist_meets_as_many_chips_as_is_said() -> None:
    space = ChipSpace()
    shared = sum(len({min(each, columns) for each in space.columns_per_adc}) for columns in space.columns)
    others = (space.rows, space.cell_bits, space.dac_bits, space.adc_bits, space.copies)
    assert f"all {math.prod(map(len, others)) * shared:,} are costed at once" in " ".join(README.split())


def test_what_other_seeds_of_the_main_job_find_is_what_was_measured() -> None:
    read = {name: json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
            for name in ("codesign", "codesign-seeds")}  # fmt: skip
    found = read["codesign-seeds"]["hypervolume"]
    assert {name: by_seed["0"] for name, by_seed in found.items()} == {
        name: by_seed["0"] for name, by_seed in read["codesign"]["hypervolume"].items()
    }
    said = [f"{min(one.values()):.4f} to {max(one.values()):.4f} (mean {sum(one.values()) / len(one):.4f})"
            for one in (found["joint"], found["random"], found["model_first"])]  # fmt: skip
    assert f"{said[0]}, {said[1]} and {said[2]}: joint is ahead of either with every seed." in " ".join(README.split())
    assert all(found["joint"][seed] > max(found["random"][seed], found["model_first"][seed]) for seed in found["joint"])
    (least,) = (model for model in read["codesign-seeds"]["winners"] if model["name"] == "energy")
    ends = f"{least['test']['log_loss_crossbar']:.4f} and {least['hardware']['energy_j'] * 1e6:.3f} µJ."
    assert f'"least energy" ends at {ends}' in " ".join(README.split())
