"""The benchmarks themselves: targets against cases made up here, the file of a run, what is dropped as disturbed."""

from __future__ import annotations

import importlib
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import limits, process, report, roofline, timing
from benchmarks.masked_supernet import MaskedSupernet
from benchmarks.networks import Rows, features, flops, turns
from benchmarks.published import CRITEO_FULL
from benchmarks.record import Case, Run
from benchmarks.targets import TARGETS, Target, figures
from benchmarks.timing import Samples, take_turns
from nasrec.arch import Arch
from nasrec.model.subnet import Subnet
from nasrec.space import FULL, SMALL

FOLDER = Path(process.__file__).parent
TARGET = Target("a", "b", "dot_interaction", ({"dim": (16, 64)},), 2, ("torch", "other"), 3.0, 4.0)
SLOWER = replace(TARGET, measure="times as long", least=2.5, aim=1.5)


def case(ours_ms: float = 1.0, torch_ms: float = 3.0, **changes: object) -> Case:
    return replace(Case("dot_interaction", {"dim": 16}, 1, ours_ms, {"torch": torch_ms}), **changes)


def run_of(*cases: Case) -> Run:
    machine = {"model": "M", "cores": 2}
    return Run("avx2", "avx2", machine, {"python": "3"}, {"1": {"fma_flops": 1e11}}, {"numba": "absent"}, list(cases))


def test_measured_again() -> None:
    """Of a case that was measured twice the later figures count; on another machine nothing is put together."""
    before = run_of(case(1.0), case(2.0, params={"dim": 64}), case(3.0, threads=2))
    after = run_of(case(7.0, threads=2), case(8.0, params={"dim": 4})).after(before)
    assert [(found.params["dim"], found.threads, found.ours_ms) for found in after.cases] == [
        (16, 1, 1.0), (64, 1, 2.0), (16, 2, 7.0), (4, 1, 8.0),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"versions is .* nothing to add to"):
        run_of(case()).after(replace(before, versions={"python": "4"}))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_file_can_be_imported(path: Path) -> None:
    importlib.import_module(f"benchmarks.{path.stem}")


def test_the_readme_names_every_benchmark() -> None:
    named = set(re.findall(r"`(?:benchmarks/)?(\w+\.\w+)`", (FOLDER / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in FOLDER.glob("test_*.py")} <= named
    assert {name for name in named if name.endswith((".py", ".cpp"))} <= {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("torch_ms,said", [(2.99, "missed by 0%"), (3.0, "met"), (3.99, "met"), (4.0, "aim met")])
def test_a_target_is_met_from_its_bar_on(torch_ms: float, said: str) -> None:
    cases = [case(torch_ms=torch_ms), case(torch_ms=9.0, params={"dim": 64})]
    assert report.verdict(TARGET, cases).startswith(said)


def test_the_worst_case_and_the_best_peer_decide() -> None:
    cases = [case(torch_ms=6.0), case(params={"dim": 64}, peers_ms={"torch": 9.0, "other": 1.5})]
    assert [figure for _, figure in figures(TARGET, cases, 1)] == [6.0, 1.5]
    assert report.verdict(TARGET, cases) == "missed by 50% (dim=64)"


def test_times_as_long_is_better_when_smaller() -> None:
    cases = [case(ours_ms=6.0), case(ours_ms=7.5, params={"dim": 64})]
    assert report.verdict(SLOWER, cases) == "met"
    assert report.verdict(SLOWER, [*cases, case(ours_ms=9.0)]) == "missed by 20% (dim=16)"


def test_what_was_not_measured_or_is_doubtful_is_said() -> None:
    assert report.verdict(TARGET, []) == "not measured"
    assert report.verdict(TARGET, [case(peers_ms={})]) == "not measured"
    assert report.verdict(TARGET, [case(params={"dim": 128})]) == "not measured"
    assert report.verdict(TARGET, [case(threads=2)]) == "not measured"
    assert report.verdict(TARGET, [case()]) == "met, 1 of 2 cases"
    cases = [case(doubtful=["ours"]), case(params={"dim": 64})]
    assert report.verdict(TARGET, cases) == "met, doubtful"


def test_the_limit_that_binds_is_the_longest() -> None:
    assert case(2.0, limits_ms={"memory": 0.5, "arithmetic": 1.0}).limit == ("arithmetic", 0.5)
    assert case().limit is None


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    run = run_of(case(limits_ms={"memory": 0.25}, flops=1e6, bytes=1e6, waited=0.5, kept=9, dropped=1), case(0.123456))
    run.write(tmp_path / "made" / "kernels-avx2.json")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["kernels-avx2.json"]
    back = Run.read(tmp_path / "made" / "kernels-avx2.json")
    assert back == replace(run, cases=[run.cases[0], case(0.1235)])
    assert back.noise == {"waited_mean": 0.25, "waited_worst": 0.5, "samples_dropped": 0.1}


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"format": "nasrec.summary", "version": 1}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json: format 'nasrec\.summary'"):
        Run.read(tmp_path / "other.json")


def test_the_report_shows_every_target(tmp_path: Path) -> None:
    runs = [run_of(case(limits_ms={"memory": 0.25}, flops=1e6, bytes=1e6)), run_of()]
    console = Console(record=True, width=250)
    report.show(runs, console, cases=True)
    shown = console.export_text()
    assert all(target.against in shown for target in TARGETS) and "left out, numba: absent" in shown
    assert report.markdown(runs).count("\n|") == len(TARGETS) + 2
    roofline.draw(runs[0], tmp_path / "roofline.png")
    roofline.draw(runs[1], tmp_path / "empty.png")
    assert (tmp_path / "roofline.png").stat().st_size > 10_000


def test_a_wait_for_a_core_spoils_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter([0.0, 0.029, 1.0, 1.031, 2.0, 2.5])
    clock = iter([0.0, 1.0] * 3)
    monkeypatch.setattr(timing, "waited_s", lambda: next(waits))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    samples = Samples()
    for _ in range(3):
        timing._wall_sample(lambda: None, samples)
    assert (samples.clean_s, samples.dirty_s) == ([1.0], [1.0, 1.0])
    assert not samples.timing().trusted
    samples.clean_s += [3.0, 5.0]
    assert samples.timing().ms == 3000.0 and samples.timing().trusted


def test_contestants_take_turns() -> None:
    order: list[str] = []
    contestants = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    timings, share = take_turns(contestants, 1, rounds=7, budget_s=60.0)
    assert order == ["a", "b"] * 7 and timings["a"].kept == 7 and share >= 0
    order.clear()
    take_turns(contestants, 1, rounds=7, budget_s=0.0)
    assert order == ["a", "b"] * timing.FEWEST_ROUNDS


def test_bare_loops_run_or_are_said_to_be_missing() -> None:
    array, state, rows = np.zeros((64, 16), np.float32), np.zeros(64, np.float32), np.array([3, 7, 63])
    loops = [
        limits.pass_over(array, 256, 2),
        limits.gather(array.view(np.uint8), 64, rows, 3, 64, 2),
        limits.update(array, state, rows, 2),
    ]
    if limits.missing():
        assert loops == [None] * 3 and limits.rates("portable", 1) == {}
        return
    for loop in loops:
        assert loop is not None
        loop()
    assert list(state.nonzero()[0]) == [3, 7, 63] and array.sum() == 3 * 16


def test_the_masked_supernet_has_the_sizes_of_the_official_one() -> None:
    with torch.device("meta"):
        for space, count in ((FULL, 171_529_127), (SMALL, 31_143_245)):
            assert MaskedSupernet(space, features(10)).dense_parameters == count  # 171.5 M and 31.1 M
        alone = MaskedSupernet(FULL, features(10), standalone=CRITEO_FULL)
    assert alone.dense_parameters == 2_217_268  # as published


def test_without_masks_it_is_our_network() -> None:
    rows = Rows.drawn(32, features(10))
    dense, ids, _ = rows.tensors()
    blocks = tuple(replace(b, dense_ops=("fc",), sparse_ops=("efc",)) for b in CRITEO_FULL.blocks)
    arch = Arch(blocks)
    ours = Subnet(arch, features(10), generator=torch.Generator().manual_seed(0))
    theirs = MaskedSupernet(FULL, features(10), standalone=arch)
    with torch.no_grad():
        for table, source in zip(theirs.tables, ours.embeddings.tables, strict=True):
            table.weight.copy_(source)
        theirs.head.load_state_dict({"weight": ours.head.weight, "bias": ours.head.bias})
        for block, source in zip(theirs.blocks, ours.blocks, strict=True):
            layers = {"fc": block.ops["fc"], "efc": block.ops["efc"], "dsi": block.dsi, "fm": block.fm}
            for name, layer in layers.items():
                found = getattr(source, name, None)
                linear = getattr(layer, "linear", None)
                if found is not None and linear is not None:
                    linear.load_state_dict({"weight": found.linear.weight, "bias": found.linear.bias})
        torch.testing.assert_close(theirs(arch, dense, ids), ours(dense, ids), rtol=1e-4, atol=1e-5)


def test_flops_and_turns_of_networks() -> None:
    layer = torch.nn.Linear(3, 5)
    assert flops([CRITEO_FULL], lambda arch: layer(torch.ones(7, 3))) == 2 * 7 * 3 * 5
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    found = turns(calls, 1, {"a": 2, "b": 1})
    assert order == ["a", "b", "a", "b", "a"] and set(found) == {"a", "b"}


def test_the_table_of_whole_networks_is_what_was_measured() -> None:
    """Every ratio and share of the peak in benchmarks/README.md is that of the recorded run."""
    files = ("masked_supernet-avx2.json",) * 2 + ("masked_supernet-avx512.json",) * 2
    columns = [json.loads((FOLDER / "results" / name).read_text("utf-8"))["cases"] for name in files]
    threads = ("1 thread", "2 threads") * 2
    keys = ("step[{}-single-operator]", "step[{}-any-path]", "step[{}-full-path]", "score[{}-512]", "score[{}-8192]",
            "fine_tune[{}]", "fine_tune_as_preset[{}]", "standalone[{}-train]", "standalone[{}-infer]")  # fmt: skip
    lines = (FOLDER / "README.md").read_text("utf-8").split("| times as fast")[1].splitlines()[2:]
    for line, key in zip(lines[: len(keys)], keys, strict=True):
        cases = [column.get("test_" + key.format(count)) for column, count in zip(columns, threads, strict=True)]
        for cell, case in zip(line.split("|")[2:-1], cases, strict=True):
            if case is None:
                assert cell == " – ", line
                continue
            ratio, share = re.fullmatch(r" ([\d.]+) \((\d+) %\) ", cell).groups()
            assert float(ratio) == pytest.approx(case["ratio"], abs=0.051), line
            assert int(share) == pytest.approx(case["ours_of_peak"] * 100, abs=0.51), line


@pytest.mark.parametrize(("isa", "core"), [("avx2", "Zen 3"), ("avx512", "Zen 5")])
def test_the_transformer_layers_figure_is_what_was_measured(isa: str, core: str) -> None:
    cases = json.loads((FOLDER / "results" / f"transformer_layer-{isa}.json").read_text("utf-8"))["cases"]
    ratios = [min(case["ratios"].values()) for case in cases]
    assert len(ratios) == 8
    text = (FOLDER / "README.md").read_text("utf-8")
    least, most = re.search(rf"([\d.]+) to ([\d.]+) times as fast as the faster of both on a {core}", text).groups()
    assert (float(least), float(most)) == pytest.approx((min(ratios), max(ratios)), abs=0.051)


def test_the_table_of_baselines_is_what_was_measured() -> None:
    """Ratios in benchmarks/README.md are those of the recorded run, and no library is faster in any case."""
    recorded = json.loads((FOLDER / "results" / "baselines.json").read_text("utf-8"))["cases"]
    fields = ("model", "rows", "batch", "what", "their_optimizer", "threads")
    cases = {tuple(case.get(field) for field in fields): case for case in recorded}
    for case in recorded:
        rates = dict(case["rows_per_s"])
        ours = rates.pop("ours")
        assert case["ratio"] == pytest.approx(ours / max(rates.values()), abs=0.005, rel=1e-3)
        assert case["ratio"] >= 1
    lines = (FOLDER / "README.md").read_text("utf-8").split("| times the fastest library's")[1].splitlines()[2:]
    assert len(lines) * 6 == len(cases)
    for line in lines:
        model, rows, batch = re.match(r"\| (\w+), (\w+), (\d+) \|", line).groups()
        kinds = (("train", "adagrad"), ("train", "adam"), ("infer", None))
        keys = [(model.lower(), rows.lower(), int(batch), *kind, threads) for kind in kinds for threads in (1, 2)]
        assert re.findall(r"\d+\.\d\d", line) == [f"{cases[key]['ratio']:.2f}" for key in keys], line
