"""One chip at a time against a whole sweep in arrays: the same formulas, the same figures.

`extra_info` holds evaluations per second and, for the sweep, how many times faster a design is than alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pimsim import Elementwise, Gather, MatMul, MatVec, Workload, evaluate, presets
from pimsim.sweep import Space, sweep


def recommender() -> Workload:
    """About 40 operators and 1.8 M MACs: 26 tables, seven wide layers, one interaction."""
    ops: list[Any] = [Gather(f"t{i}", 10 * 2 ** (i // 2), 16) for i in range(26)]
    after, size = tuple(op.name for op in ops), 429
    for i in range(7):
        ops.append(MatVec(f"fc{i}", size, 512, after=after))
        after, size = (f"fc{i}",), 512
    ops.append(Elementwise("relu", "relu", 512, 16, after=after))
    ops.append(MatVec("projection", 26, 32, vectors=16, after=("t0",)))
    ops.append(MatMul("dot", 32, 16, 32, symmetric=True, after=("projection",)))
    ops.append(MatVec("head", 1008, 1, after=("relu", "dot")))
    return Workload("recommender", tuple(ops))


@pytest.fixture
def workload() -> Iterator[Workload]:
    yield recommender()


def _seconds_alone(workload: Workload) -> float:
    chip = presets.isaac().with_tiles(None)
    start = time.perf_counter()
    for _ in range(20):
        evaluate(workload, chip, copies=4)
    return (time.perf_counter() - start) / 20


def test_evaluate_one_chip(benchmark: Any, workload: Workload) -> None:
    chip = presets.isaac().with_tiles(None)
    report = benchmark(evaluate, workload, chip, copies=4)
    assert report.energy_j > 0
    if benchmark.stats is not None:
        benchmark.extra_info["evaluations_per_second"] = 1.0 / benchmark.stats.stats.median


def test_sweep_in_arrays(benchmark: Any, workload: Workload) -> None:
    space = Space(presets.isaac().with_tiles(None), {
        "rows": (64, 128, 256, 512), "columns": (128, 256), "cell_bits": (1, 2, 4), "dac_bits": (1, 2),
        "adc_bits": (None, 4, 6, 8), "columns_per_adc": (8, 16, 32, 64, 128), "copies": tuple(range(1, 35))})

    def run() -> int:
        return sum(len(part["energy_j"]) for part in sweep(workload, space))

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1) == len(space)
    if benchmark.stats is not None:
        each = benchmark.stats.stats.median / len(space)
        benchmark.extra_info["designs_per_second"] = 1.0 / each
        benchmark.extra_info["times_faster_than_alone"] = _seconds_alone(workload) / each
