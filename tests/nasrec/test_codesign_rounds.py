"""Rounds of further finalists in a co-design: whose children they are. Trainings are made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec import codesign
from nasrec.arch import Candidate
from nasrec.errors import InputError
from nasrec.liveness import network
from nasrec.offspring import Finalist
from nasrec.options import options_from
from nasrec.run import Run
from nasrec.space import Space

REFERENCE, RIVALS = (0.6, 100.0, 100.0, 100.0), (0.505, 0.52)
LOSS_AND_COST = {
    0: (0.59, 90.0),  # of no use for anything
    1: (0.45, 64.0),  # the least log loss
    2: (0.46, 4.0),  # the knee
    3: (0.50, 3.0),  # the cheapest that the better rival does not beat; of what is cheaper still, it does
    4: (0.53, 1.0),
    5: (0.44, 32.0),  # a child, and from then on the least log loss
}


def test_children_are_those_of_the_winners_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_from({"winners": {"rounds": 2, "children": 4}}, "test")
    run, space = Run.create(tmp_path / "run", "synthetic:rows=10", options), options.candidate_space()
    batches: list[list[Candidate]] = []
    parents: list[list[int | None]] = []
    add = codesign.add_finalists

    def made_up(run: Run, jobs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        first = sum(map(len, batches))
        assert list(jobs) == [f"finalist-{first + place}" for place in range(len(jobs))]
        batches.append([job.args[2] for job in jobs.values()])  # type: ignore[attr-defined]
        found = {}
        for number, (name, candidate) in enumerate(zip(jobs, batches[-1], strict=True), start=first):
            loss, cost = LOSS_AND_COST.get(number, (0.58, 80.0))
            other = replace(candidate, chip=replace(candidate.chip, copies=32))
            found[name] = {
                "trials": [
                    {"candidate": other.to_json(), "values": [loss, 99.0, 99.0, 99.0], "feasible": True},
                    {"candidate": candidate.to_json(), "values": [loss, cost, cost, cost], "feasible": True},
                ]
            }
        return found

    def observed(finalists: list[Finalist], chosen: list[int | None], space: Space, seed: int) -> None:
        parents.append(list(chosen))
        add(finalists, chosen, space, seed)

    monkeypatch.setattr(Run, "stages", made_up)
    monkeypatch.setattr(codesign, "add_finalists", observed)
    rng = np.random.default_rng(0)
    best = [replace(space.sample(rng), chip=space.chip.sample(rng)) for _ in range(5)]
    trials = codesign._trained_finalists(run, best, REFERENCE, RIVALS)

    assert parents == [[2, 1, 3, 2], [2, 5, 3, 2]]
    assert [len(batch) for batch in batches] == [5, 4, 4]
    assert [number for number, _ in trials] == [number for number in range(13) for _ in range(2)]
    candidates = list(chain(*batches))
    assert len({network(one.arch) for one in candidates}) == 13
    for child, parent in zip(candidates[5:], chain(*parents), strict=True):
        assert parent is not None and child.chip == candidates[parent].chip


def test_without_rounds_only_the_searchs_best_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_from({"winners": {"rounds": 0}}, "test")
    run, space = Run.create(tmp_path / "run", "synthetic:rows=10", options), options.candidate_space()
    calls: list[list[str]] = []

    def made_up(run: Run, jobs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        calls.append(list(jobs))
        return {name: {"trials": [{"candidate": job.args[2].to_json()}]} for name, job in jobs.items()}  # type: ignore[attr-defined]

    monkeypatch.setattr(Run, "stages", made_up)
    best = [space.sample(np.random.default_rng(seed)) for seed in range(3)]
    trials = codesign._trained_finalists(run, best, REFERENCE, RIVALS)
    assert trials == [(number, {"candidate": one.to_json()}) for number, one in enumerate(best)]
    assert calls == [["finalist-0", "finalist-1", "finalist-2"]]
    with pytest.raises(InputError, match="finalist 1 is not what this release trains; begin another run"):
        monkeypatch.setattr(Run, "stages", lambda run, jobs: made_up(run, dict.fromkeys(jobs, jobs["finalist-0"])))
        codesign._trained_finalists(run, best, REFERENCE, RIVALS)
