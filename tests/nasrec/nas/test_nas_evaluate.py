"""The order in which architectures are handed to processes, and that in which their scores come back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nasrec.arch import Arch
from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from nasrec.nas.evaluate import Found, score_all
from nasrec.nas.options import EvolutionOptions
from nasrec.nas.score import ArchCost, ArchScore
from nasrec.nas.trials import Trials
from nasrec.space import Space

FEATURES = Features(dense=2, tables=(Table("C0", 10), Table("C1", 10)))
SPACE = Space("full", 3, dense_widths=(8, 16, 32), sparse_widths=(8, 16))
GROUP = EvolutionOptions().children
COST = ArchCost(0.0, 0.0, 0.0, 0.0)


class Pool:
    """Scores at once, and remembers in which order it was asked."""

    def __init__(self, log_loss: float | None = None) -> None:
        self.asked: list[Arch] = []
        self.log_loss = log_loss

    def submit(self, call: Callable[..., Found], folder: Path, arch: Arch) -> Future[Found]:
        self.asked.append(arch)
        future: Future[Found] = Future()
        log_loss = len(self.asked) / 100 if self.log_loss is None else self.log_loss
        future.set_result((ArchScore(log_loss, None, 0.7 if self.log_loss is None else log_loss), COST, 5))
        return future


def test_dearest_first_among_neighbours_and_results_in_order() -> None:
    rng = np.random.default_rng(0)
    different = [SPACE.sample(rng) for _ in range(3 * GROUP)]
    archs = [*different, different[1], different[-1]]
    pool: Any = Pool()
    run: Any = SimpleNamespace(folder=Path(), options=SimpleNamespace(evolution=EvolutionOptions()))
    trials = [trial for trial, _ in score_all(archs, [], run, FEATURES, pool)]
    assert [trial.arch for trial in trials] == archs
    assert trials[-2].score == trials[1].score and trials[-1].cost is None, "the same network is scored once"
    assert len(pool.asked) == len(different)
    for start in range(0, len(different), GROUP):
        together = pool.asked[start : start + GROUP]
        macs = [workload_of(arch, FEATURES).macs for arch in together]
        assert set(together) == set(different[start : start + GROUP]) and macs == sorted(macs, reverse=True)


@pytest.mark.parametrize("log_loss", [math.nan, math.inf])
def test_a_network_without_a_finite_loss_ranks_last_and_is_kept(log_loss: float, tmp_path: Path) -> None:
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in (0, 1)]
    run: Any = SimpleNamespace(folder=Path(), options=SimpleNamespace(evolution=EvolutionOptions()))
    trials = Trials(tmp_path / "journal.log", SPACE)
    for arch, pool in zip(archs, (Pool(log_loss), Pool(0.9)), strict=True):
        asked: Any = pool
        for trial, _ in score_all([arch], trials.known, run, FEATURES, asked):
            trials.append(trial)
    again = Trials(tmp_path / "journal.log", SPACE).known
    assert again == trials.known and min(again, key=lambda trial: trial.value).arch == archs[1]
    json.dumps([trial.to_json() | {"value": trial.value} for trial in again], allow_nan=False)
