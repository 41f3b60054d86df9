"""Scoring a candidate: what the fine-tuned subnet predicts on its chip, which rows serve what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, rows_of

from nasrec.arch import Candidate, ChipChoice
from nasrec.hardware import EMBEDDING_BITS, arithmetic_of
from nasrec.metrics import auc, log_loss
from nasrec.model.supernet import Supernet
from nasrec.options import ScoreOptions
from nasrec.predict import predict
from nasrec.score import SCORE_BATCH, CandidateScorer, tune_head
from nasrec.space import Space

SPACE = Space("reduced", 3, dense_widths=(16, 24), sparse_widths=(4, 8), weight_bits=(8,), input_bits=(8,))


@pytest.mark.parametrize("adc_bits", [5, 8])
def test_a_score_is_what_the_fine_tuned_subnet_predicts_on_its_chip(adc_bits: int) -> None:
    """Training rows tune and calibrate, validation rows judge; tables as stored, an ADC with loss and one without."""
    net = Supernet(SPACE, FEATURES, generator=torch.Generator().manual_seed(0))
    train, validation = rows_of(900), rows_of(700, seed=1)
    options = ScoreOptions(fine_tune_rows=800, fine_tune_steps=20, fine_tune_batch=100, calibration_rows=200, rows=600)
    candidate = Candidate(SPACE.sample(np.random.default_rng(2)), ChipChoice(adc_bits=adc_bits))
    scorer = CandidateScorer(net, FEATURES, train, validation, options)
    score = scorer(candidate)
    model = net.extract(candidate.arch).eval()
    head, judged = train.head(200), validation.head(600)
    model.calibrate(torch.from_numpy(head.dense), torch.from_numpy(head.ids))
    tune_head(model, train.head(800), options)
    model.embeddings = model.embeddings.quantized(EMBEDDING_BITS)
    model.compute_as(arithmetic_of(candidate.chip))
    logits = predict(model, judged, SCORE_BATCH)
    assert score.log_loss == pytest.approx(log_loss(logits, judged.labels), abs=1e-6)
    assert score.auc == pytest.approx(auc(logits, judged.labels), abs=1e-6)
    assert scorer(candidate) == score
