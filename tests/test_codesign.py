"""The whole job from outside: its files, and what the other commands make of them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run import ROWS, call, succeed, summary_of, temporary_files

from nasrec.candidate_space import ChipSpace
from nasrec.checkpoint import load_checkpoint
from nasrec.data.synthetic import write_criteo
from nasrec.hardware import cost_of, measure
from nasrec.report.summary import Summary
from nasrec.winners import read_winner

UNSEEN = "rows=600,start=2000"


def test_a_run_leaves_its_results_and_nothing_else(finished_run: Path) -> None:
    data = ("dense.npy", "encoder.json", "ids.npy", "labels.npy", "rows.json", "vocabulary.parquet")
    winners = ("arch.json", "chip.toml", *(f"data/{name}" for name in data), "weights.safetensors", "workload.json")
    assert sorted(path.relative_to(finished_run).as_posix() for path in (finished_run / "best").rglob("*.*")) == [
        f"best/{place}/{name}" for place in range(3) for name in winners
    ]
    assert {"report.html", "report.png", "summary.json"} <= {path.name for path in finished_run.iterdir()}
    assert temporary_files(finished_run) == []
    kept = sorted(path.relative_to(finished_run).as_posix() for path in (finished_run / "baselines").rglob("*.*"))
    assert kept == [f"baselines/{name}.safetensors" for name in ("deepfm", "dlrm", "logistic_regression")]
    assert not list((finished_run / "finalists").rglob("training")), "checkpoints of finished trainings"


def test_winners_score_new_rows_when_the_prepared_data_are_gone(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    score = ("score", finished_run, "--data", f"synthetic:{UNSEEN}", "--json")
    expected = json.loads(succeed("nasrec", *score))
    shutil.rmtree(tmp_path / "run" / "data")
    assert json.loads(succeed("nasrec", "score", tmp_path / "run", *score[2:])) == expected


def test_the_summary_holds_three_winners_and_three_baselines(finished_run: Path) -> None:
    summary = summary_of(finished_run)
    Summary.parse(summary)
    assert [winner["name"] for winner in summary["winners"]] == ["knee", "log_loss", "energy"]
    assert {baseline["name"] for baseline in summary["baselines"]} == {"logistic_regression", "dlrm", "deepfm"}
    assert summary["data"]["rows"] == {"train": 1600, "validation": 200, "test": 200}
    for strategy in ("joint", "random"):
        (seed,) = summary["search"]["strategies"][strategy]["seeds"]
        assert len(seed["trials"]) == len(seed["hypervolume"]) == 8
    for winner in summary["winners"]:
        assert winner["test"]["rows"] == 200
        assert winner["test"]["log_loss"] != winner["test"]["log_loss_crossbar"]


def test_no_chip_of_the_space_gives_a_winner_the_same_numbers_for_less(finished_run: Path) -> None:
    space = ChipSpace()
    for place in range(3):
        candidate, features, _ = read_winner(finished_run / "best" / str(place))
        costs = {}
        for columns, shared, copies in product(space.columns, space.columns_per_adc, space.copies):
            chip = replace(candidate.chip, columns=columns, columns_per_adc=shared, copies=copies)
            cost = cost_of(measure(replace(candidate, chip=chip), features))
            costs[chip] = (cost.energy_j, cost.latency_s, cost.area_m2)
        own = costs[candidate.chip]
        assert not [one for one in costs.values() if one != own and all(np.less_equal(one, own))]


def test_the_winner_by_energy_is_the_cheapest_no_worse_than_the_best_baseline_in_reach(finished_run: Path) -> None:
    def result(file: Path) -> Any:
        return json.loads(file.read_text())["result"]

    stages, summary = finished_run / "stages", summary_of(finished_run)
    compared = [baseline["compared"]["log_loss"] for baseline in summary["baselines"]]
    for baseline in summary["baselines"]:  # in float, on the same 200 rows
        assert baseline["compared"]["log_loss"] == pytest.approx(baseline["scored_log_loss"], abs=0.01)
        assert baseline["compared"]["cheapest"]["energy_j"] < baseline["hardware"]["energy_j"]  # ISAAC's is lossless
    others = [winner["candidate"] for winner in summary["winners"][:2]]
    reference = summary["search"]["reference_point"]
    trials = [trial for file in stages.glob("finalist-*.json") for trial in result(file)["trials"]]
    free = [one for one in trials if all(np.less(one["values"], reference)) and one["candidate"] not in others]
    useful = [one["values"] for one in trials if all(np.less(one["values"], reference))]
    reached = min(rival for rival in compared if any(values[0] <= rival for values in useful))
    as_good = [one for one in free if one["values"][0] <= reached] or free
    cheapest = min(one["values"][1] for one in as_good)
    assert summary["winners"][2]["hardware"]["energy_j"] == pytest.approx(cheapest, rel=1e-12)


def test_unseen_rows_score_alike_from_the_generator_and_from_a_raw_log(finished_run: Path, tmp_path: Path) -> None:
    raw = tmp_path / "train.txt"
    write_criteo(raw, rows=600, start=2000)
    from_log = json.loads(succeed("nasrec", "score", finished_run, "--data", f"criteo:{raw}", "--json"))
    generated = json.loads(succeed("nasrec", "score", finished_run, "--data", f"synthetic:{UNSEEN}", "--json"))
    assert generated == from_log
    assert [score["winner"] for score in generated] == ["knee", "log_loss", "energy"]
    for score in generated:
        assert {"winner", "log_loss", "auc", "log_loss_crossbar", "rows"} <= set(score)
        assert score["rows"] == 600
        assert 0 < score["log_loss"] < 5
        assert 0 <= score["auc"] <= 1


def test_the_report_is_written_again(finished_run: Path, tmp_path: Path) -> None:
    shutil.copy(finished_run / "summary.json", tmp_path)
    assert "report.html" in succeed("nasrec", "report", tmp_path)
    assert (tmp_path / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=.http", (tmp_path / "report.html").read_text())


def test_pimsim_finds_the_costs_of_the_summary(finished_run: Path) -> None:
    for place, winner in enumerate(summary_of(finished_run)["winners"]):
        folder = finished_run / "best" / str(place)
        told = succeed("pimsim", "evaluate", folder / "workload.json", "--chip", folder / "chip.toml", "--json")
        found = json.loads(told)
        for name in ("energy_j", "latency_s", "area_m2", "interval_s", "crossbars"):
            assert found[name] == winner["hardware"][name], name
        assert sum(op["energy_j"] for op in winner["hardware"]["by_op"]) == pytest.approx(found["dynamic_j"])
    assert "isaac" in succeed("pimsim", "evaluate", folder / "workload.json", "--chip", "isaac")


def test_any_table_with_a_multi_hot_column(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_table(tmp_path / "train.csv", rng, rows=800)
    (tmp_path / "schema.toml").write_text(SCHEMA.format(file="train.csv"))
    (tmp_path / "tiny.toml").write_text(TINY)
    out = tmp_path / "run"
    succeed(
        "nasrec", "codesign", "--data", "table:schema.toml", "--config", "tiny.toml", "--out", out, "--workers", 1,
        cwd=tmp_path,
    )
    tables = {table["name"]: table for table in summary_of(out)["data"]["features"]["tables"]}
    assert {name for name, table in tables.items() if table["multi_hot"]} == {"tags"}
    assert tables["tags"]["lookups"] > 1
    assert summary_of(out)["data"]["optimum"] == {"train": None, "validation": None, "test": None}
    assert summary_of(out)["gap_closed"] is None

    write_table(tmp_path / "clicks.csv", rng, rows=50, label=1)
    (tmp_path / "clicks.toml").write_text(SCHEMA.format(file="clicks.csv"))
    scores = json.loads(succeed("nasrec", "score", out, "--data", f"table:{tmp_path / 'clicks.toml'}", "--json"))
    assert scores
    for score in scores:
        assert score["auc"] is None, "one class only"
        assert score["log_loss"] > 0
    table = succeed("nasrec", "score", out, "--data", f"table:{tmp_path / 'clicks.toml'}")
    assert table.count("undefined") == len(scores)


def test_a_diverged_training_stops_with_its_step_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    options = tmp_path / "absurd.toml"
    options.write_text(TINY.replace("[supernet]", "[supernet]\nlearning_rate = 1e30"))
    done = call("nasrec", "codesign", "--data", ROWS, "--config", options, "--out", tmp_path / "run", "--workers", 2)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nasrec: training diverged at step 1 of 52: loss is nan")
    assert "Traceback" not in done.stderr
    checkpoint = load_checkpoint(tmp_path / "run" / "supernet.safetensors")
    assert checkpoint.facts["step"] == 1
    assert temporary_files(tmp_path / "run") == []


SCHEMA = """
files = ["{file}"]
[columns]
rating = {{ kind = "label", positive_from = 4 }}
age = "dense"
user = "category"
tags = {{ kind = "bag", separator = "|" }}
time = "ignore"
"""
TINY = """
[space]
blocks = 1
dense_widths = [8]
sparse_widths = [8]
[supernet]
batch_size = 128
[search]
evaluations = 3
population = 2
compare = []
[search.score]
fine_tune_rows = 128
fine_tune_steps = 2
calibration_rows = 64
rows = 64
[winners]
epochs = 1
[baselines]
epochs = 1
learning_rates = [0.12]
"""


def write_table(path: Path, rng: np.random.Generator, rows: int, label: int | None = None) -> None:
    """A CSV of ratings: missing ages, unknown users, bags of 0 to 4 tags; all of one class if `label` is given."""
    lines = ["rating,age,user,tags,time"]
    for row in range(rows):
        rating = rng.integers(1, 6) if label is None else 5 * label
        age = "" if rng.random() < 0.1 else f"{rng.uniform(18, 80):.1f}"
        tags = "|".join(f"t{tag}" for tag in rng.integers(0, 30, rng.integers(0, 5)))
        lines.append(f'{rating},{age},u{rng.integers(0, 40)},"{tags}",{row}')
    path.write_text("\n".join(lines) + "\n")
