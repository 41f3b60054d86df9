"""Chips a second: a published architecture over a space of ten million, to its Pareto set and to Parquet.

`extra_info` holds designs per second, and how many times more that is than others evaluate. What they do is not the
same: NeuroSim works out circuits and wires of every layer and takes traces of real activations (332 to 243 s a design
point, VGG-8, measured on two cores of this kind of machine); CiMLoop searches mappings of one layer at a time
(83 mappings of a layer a second on one core, 1,076 on 16, its paper, table II); PIMSIM-NN simulates cycles of an
instruction set (59 s a network); ZigZag, where `zigzag-dse` is installed, is timed on the same machine: it searches the
mapping of each layer on an array with a memory hierarchy, and has no tables, copies or graph. Here an operator is a
closed form of counts times published figures per component, with conversions, reads, copies, pipelining and the longest
path, and the mapping is the one that `pimsim.place` makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.published import SPACE, criteo_full
from benchmarks.zigzag_peer import zigzag_seconds
from pimsim import Workload, evaluate, totals
from pimsim.space_file import space_from_toml
from pimsim.sweep import RESULTS, Space, Threads, sweep_to_front, sweep_to_parquet
from pimsim.sweep.grid import evaluate_block
from pimsim.sweep.memory import keep_freed_memory

OTHERS = {"NeuroSim V1.4, fastest of three": 1 / 243, "CiMLoop, layers x mappings, 1 core": 83.0,
          "CiMLoop, layers x mappings, 16 cores": 1076.0, "PIMSIM-NN": 1 / 59}
"""Designs a second of other simulators."""


@pytest.fixture(scope="module")
def workload() -> Iterator[Workload]:
    yield criteo_full()


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    yield space_from_toml(SPACE)


@pytest.fixture(scope="module", autouse=True)
def memory() -> None:
    """As the command `pimsim sweep` does."""
    keep_freed_memory()


def _note(benchmark: Any, designs: int) -> None:
    if benchmark.stats is not None:
        rate = designs / benchmark.stats.stats.median
        benchmark.extra_info["designs_per_second"] = rate
        benchmark.extra_info["times_others"] = {name: rate / others for name, others in OTHERS.items()}


def test_every_axis_changes_a_result(workload: Workload, space: Space) -> None:
    few = {name: values[::max(1, len(values) // 3)] for name, values in space.axes.items()}
    block = evaluate_block(workload, space.chip, few, RESULTS, space.settings)
    full = {name: np.broadcast_to(block.figures[name], block.shape) for name in RESULTS}
    for dimension, name in enumerate(few):
        assert any(np.ptp(values, axis=dimension).any() for values in full.values()), name
    assert len(space) >= 10_000_000


@pytest.mark.parametrize("workers", [1, 2])
def test_to_the_pareto_set(benchmark: Any, workload: Workload, space: Space, workers: int) -> None:
    def run() -> int:
        return sweep_to_front(workload, space, workers=Threads(workers))[1]

    designs = benchmark.pedantic(run, rounds=3, warmup_rounds=0)
    assert designs >= 10_000_000
    _note(benchmark, designs)


def test_to_parquet(benchmark: Any, workload: Workload, space: Space, tmp_path: Path) -> None:
    designs = benchmark.pedantic(sweep_to_parquet, (workload, space, tmp_path / "all.parquet"), rounds=3)
    assert designs >= 10_000_000
    _note(benchmark, designs)


@pytest.mark.parametrize("what", [evaluate, totals], ids=["report", "totals"])
def test_one_chip(benchmark: Any, workload: Workload, space: Space, what: Any) -> None:
    settings = {"copies": "budget", "budget_area_m2": 20e-6, "tables": space.settings["tables"]}
    result = benchmark(what, workload, space.chip, **settings)
    assert result.energy_j > 0
    _note(benchmark, 1)


@pytest.mark.parametrize("mappings", [1, 3])
def test_zigzag(benchmark: Any, workload: Workload, mappings: int) -> None:
    pytest.importorskip("zigzag", reason="zigzag-dse is not installed")
    seconds, done, refused = benchmark.pedantic(zigzag_seconds, (workload, mappings), rounds=1)
    assert done > refused
    benchmark.extra_info |= {"designs_per_second": 1 / seconds, "layers": done, "layers_refused": refused}
