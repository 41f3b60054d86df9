"""Candidates as Optuna parameters: nothing is lost, nothing without a choice is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.search.parameters import candidate_of, distributions_of, parameters_of
from nasrec.space import EXTENDED, FULL, SMALL


@pytest.mark.parametrize("base", [SMALL, FULL, EXTENDED], ids=lambda space: space.name)
def test_round_trip(base) -> None:
    space = CandidateSpace(replace(base, weight_bits=(4, 8), input_bits=(4, 8)), ChipSpace())
    distributions, rng = distributions_of(space), np.random.default_rng(0)
    for _ in range(50):
        candidate = space.sample(rng)
        parameters = parameters_of(candidate, space)
        assert set(parameters) == set(distributions)
        for name, value in parameters.items():
            assert value in distributions[name].choices
        assert candidate_of(parameters, space) == candidate


def test_a_gene_with_one_value_is_no_parameter() -> None:
    space = CandidateSpace(replace(SMALL, blocks=1), ChipSpace(rows=(128,)))
    names = set(distributions_of(space))
    assert "chip.rows" not in names
    assert "head.precision" not in names
    assert "block0.sparse_op" not in names
    assert "block0.dense_op" in names
