"""A small joint space and a score that needs no training: searches can be tested in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasrec.arch import Candidate
from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.data.features import Features, Table
from nasrec.hardware import HardwareCost, cost_of, measure
from nasrec.score import Score
from nasrec.space import FULL


@pytest.fixture(scope="session")
def space() -> CandidateSpace:
    small = replace(FULL, blocks=2, dense_widths=(16, 32, 64), weight_bits=(4, 8), input_bits=(4, 8))
    return CandidateSpace(small, ChipSpace())


@pytest.fixture(scope="session")
def candidates(space: CandidateSpace) -> list[dict]:
    rng = np.random.default_rng(0)
    return [space.sample(rng).to_json() for _ in range(6)]


@pytest.fixture(scope="session")
def toy_score():
    """Log loss falls with widths and ADC bits, cost rises with them: a real trade-off, known in closed form."""

    def score(candidate: Candidate) -> Score:
        width = sum(block.dense_width for block in candidate.arch.blocks)
        chip = candidate.chip
        loss = 0.3 + 1.0 / width + 0.01 * (9 - chip.adc_bits)
        energy = 1e-9 * width * 2.0**chip.adc_bits
        return Score(loss, 0.8, HardwareCost(energy, 1e-6 * chip.columns_per_adc, 1e-9 * chip.rows, 1e-6, width))

    return score


@pytest.fixture(scope="session")
def costed_score():
    """The real cost model beside a closed-form log loss: wide, precise models gain, ADCs below lossless bits lose."""
    features = Features(13, tuple(Table(f"C{i}", 1000) for i in range(26)))

    def score(candidate: Candidate) -> Score:
        chip, blocks = candidate.chip, candidate.arch.blocks
        capacity = sum(np.log2(block.dense_width) for block in blocks) / (8 * len(blocks))
        bits = np.mean([block.dense_precision.weight_bits for block in blocks])
        # 128 rows of 2-bit cells with 1-bit inputs need 8 bits (ISAAC); each doubling needs one more.
        lossless = 8 + np.log2(chip.rows / 128) + (chip.cell_bits - 2) + (chip.dac_bits - 1)
        lacking = max(0.0, lossless - 1 - chip.adc_bits)
        loss = 0.45 - 0.06 * capacity + 0.001 * (8 - bits) + 0.02 * lacking**2
        return Score(float(loss), None, cost_of(measure(candidate, features)))

    return score
