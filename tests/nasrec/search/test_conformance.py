"""Our samplers under Optuna's own conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase

from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.search.evolution import RandomCandidates, RegularizedEvolution
from nasrec.search.model_first import ModelFirst
from nasrec.space import SMALL

SPACE = CandidateSpace(replace(SMALL, blocks=1), ChipSpace())
BUILDERS: dict[str, Callable[[], BaseSampler]] = {
    "evolution": lambda: RegularizedEvolution(SPACE, seed=0),
    "random": lambda: RandomCandidates(SPACE, seed=0),
    "model_first": lambda: ModelFirst(SPACE, seed=0, budget=8),
}


class TestConformance(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Every case of the suite, for each sampler."""

    @pytest.fixture(params=BUILDERS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return BUILDERS[request.param]
