"""Which architectures a refinement adds, without training them; the rest is in test_search_run and test_codesign."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.arch import Arch
from nasrec.liveness import network
from nasrec.offspring import Finalist, add_finalists
from nasrec.space import Space

FOUR = Space("four", 1, dense_ops=("fc",), sparse_ops=("efc",), dense_widths=(16,), sparse_widths=(16,))  # dsi, fm


def test_no_network_comes_twice_where_the_space_has_too_few() -> None:
    finalists = [Finalist(FOUR.sample(np.random.default_rng(0)), 0, None)]
    add_finalists(finalists, [None, 0, None, 0, 0, None], FOUR, seed=0)
    assert len(finalists) == len({network(finalist.arch) for finalist in finalists}) == 4
    assert {finalist.number for finalist in finalists[1:]} == {None}


def test_children_are_mutations_of_their_parent_and_depend_on_the_seed() -> None:
    space = Space("many", 3)
    drawn = []
    for seed in (0, 0, 1):
        finalists = [Finalist(space.sample(np.random.default_rng(5)), 0, None)]
        add_finalists(finalists, [0] * 6, space, seed)
        parent = finalists[0].arch
        for child in finalists[1:]:
            assert child.parent == 0 and child.arch.blocks != parent.blocks
        drawn.append([finalist.arch for finalist in finalists])
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_child_is_one_mutation_away_or_two(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    mutate = Space.mutate

    def counted(space: Space, arch: Arch, rng: np.random.Generator) -> Arch:
        nonlocal calls
        calls += 1
        mutated = mutate(space, arch, rng)
        while network(mutated) in known:  # so that none has to be mutated again
            mutated = mutate(space, mutated, rng)
        return mutated

    monkeypatch.setattr(Space, "mutate", counted)
    space, found = Space("many", 3), []
    finalists = [Finalist(space.sample(np.random.default_rng(5)), 0, None)]
    for _ in range(20):
        calls, known = 0, {network(finalist.arch) for finalist in finalists}
        add_finalists(finalists, [0], space, seed=0)
        found.append(calls)
    assert len(finalists) == 21 and set(found) == {1, 2} and min(found.count(1), found.count(2)) > 4
