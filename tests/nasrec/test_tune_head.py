"""Post-training fine-tuning on features computed once, against training the whole model with all else held still."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.arch import Precision
from nasrec.metrics import log_loss
from nasrec.model.supernet import Supernet
from nasrec.options import ScoreOptions
from nasrec.predict import predict
from nasrec.score import tune_head
from nasrec.space import Space

SPACE = Space("reduced", blocks=3, dense_widths=(16, 24), sparse_widths=(4, 8))


def through_the_whole_model(model, rows: Rows, options: ScoreOptions) -> None:
    """Every step computes the whole network again; only the head has an optimiser."""
    optimizer = torch.optim.Adagrad(model.head.parameters(), lr=options.fine_tune_learning_rate, eps=1e-2)
    rng = np.random.default_rng(0)
    for _ in range(options.fine_tune_steps):
        batch = rows.take(rng.choice(len(rows), size=min(options.fine_tune_batch, len(rows)), replace=False))
        optimizer.zero_grad()
        logits = model(torch.from_numpy(batch.dense), torch.from_numpy(batch.ids))
        binary_cross_entropy_with_logits(logits, torch.from_numpy(batch.labels)).backward()
        optimizer.step()


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("count", [700, 60])  # more rows than a batch, and fewer
def test_features_once_equal_step_by_step(count: int, bits: int) -> None:
    rows, _ = first_order_rows(count)
    supernet = Supernet(SPACE, FEATURES, generator=torch.Generator().manual_seed(0))
    arch = SPACE.sample(np.random.default_rng(1)).with_precision(Precision(bits, bits))
    once, whole = (supernet.extract(arch).eval() for _ in range(2))
    for model in (once, whole):
        model.calibrate(torch.from_numpy(rows.dense), torch.from_numpy(rows.ids))
    before = log_loss(predict(once, rows), rows.labels)
    options = ScoreOptions(fine_tune_steps=60, fine_tune_batch=128)
    tune_head(once, rows, options)
    through_the_whole_model(whole, rows, options)
    torch.testing.assert_close(once.head.weight, whole.head.weight, rtol=1e-3, atol=1e-5)
    after = [log_loss(predict(model, rows), rows.labels) for model in (once, whole)]
    assert after[0] == pytest.approx(after[1], abs=1e-5) and after[0] < before
    for (name, ours), untouched in zip(once.named_parameters(), supernet.extract(arch).parameters(), strict=True):
        assert name.startswith("head.") or torch.equal(ours, untouched), name
