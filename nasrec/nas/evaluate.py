"""Architectures scored side by side: processes that hold the supernet of a run, one thread each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.hardware import workload_of
from nasrec.liveness import canonical
from nasrec.memory import peak_memory
from nasrec.metrics import usable
from nasrec.nas.options import EvolutionOptions
from nasrec.nas.run import SearchRun
from nasrec.nas.score import ArchCost, ArchScore, ArchScorer
from nasrec.nas.supernet import load_nas_supernet
from nasrec.nas.trials import Trial
from nasrec.run_data import prepared_data

Found = tuple[ArchScore, ArchCost, int]  # and the process's peak of memory, bytes


def score_all(
    archs: Sequence[Arch], known: Sequence[Trial], run: SearchRun, features: Features, pool: ProcessPoolExecutor
) -> Iterator[tuple[Trial, int]]:
    """Score `archs` in the processes of `pool`: trials in the order of `archs`, each with its process's peak of memory.

    A network that is equal to one of `known` or to an earlier one of `archs`, up to genes that nobody reads, is not
    scored again. A score depends on the architecture alone, not on the process: each computes with one thread.
    """
    before = {canonical(trial.arch): trial.score for trial in known}
    macs = {arch: workload_of(arch, features).macs for arch in archs}
    todo: dict[Arch, Arch] = {}
    for arch in archs:
        if (key := canonical(arch)) not in before:
            todo.setdefault(key, arch)
    # Dearest first, or a process may be left alone with it at the end; but only among neighbours, as results are
    # wanted in order: a first generation that came all at once would show no progress, and be lost if killed.
    group = run.options.evolution.children  # no more of them are known at a time later on
    submitted = sorted(enumerate(todo.items()), key=lambda item: (item[0] // group, -macs[item[1][1]]))
    futures = {key: pool.submit(_score, run.folder, arch) for _, (key, arch) in submitted}
    for arch in archs:
        key = canonical(arch)
        if key in before:
            score, cost, peak = before[key], None, 0
        else:
            found, cost, peak = futures[key].result()
            score = replace(found, log_loss=usable(found.log_loss), log_loss_before=usable(found.log_loss_before))
            before[key] = score
        yield Trial(arch, value_of(score, macs[arch], run.options.evolution), score, macs[arch], cost), peak


def value_of(score: ArchScore, macs: int, options: EvolutionOptions) -> float:
    """What a search minimises: log loss, plus `macs_penalty`."""
    return score.log_loss + macs_penalty(macs, options)


def macs_penalty(macs: int, options: EvolutionOptions) -> float:
    """With a target, beta (MACs / target - 1): NASRec's hardware criterion."""
    return 0.0 if options.target_macs is None else options.beta * (macs / options.target_macs - 1.0)


def _score(folder: Path, arch: Arch) -> Found:
    with peak_memory() as peak:
        score, cost = _scorer(folder).timed(arch)
    return score, cost, peak.bytes


@lru_cache(maxsize=1)
def _scorer(folder: Path) -> ArchScorer:
    run = SearchRun.open(folder)
    data = prepared_data(run)
    supernet = load_nas_supernet(folder, data.features, run.options)
    return ArchScorer(supernet, data.split("train"), data.split("validation"), run.options.score)
