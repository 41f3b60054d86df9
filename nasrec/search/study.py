"""Run a search as an Optuna study that can be stopped at any moment and resumed to the same end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from nasrec.arch import Candidate
from nasrec.candidate_space import CandidateSpace
from nasrec.errors import InputError
from nasrec.score import Score
from nasrec.search.evolution import RandomCandidates, RegularizedEvolution, finished_trials
from nasrec.search.model_first import ModelFirst
from nasrec.search.objectives import OBJECTIVES, Budget, objective_values, targeted_score
from nasrec.search.parameters import candidate_of, distributions_of

SAMPLERS = ("evolution", "nsga2", "random", "model_first")


def sampler_of(
    name: str,
    space: CandidateSpace,
    *,
    seed: int,
    budget: int,
    finished: int,
    population: int,
    reference: Sequence[float] | None = None,
) -> BaseSampler:
    """The sampler called `name`; NSGA-II is Optuna's, seeded from (`seed`, `finished` trials): a resume is exact."""
    if name == "evolution":
        tournament = max(2, population // 4)
        return RegularizedEvolution(space, seed=seed, population=population, tournament=tournament, reference=reference)
    if name == "nsga2":
        return NSGAIISampler(
            population_size=population, seed=int(np.random.SeedSequence([seed, finished]).generate_state(1)[0])
        )
    if name == "random":
        return RandomCandidates(space, seed=seed)
    if name == "model_first":
        return ModelFirst(space, seed=seed, budget=budget, population=population, reference=reference)
    raise InputError(f"search.sampler is {name!r}: allowed are {', '.join(SAMPLERS)}")


def open_study(journal: Path, *, objectives: int = len(OBJECTIVES), name: str = "codesign") -> optuna.Study:
    """Open or create the study `name` in the Optuna journal file `journal`; Optuna's own tools open it as well."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(
            study_name=name, storage=storage, directions=["minimize"] * objectives, load_if_exists=True
        )
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise InputError(f"{journal}{_damaged_line(journal)}: not an Optuna journal, or damaged: {error}") from None


def repair_journal(journal: Path) -> None:
    """Remove what a killed process left in `journal`: a line that is not whole, and its lock. For a lone worker only.

    Optuna reads past such a line, but would append to it; and it waits half a minute for such a lock.
    """
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink()
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _damaged_line(journal: Path) -> str:
    for number, line in enumerate(journal.read_bytes().splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            return f", line {number}"
    return ""


def abandon_unfinished(study: optuna.Study) -> int:
    """Mark the trials that a killed process left running as failed; returns how many. For a lone worker's resume."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(running)


def run_study(
    study: optuna.Study,
    space: CandidateSpace,
    score: Callable[[Candidate], Score],
    *,
    sampler: str,
    evaluations: int,
    seed: int,
    population: int = 16,
    budget: Budget | None = None,
    targets: Sequence[float] | None = None,
    reference: Sequence[float] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Evaluate candidates until the study holds `evaluations` finished trials.

    `score` measures one candidate. With `targets` (energy, latency, area) the study has one objective,
    `targeted_score`; without, the four of `OBJECTIVES`, of which a candidate beyond `reference` is of no use to the
    samplers of ours that search. One process at a time may run this on a journal: what comes
    next follows from the trials that are finished. Raises InputError where a number of a score is not finite.
    """
    distributions = distributions_of(space)
    while (finished := len(finished_trials(study))) < evaluations:
        study.sampler = sampler_of(
            sampler,
            space,
            seed=seed,
            budget=evaluations,
            finished=finished,
            population=population,
            reference=reference,
        )
        trial = study.ask(fixed_distributions=distributions)
        candidate = space.settle(candidate_of(trial.params, space))  # Optuna's own samplers do not settle
        result = score(candidate)
        values = objective_values(result)
        if not all(map(math.isfinite, values)):  # Optuna would drop the trial, and ask for the same one for ever
            study.tell(trial, state=TrialState.FAIL)
            named = dict(zip(OBJECTIVES, values, strict=True))
            raise InputError(f"candidate {trial.number}: objectives must be finite numbers, not {named}")
        trial.set_user_attr("score", result.to_json())
        trial.set_user_attr("chip", candidate.chip.to_json())
        for name, excess in zip(("energy_j", "latency_s", "area_m2"), (budget or Budget()).excess(result), strict=True):
            trial.set_constraint(name, excess)
        study.tell(trial, values if targets is None else targeted_score(values, targets))
        if progress is not None:
            progress(1)


def trials_of(study: optuna.Study, space: CandidateSpace) -> list[dict[str, Any]]:
    """The finished trials in order: number, the four objective values, feasible, candidate as JSON."""
    rows = []
    for number, trial in enumerate(finished_trials(study)):
        result = Score.from_json(trial.user_attrs["score"], f"trial {trial.number}")
        rows.append(
            {
                "number": number,
                "values": list(objective_values(result)),
                "feasible": all(excess <= 0 for excess in trial.constraints.values()),
                "candidate": {**candidate_of(trial.params, space).to_json(), **_judged_chip(trial)},
            }
        )
    return rows


def _judged_chip(trial: FrozenTrial) -> dict[str, Any]:
    """The chip that a trial was judged on, where that is told: older journals have only the drawn one, which it was."""
    return {"chip": trial.user_attrs["chip"]} if "chip" in trial.user_attrs else {}
