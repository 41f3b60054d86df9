"""`nasrec search`: data, supernet, search, retraining, winner; each stage is done once and kept."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from nasrec.arch import Arch
from nasrec.data.prepared import Prepared
from nasrec.files import remove_leftovers, write_json
from nasrec.liveness import network
from nasrec.memory import MIB
from nasrec.nas.evaluate import score_all
from nasrec.nas.evolution import next_architectures
from nasrec.nas.refine import refined
from nasrec.nas.retrain import retrain_best, train_winner
from nasrec.nas.run import SearchRun
from nasrec.nas.summary import summarise
from nasrec.nas.supernet import remove_training_state, train_nas_supernet
from nasrec.nas.trials import Trial, Trials
from nasrec.progress import stage
from nasrec.run_data import prepared_data
from nasrec.workers import working_processes

SUPERNET = "supernet"
SEARCH = "search"


def search(run: SearchRun) -> Path:
    """Do every stage of `run` that is not done yet; the path of `summary.json`.

    Killed at any moment and called again, it goes on where it was and ends with the same summary, wall times and
    memory aside. Raises TrainingDiverged and WorkerLost.
    """
    remove_leftovers(run.folder)
    data = prepared_data(run)
    trained = run.stage(SUPERNET, partial(_train_supernet, run, data))
    remove_training_state(run.folder)
    found = run.stage(SEARCH, partial(_search, run, data))
    best = [(one["number"], Arch.from_json(one["arch"], f"{run.folder}: stage {SEARCH}")) for one in found["best"]]
    finalists = refined(run, data.features, best)
    choice = retrain_best(run, [finalist.arch for finalist in finalists], data.features)
    tests = train_winner(run, finalists[choice["place"]].arch, choice)
    shutil.rmtree(run.trainings, ignore_errors=True)
    path = run.folder / "summary.json"
    write_json(path, summarise(run, data, trained, found, finalists, choice, tests))
    return path


def _train_supernet(run: SearchRun, data: Prepared) -> dict[str, Any]:
    return train_nas_supernet(run.folder, data, run.options).to_json()


def _search(run: SearchRun, data: Prepared) -> dict[str, Any]:
    """The search to its end, `run.workers` architectures at a time; killed half-way, it goes on from its journal."""
    options = run.options
    section = options.evolution
    trials = Trials(run.journal, options.space.space())
    peak = 0
    title = f"search: {options.strategy}"
    with (
        working_processes(run.workers, threads=1) as pool,
        stage(title, total=section.evaluations, unit="architectures") as progress,
    ):
        progress(len(trials.known))
        while archs := next_architectures(trials.known, trials.space, section, options.strategy, options.seed):
            for trial, peak_of_process in score_all(archs, trials.known, run, data.features, pool):
                trials.append(trial)
                peak = max(peak, peak_of_process)
                progress.advance()
            least = min(trial.value for trial in trials.known)
            progress.note(f"best {least:.4f}, {-(-peak // MIB):,} MiB a process")
    return {
        "scored": sum(trial.cost is not None for trial in trials.known),
        "values": [trial.value for trial in trials.known],
        "log_losses": [trial.score.log_loss for trial in trials.known],
        "log_losses_before": [trial.score.log_loss_before for trial in trials.known],
        "macs": [trial.macs for trial in trials.known],
        "best": [
            {"number": number, "value": trial.value, "score": trial.score.to_json(), "arch": trial.arch.to_json()}
            for number, trial in best_trials(trials.known, options.retrain.top)
        ],
        "cost": cost_of_one(trials.known) | {"peak_bytes": peak},
    }


def best_trials(known: Sequence[Trial], count: int) -> list[tuple[int, Trial]]:
    """The `count` trials of least value with their numbers, each standalone network once."""
    chosen: dict[Arch, tuple[int, Trial]] = {}
    for number, trial in sorted(enumerate(known), key=lambda item: (item[1].value, item[0])):
        chosen.setdefault(network(trial.arch), (number, trial))
    return list(chosen.values())[:count]


def cost_of_one(known: Sequence[Trial]) -> dict[str, float]:
    """Mean CPU seconds that scoring one architecture took, stage by stage and in all."""
    costs = [asdict(trial.cost) for trial in known if trial.cost is not None]
    means = {name: statistics.fmean(cost[name] for cost in costs) for name in costs[0]} if costs else {}
    return means | {"total_s": sum(means.values())}
