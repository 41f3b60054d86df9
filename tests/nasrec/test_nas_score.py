"""Scoring an architecture with a supernet's weights: a score is what the fine-tuned subnet predicts, and repeats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, rows_of

from nasrec.metrics import auc, log_loss
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasScoreOptions
from nasrec.nas.score import ArchScore, ArchScorer
from nasrec.predict import predict
from nasrec.score import tune_head
from nasrec.space import Space

SPACE = Space("reduced", blocks=3, dense_widths=(16, 24), sparse_widths=(4, 8))


def supernet(space: Space = SPACE) -> Supernet:
    return Supernet(space, FEATURES, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bits", [(32,), (8,)])
def test_a_score_is_what_the_fine_tuned_subnet_predicts(bits: tuple[int, ...]) -> None:
    net = supernet(Space("reduced", 3, dense_widths=(16, 24), sparse_widths=(4, 8), weight_bits=bits, input_bits=bits))
    train, validation = rows_of(900), rows_of(700, seed=1)
    options = NasScoreOptions(fine_tune_rows=800, fine_tune_steps=20, fine_tune_batch=100, rows=600)
    arch = net.space.sample(np.random.default_rng(2))
    scorer = ArchScorer(net, train, validation, options)
    score, cost = scorer.timed(arch)
    model = net.extract(arch).eval()
    head = train.head(options.calibration_rows)
    if bits != (32,):
        model.calibrate(torch.from_numpy(head.dense), torch.from_numpy(head.ids))
    judged = validation.head(600)
    before = log_loss(predict(model, judged), judged.labels)
    tune_head(model, train.head(800), options)
    logits = predict(model, judged)
    assert score.log_loss_before == pytest.approx(before, abs=1e-6)
    assert score.log_loss == pytest.approx(log_loss(logits, judged.labels), abs=1e-6)
    assert score.auc == pytest.approx(auc(logits, judged.labels), abs=1e-6)
    assert scorer(arch) == score and ArchScore.from_json(score.to_json()) == score
    assert min(cost.extract_s, cost.features_s, cost.fine_tune_s, cost.judge_s) > 0


@pytest.mark.parametrize(("wanted", "taken"), [(300, 300), (5000, 350)])
def test_fine_tuned_on_validation_the_rows_judged_are_others(wanted: int, taken: int) -> None:
    net, validation = supernet(), rows_of(700, seed=1)
    options = NasScoreOptions(fine_tune_on="validation", fine_tune_rows=wanted, fine_tune_steps=20, fine_tune_batch=100)
    arch = net.space.sample(np.random.default_rng(2))
    score = ArchScorer(net, rows_of(900), validation, options)(arch)
    model = net.extract(arch).eval()
    tune_head(model, validation.head(taken), options)
    judged = validation.without_head(taken)
    assert score.log_loss == pytest.approx(log_loss(predict(model, judged), judged.labels), abs=1e-6)


def test_without_steps_nothing_is_fine_tuned() -> None:
    score = ArchScorer(supernet(), rows_of(50), rows_of(70), NasScoreOptions(fine_tune_steps=0))(
        SPACE.sample(np.random.default_rng(3))
    )
    assert score.log_loss == score.log_loss_before
