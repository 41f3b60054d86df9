"""The main job: data, baselines, supernet, joint search, winners, report; each stage is done once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import optuna
import torch

from nasrec.arch import Arch, Candidate
from nasrec.checkpoint import check_encoder, load_checkpoint, restore, restore_file
from nasrec.chip_choice import on_best_chip
from nasrec.data.keepsake import save_keepsake
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError
from nasrec.files import remove_leftovers, write_json
from nasrec.model.baselines import BASELINES
from nasrec.model.supernet import Supernet
from nasrec.offspring import Finalist, add_finalists
from nasrec.progress import stage
from nasrec.retrain import baseline_weights, compare_baseline, crown, train_baseline, train_finalist
from nasrec.run import Run
from nasrec.run_data import kept_encoder
from nasrec.run_data import prepared_data as prepared_data
from nasrec.score import CandidateScorer
from nasrec.search.evolution import finished_trials
from nasrec.search.objectives import OBJECTIVES, Budget
from nasrec.search.study import abandon_unfinished, open_study, repair_journal, run_study, trials_of
from nasrec.summary import reference_point, summarise
from nasrec.train import train_supernet
from nasrec.winners import pick_finalists, pick_winners

JOINT = "joint"
KEEPSAKE = "data"  # in a winner's folder: what scoring other rows takes, should the run's data be gone
WARM_START = "dlrm"  # the baseline whose embedding tables the supernet starts with


def codesign(run: Run) -> Path:
    """Do every stage of `run` that is not done yet, `run.workers` independent ones at a time; the report's path.

    Killed at any moment and called again, it goes on where it was and ends with the same `summary.json`, wall times
    aside.
    """
    remove_leftovers(run.folder)
    data = prepared_data(run)
    kept_encoder(run, data)  # before the stages, which may run side by side
    section = run.options.search
    first = f"baseline-{WARM_START}"  # the supernet may start from it
    trained = {first: run.stage(first, partial(_train_baseline, run, WARM_START))}
    rest = {f"baseline-{name}": partial(_train_baseline, run, name) for name in BASELINES if name != WARM_START}
    trained |= run.stages({"supernet": partial(_train_supernet, run), **rest})
    baselines = {name: trained[f"baseline-{name}"] for name in BASELINES}
    strategies = (JOINT, *section.compare)
    searched = run.stages(
        {
            f"search-{strategy}-{seed}": partial(_search, run, strategy, seed)
            for seed in section.seeds
            for strategy in strategies
        }
    )
    searches = {
        strategy: {seed: searched[f"search-{strategy}-{seed}"] for seed in section.seeds} for strategy in strategies
    }
    reference = reference_point(baselines)
    found = [trial for trials in searches[JOINT].values() for trial in trials]
    compared = run.stage("comparison", partial(_compare_baselines, run))
    rivals = [one["log_loss"] for one in compared.values()]
    finalists = pick_finalists(found, reference, run.options.winners.finalists)
    trials = _trained_finalists(run, finalists, reference, rivals)
    chosen = pick_winners([trial for _, trial in trials], reference, rivals)
    winners = run.stages(
        {
            f"winner-{place}": partial(_crown, run, place, name, trials[index][0], trials[index][1]["candidate"])
            for place, (name, index) in enumerate(chosen)
        }
    )
    from nasrec.report import write_report  # here: worker processes need no drawing, which takes long to load

    summary = summarise(run, data, baselines, searches, list(winners.values()), compared)
    write_json(run.folder / "summary.json", summary)
    return write_report(summary, run.folder)


def winner_folder(run: Run, place: int) -> Path:
    """Where the files of the winner at `place` (from 0) are."""
    return run.folder / "best" / str(place)


def _train_baseline(run: Run, name: str) -> dict[str, Any]:
    data = prepared_data(run)
    return train_baseline(name, run.folder, data, run.options, kept_encoder(run, data))


def _finalist_folder(run: Run, number: int) -> Path:
    return run.folder / "finalists" / f"finalist-{number}"


def _trained_finalists(
    run: Run, best: Sequence[Candidate], reference: Sequence[float], rivals: Sequence[float]
) -> list[tuple[int, dict[str, Any]]]:
    """Train the search's `best`, then rounds of children of the winners so far: (number of the finalist, trial).

    A trial is a finalist on one of its chips. Which children a round has depends on the seed and on the trainings
    before it: each is a stage, so a killed run goes on. No network comes twice with the same bits.
    """
    section, space = run.options.winners, run.options.space.space()
    finalists = [Finalist(one.arch, None, None) for one in best]
    chips = [one.chip for one in best]  # what they were found with; a child's is its parent's
    trials: list[tuple[int, dict[str, Any]]] = []
    done = 0
    for generation in range(section.rounds + 1):
        if generation:
            winners = pick_winners([trial for _, trial in trials], reference, rivals)
            parents = list(dict.fromkeys(trials[index][0] for _, index in winners))
            add_finalists(finalists, list(islice(cycle(parents), section.children)), space, run.options.seed)
            chips += [chips[one.parent] for one in finalists[done:] if one.parent is not None]
        fresh = {
            f"finalist-{number}": partial(
                _train_finalist, run, number, Candidate(finalists[number].arch, chips[number]), reference[0]
            )
            for number in range(done, len(finalists))
        }
        for number, trained in enumerate(run.stages(fresh).values(), start=done):
            if Arch.from_json(trained["trials"][0]["candidate"]["arch"]) != finalists[number].arch:
                raise InputError(f"{run.folder}: finalist {number} is not what this release trains; begin another run")
            trials += [(number, trial) for trial in trained["trials"]]
        done = len(finalists)
    return trials


def _train_finalist(run: Run, number: int, candidate: Candidate, limit: float) -> dict[str, Any]:
    data = prepared_data(run)
    return train_finalist(candidate, _finalist_folder(run, number), data, run.options, kept_encoder(run, data), limit)


def _compare_baselines(run: Run) -> dict[str, Any]:
    data = prepared_data(run)
    return {name: compare_baseline(name, run.folder, data, run.options) for name in BASELINES}


def _crown(run: Run, place: int, name: str, number: int, genes: dict[str, Any]) -> dict[str, Any]:
    finalist = run.stage(f"finalist-{number}", dict)
    rows = run.options.search.score.calibration_rows
    source, folder, data = _finalist_folder(run, number), winner_folder(run, place), prepared_data(run)
    save_keepsake(folder / KEEPSAKE, data.encoder, data.split("train").head(rows))
    return crown(name, Candidate.from_json(genes), finalist, source, folder, data, rows)


def _supernet(run: Run, data: Prepared) -> Supernet:
    generator = torch.Generator().manual_seed(run.options.seed)
    return Supernet(run.options.space.space(), data.features, generator=generator)


def _supernet_checkpoint(run: Run) -> Path:
    return run.folder / "supernet.safetensors"


def _train_supernet(run: Run) -> dict[str, Any]:
    data = prepared_data(run)
    section = run.options.supernet.train_options(run.options.seed)
    supernet = _supernet(run, data)
    if run.options.supernet.warm_start:
        _warm_start(supernet, baseline_weights(run.folder, WARM_START))
    with stage("supernet: training", unit="rows") as progress:
        log = train_supernet(
            supernet,
            data.split("train"),
            section,
            checkpoint=_supernet_checkpoint(run),
            progress=progress,
            encoder=kept_encoder(run, data),
        )
        progress.note(f"log loss {log.losses[-1][1]:.4f}")
    return log.to_json()


def _warm_start(supernet: Supernet, weights: Path) -> None:
    """Copy trained embedding tables into `supernet`: a short training of shared weights learns interactions late."""
    tables = {name: table for name, table in supernet.state_dict().items() if name.startswith("embeddings.tables.")}
    saved = load_checkpoint(weights).tensors
    restore(tables, {name: saved[name] for name in tables if name in saved}, str(weights))


def _trained_supernet(run: Run, data: Prepared) -> Supernet:
    supernet = _supernet(run, data)
    path = _supernet_checkpoint(run)
    check_encoder(path, kept_encoder(run, data))
    restore_file(path, supernet.state_dict(), "model.")
    return supernet


def _search(run: Run, strategy: str, seed: int) -> list[dict[str, Any]]:
    """One search to its end: the trials in order. A search killed half-way goes on from its journal.

    Whatever its strategy, a candidate is judged on the best chip that computes the same numbers as the drawn one.
    """
    data = prepared_data(run)
    section, drawn = run.options.search, run.options.candidate_space()
    budget, single = Budget(**section.budget.model_dump()), section.targets is not None
    settle = partial(
        on_best_chip, space=drawn.chip, features=data.features, budget=budget, targets=section.targets
    )
    space = replace(drawn, settle=settle)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = run.folder / "search" / f"{strategy}-{seed}.journal"
    repair_journal(journal)
    study = open_study(journal, objectives=1 if single else len(OBJECTIVES))
    abandon_unfinished(study)
    score = CandidateScorer(
        _trained_supernet(run, data), data.features, data.split("train"), data.split("validation"), section.score
    )
    with stage(f"search: {strategy}, seed {seed}", total=section.evaluations, unit="candidates") as progress:
        progress(len(finished_trials(study)))
        run_study(
            study,
            space,
            score,
            sampler=section.sampler if strategy == JOINT else strategy,
            evaluations=section.evaluations,
            seed=seed,
            population=section.population,
            budget=budget,
            targets=section.targets,
            reference=reference_point({name: run.stage(f"baseline-{name}", dict) for name in BASELINES}),
            progress=progress.advance,
        )
    return trials_of(study, space)
