"""Searches as Optuna studies: exact resume, constraints, samplers that do what they say."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import optuna
import pytest

from nasrec.arch import Candidate, ChipChoice
from nasrec.candidate_space import ChipSpace
from nasrec.errors import InputError
from nasrec.sampling import step_arch
from nasrec.score import Score
from nasrec.search.evolution import form_of, vary, weighted_front_member
from nasrec.search.model_first import ModelFirst
from nasrec.search.objectives import Budget, hypervolume
from nasrec.search.parameters import candidate_of, distributions_of, parameters_of
from nasrec.search.study import SAMPLERS, abandon_unfinished, open_study, run_study, sampler_of, trials_of
from nasrec.train_options import TrainOptions

optuna.logging.set_verbosity(optuna.logging.WARNING)
REFERENCE = (0.5, 1e-3, 1e-3, 1e-3)


class Killed(Exception):
    """Stands for a process that dies while a candidate is being scored."""


def run(path, space, score, sampler: str, evaluations: int = 14, seed: int = 3, **options) -> list[dict]:
    study = open_study(path)
    abandon_unfinished(study)
    run_study(study, space, score, sampler=sampler, evaluations=evaluations, seed=seed, population=4, **options)
    return trials_of(study, space)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_resumes_to_the_same_trials(tmp_path, space, toy_score, sampler: str) -> None:
    whole = run(tmp_path / "whole.journal", space, toy_score, sampler)
    assert len({str(row["candidate"]) for row in whole}) > 10
    calls = 0

    def dies(candidate):
        nonlocal calls
        calls += 1
        if calls in (3, 7, 12):
            raise Killed
        return toy_score(candidate)

    for _ in range(3):
        with pytest.raises(Killed):
            run(tmp_path / "killed.journal", space, dies, sampler)
    assert run(tmp_path / "killed.journal", space, dies, sampler) == whole


def test_seeds_differ_and_repeat(tmp_path, space, toy_score) -> None:
    first = run(tmp_path / "a", space, toy_score, "evolution", seed=1)
    assert run(tmp_path / "b", space, toy_score, "evolution", seed=1) == first
    assert run(tmp_path / "c", space, toy_score, "evolution", seed=2) != first


def test_evolution_beats_random_search_at_equal_evaluations(space, costed_score) -> None:
    gains = []
    for seed in range(5):
        volumes = {}
        for sampler in ("evolution", "random"):
            study = optuna.create_study(directions=["minimize"] * 4)  # in memory: a journal waits for the disk
            run_study(study, space, costed_score, sampler=sampler, evaluations=64, seed=seed)
            volumes[sampler] = hypervolume([row["values"] for row in trials_of(study, space)], (0.46, 1e-4, 1e-3, 1e-4))
        gains.append(volumes["evolution"] / volumes["random"])
    assert np.median(gains) > 1.05


def test_every_second_parent_comes_from_the_useful_part_of_the_front() -> None:
    """The cheapest one predicts nothing: it is on the front, but beyond the reference. The last is not on the front."""
    values = [(0.4, 2.0, 2.0, 2.0), (0.3, 4.0, 4.0, 4.0), (0.69, 0.1, 0.1, 0.1), (0.5, 9.0, 9.0, 9.0)]
    trials = [
        optuna.trial.create_trial(values=list(one), state=optuna.trial.TrialState.COMPLETE, params={}) for one in values
    ]

    def useless(reference: tuple[float, ...] | None) -> float:
        rng = np.random.default_rng(0)
        chosen = [weighted_front_member(trials, rng, reference).values[0] for _ in range(2000)]
        assert set(chosen) == {0.4, 0.3, 0.69}
        return chosen.count(0.69) / len(chosen)

    assert useless((0.6, 10.0, 10.0, 10.0)) == pytest.approx(useless(None) / 2, rel=0.15)
    assert useless((0.35, 10.0, 10.0, 3.0)) == pytest.approx(useless(None), rel=0.15), "nothing is useful: as without"


def scored(count: int, space) -> list[optuna.trial.FrozenTrial]:
    """Trials of random candidates with one objective, each worse than the one before."""
    rng, study = np.random.default_rng(1), optuna.create_study()
    for number in range(count):
        trial = optuna.trial.create_trial(
            value=float(number), params=parameters_of(space.sample(rng), space), distributions=distributions_of(space),
            user_attrs={"score": {"log_loss": float(number)}},
        )  # fmt: skip
        study.add_trial(trial)
    return study.get_trials()


@pytest.mark.parametrize(("population", "entrants"), [(4, 2), (7, 2), (12, 3)])
def test_parents_win_a_tournament_of_a_quarter_of_the_newest_population(space, population: int, entrants: int) -> None:
    """Of distinct entrants the worst all but one never win, and what is older than the population never enters."""
    trials, rng = scored(20, space), np.random.default_rng(0)
    sampler = sampler_of("evolution", space, seed=0, budget=40, finished=20, population=population)
    parents = {sampler.parent(trials, rng).number for _ in range(1500)}
    assert parents == set(range(20 - population, 20 - entrants + 1))


def test_model_first_takes_models_from_the_newest_population(space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec.search.model_first.vary", lambda parent, *_: parent)
    trials, rng = scored(20, space), np.random.default_rng(0)
    sampler = ModelFirst(space, seed=0, budget=60, population=4, tournament=2)
    children = [sampler.next_candidate(trials, rng) for _ in range(100)]
    newest = [candidate_of(trial.params, space) for trial in trials[16:19]]
    assert all(child in newest for child in children) and all(parent in children for parent in newest)


def test_a_child_is_one_to_so_many_mutations_away(space) -> None:
    rng = np.random.default_rng(0)
    parent = Candidate(space.arch.sample(rng), ChipChoice(copies=1))

    def step(candidate: Candidate, _: np.random.Generator) -> Candidate:
        return replace(candidate, chip=replace(candidate.chip, copies=candidate.chip.copies + 1))

    counts = [vary(parent, step, 3, rng, set()).chip.copies - 1 for _ in range(200)]
    assert set(counts) == {1, 2, 3} and min(counts.count(n) for n in (1, 2, 3)) > 40
    known = {form_of(replace(parent, chip=ChipChoice(copies=copies))) for copies in (1, 2, 3, 4)}
    assert vary(parent, step, 1, rng, known).chip.copies == 5, "a child that is known is mutated again"
    assert vary(parent, lambda one, _: one, 1, rng, known) == parent, "but not for ever"


@pytest.mark.parametrize("sampler", ["evolution", "model_first"])
def test_no_child_is_scored_twice(space, toy_score, sampler: str) -> None:
    """Genes that no live part reads do not make another candidate."""
    study = optuna.create_study(directions=["minimize"] * 4)
    narrow = replace(space, chip=ChipSpace((128,), (128,), (2,), (1,), (7, 8), (128,), (1,)))
    run_study(study, narrow, toy_score, sampler=sampler, evaluations=60, seed=0, population=4)
    forms = [form_of(Candidate.from_json(row["candidate"])) for row in trials_of(study, narrow)]
    assert len(set(forms)) == 60


def test_candidates_are_not_those_of_a_supernet_of_the_same_seed(space) -> None:
    """A supernet that was trained on the first candidates would favour them."""
    for seed in range(3):
        steps = {step_arch(space.arch, TrainOptions(seed=seed, full_path_steps=0), step) for step in range(64)}
        study = optuna.create_study(directions=["minimize"] * 4)
        study.sampler = sampler_of("random", space, seed=seed, budget=64, finished=0, population=4)
        for _ in range(64):
            trial = study.ask(fixed_distributions=distributions_of(space))
            assert candidate_of(trial.params, space).arch not in steps
            study.tell(trial, [1.0] * 4)


def test_evolution_begins_on_a_conventional_chip(tmp_path, space, toy_score) -> None:
    """128 x 128 cells of 2 bits, DACs of 1, ADCs of 8 or the nearest to it; of equally near ones the smaller."""
    odd = replace(space, chip=ChipSpace((96, 160), (256,), (1, 4), (1, 2), (4, 7), (8, 16), (2, 4)))
    first = [row["candidate"]["chip"] for row in run(tmp_path / "odd", odd, toy_score, "evolution")][:4]
    names = ("rows", "columns", "cell_bits", "dac_bits", "adc_bits", "columns_per_adc", "copies")
    assert first == [dict(zip(names, (96, 256, 1, 1, 7, 16, 2), strict=True))] * 4


def settled(candidate: Candidate) -> Candidate:
    """ADCs of 7 bits and more compute the same numbers, best with 7 of them; copies cost nothing."""
    return replace(candidate, chip=replace(candidate.chip, copies=16, adc_bits=min(7, candidate.chip.adc_bits)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_whatever_is_scored_is_settled(tmp_path, space, toy_score, sampler: str) -> None:
    asked: list[Candidate] = []

    def score(candidate: Candidate) -> Score:
        asked.append(candidate)
        return toy_score(candidate)

    rows = run(tmp_path / "settled", replace(space, settle=settled), score, sampler, 40)
    if sampler != "nsga2":  # Optuna's own
        trials = open_study(tmp_path / "settled").get_trials()
        assert [candidate_of(trial.params, space) for trial in trials] == asked, "what is kept is settled as well"
    assert [Candidate.from_json(row["candidate"]) for row in rows] == asked
    assert all(settled(candidate) == candidate for candidate in asked)
    assert {candidate.chip.adc_bits for candidate in asked} == {4, 5, 6, 7}
    if sampler in ("evolution", "model_first"):
        assert len(set(map(form_of, asked))) == 40, "a mutation that settling undoes is drawn again"


def test_a_space_where_settling_undoes_every_mutation_has_an_end(space) -> None:
    candidate = space.sample(np.random.default_rng(0))
    stuck = replace(space, settle=lambda _: candidate)
    assert stuck.mutate(candidate, np.random.default_rng(0)) == candidate


def test_one_objective_with_targets(space, toy_score) -> None:
    study = optuna.create_study()
    run_study(
        study, space, toy_score, sampler="evolution", evaluations=12, seed=0, population=4, targets=(1e-6, 1e-5, 1e-6)
    )
    above = 0
    for trial, row in zip(study.get_trials(), trials_of(study, space), strict=True):
        loss, energy, latency, area = row["values"]
        over = [max(0.0, log2(value / 1e-6)) for value in (energy, area)] + [max(0.0, log2(latency / 1e-5))]
        assert trial.value == pytest.approx(loss + 0.02 * sum(over))
        above += any(over)
    assert above > 0


def test_budget_marks_trials_infeasible(tmp_path, space, toy_score) -> None:
    study = open_study(tmp_path / "budget")
    limit = 2e-5
    run_study(
        study,
        space,
        toy_score,
        sampler="evolution",
        evaluations=20,
        seed=0,
        population=4,
        budget=Budget(energy_j=limit),
    )
    rows = trials_of(study, space)
    assert {row["feasible"] for row in rows} == {True, False}
    assert all(row["feasible"] == (row["values"][1] <= limit) for row in rows)


def test_model_first_keeps_one_model_in_its_second_half(tmp_path, space, toy_score) -> None:
    rows = run(tmp_path / "model_first", space, toy_score, "model_first", 16)
    first, second = rows[:8], rows[8:]
    assert len({str(row["candidate"]["chip"]) for row in first}) == 1
    best = min(first, key=lambda row: row["values"][0])["candidate"]["arch"]
    for row in second:
        for block, kept in zip(row["candidate"]["arch"]["blocks"], best["blocks"], strict=True):
            assert {k: v for k, v in block.items() if not k.endswith("precision")} == {
                k: v for k, v in kept.items() if not k.endswith("precision")
            }
    assert len({str(row["candidate"]["chip"]) for row in second}) > 1


def test_model_first_takes_the_model_of_least_log_loss_whatever_target_or_budget_says(
    tmp_path, space, toy_score
) -> None:
    study = open_study(tmp_path / "targeted", objectives=1)
    targets = (1e-12, 1e-9, 1e-12)  # all missed by far: the cheapest model has the best single score
    run_study(
        study, space, toy_score, sampler="model_first", evaluations=16, seed=3, population=4, targets=targets,
        budget=Budget(energy_j=1e-12),
    )  # fmt: skip
    rows = trials_of(study, space)
    losses = [row["values"][0] for row in rows[:8]]
    scores = [trial.value for trial in study.get_trials()[:8]]
    assert int(np.argmin(losses)) != int(np.argmin(scores))

    def widths(row: dict) -> list[int]:
        return [block["dense_width"] for block in row["candidate"]["arch"]["blocks"]]

    assert all(widths(row) == widths(rows[int(np.argmin(losses))]) for row in rows[8:])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("objectives", [1, 4])
def test_a_score_that_is_no_number_is_named(tmp_path, space, toy_score, wrong: float, objectives: int) -> None:
    study = open_study(tmp_path / "wrong", objectives=objectives)

    def score(candidate):
        return replace(toy_score(candidate), log_loss=wrong)

    with pytest.raises(InputError, match=r"candidate 0: objectives must be finite numbers, not .*'log_loss': "):
        run_study(
            study, space, score, sampler="random", evaluations=2, seed=0,
            targets=(1e-6, 1e-6, 1e-6) if objectives == 1 else None,
        )  # fmt: skip
    assert trials_of(study, space) == []


def test_two_workers_share_a_journal(tmp_path, space, toy_score) -> None:
    journal = tmp_path / "shared"
    first, second = open_study(journal), open_study(journal)
    for evaluations, study in ((3, first), (6, second), (9, first)):
        run_study(study, space, toy_score, sampler="evolution", evaluations=evaluations, seed=0, population=4)
    alone = optuna.create_study(directions=["minimize"] * 4)
    run_study(alone, space, toy_score, sampler="evolution", evaluations=9, seed=0, population=4)
    rows = trials_of(alone, space)
    assert trials_of(first, space) == trials_of(second, space) == rows and len(rows) == 9


def test_optuna_opens_the_journal(tmp_path, space, toy_score) -> None:
    run(tmp_path / "study.journal", space, toy_score, "random")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    loaded = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert len(loaded.trials) == 14
    assert loaded.best_trials


def test_a_damaged_journal_is_named(tmp_path) -> None:
    broken = tmp_path / "broken.journal"
    broken.write_text('{"op_code": 0, \nnot json at all\n')
    with pytest.raises(InputError, match=r"broken\.journal, line 1: not an Optuna journal"):
        open_study(broken)


def test_unknown_sampler_is_named(space) -> None:
    with pytest.raises(InputError, match="'annealing': allowed are evolution"):
        sampler_of("annealing", space, seed=0, budget=1, finished=0, population=4)
