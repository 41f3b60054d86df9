"""Scoring an architecture with a supernet's weights: fine-tuning equals training step by step, scores repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.metrics import auc, log_loss
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasScoreOptions
from nasrec.nas.score import ArchScore, ArchScorer, fine_tune_head
from nasrec.predict import predict
from nasrec.space import Space

SPACE = Space("reduced", blocks=3, dense_widths=(16, 24), sparse_widths=(4, 8))


class Heads(Rows):
    """Rows that know their first ones, as a data set does."""

    def head(self, count: int) -> Heads:
        return self.take(np.arange(min(count, len(self))))

    def batch(self, rows: slice) -> Heads:
        return self.take(np.arange(len(self))[rows])

    def take(self, rows: np.ndarray) -> Heads:
        return Heads(self.dense[rows], self.ids[rows], self.labels[rows])


def rows_of(count: int, seed: int = 0) -> Heads:
    rows, _ = first_order_rows(count, seed)
    return Heads(rows.dense, rows.ids, rows.labels)


def supernet(space: Space = SPACE) -> Supernet:
    return Supernet(space, FEATURES, generator=torch.Generator().manual_seed(0))


def step_by_step(model, rows: Heads, options: NasScoreOptions) -> None:
    """Every step computes the whole network again; only the head has an optimiser."""
    optimizer = torch.optim.Adagrad(model.head.parameters(), lr=options.fine_tune_learning_rate, eps=1e-2)
    size = min(options.fine_tune_batch, len(rows))
    for step in range(options.fine_tune_steps):
        start = step % (len(rows) // size) * size
        batch = rows.take(np.arange(start, start + size))
        optimizer.zero_grad()
        logits = model(torch.from_numpy(batch.dense), torch.from_numpy(batch.ids))
        binary_cross_entropy_with_logits(logits, torch.from_numpy(batch.labels)).backward()
        optimizer.step()


@pytest.mark.parametrize(("count", "batch"), [(1500, 100), (6000, 100), (6000, 700), (60, 100)])
def test_features_once_equal_step_by_step(count: int, batch: int) -> None:
    """With rows for fewer, for exactly as many and for more steps than there are, and for less than one batch."""
    rows, net = rows_of(count), supernet()
    options = NasScoreOptions(fine_tune_steps=60, fine_tune_batch=batch)
    arch = SPACE.sample(np.random.default_rng(1))
    once, whole = (net.extract(arch).eval() for _ in range(2))
    before = log_loss(predict(once, rows), rows.labels)
    fine_tune_head(once, rows, options)
    step_by_step(whole, rows, options)
    torch.testing.assert_close(once.head.weight, whole.head.weight, rtol=1e-3, atol=1e-5)
    after = [log_loss(predict(model, rows), rows.labels) for model in (once, whole)]
    assert after[0] == pytest.approx(after[1], abs=1e-5) and after[0] < before
    for (name, ours), untouched in zip(once.named_parameters(), net.extract(arch).parameters(), strict=True):
        assert name.startswith("head.") or torch.equal(ours, untouched), name


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
    fine_tune_head(model, train.head(800), options)
    logits = predict(model, judged)
    assert score.log_loss_before == pytest.approx(before, abs=1e-6)
    assert score.log_loss == pytest.approx(log_loss(logits, judged.labels), abs=1e-6)
    assert score.auc == pytest.approx(auc(logits, judged.labels), abs=1e-6)
    assert scorer(arch) == score and ArchScore.from_json(score.to_json()) == score
    assert min(cost.extract_s, cost.features_s, cost.fine_tune_s, cost.judge_s) > 0


def test_without_steps_nothing_is_fine_tuned() -> None:
    score = ArchScorer(supernet(), rows_of(50), rows_of(70), NasScoreOptions(fine_tune_steps=0))(
        SPACE.sample(np.random.default_rng(3))
    )
    assert score.log_loss == score.log_loss_before
