"""How the trainings of a co-design begin: finalists and baselines, each as its own options say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec.checkpoint import load_checkpoint
from nasrec.data.keepsake import keep_encoder
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.errors import TrainingDiverged
from nasrec.options import CodesignOptions
from nasrec.retrain import baseline_weights, train_baseline, train_finalist

STILL: dict[str, Any] = {"epochs": 1, "learning_rates": [1e-12]}  # trained so little that tables stay as they began


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(open_source("synthetic:rows=400"), tmp_path_factory.mktemp("rows") / "rows", seed=0)


def deviation(weights: Path) -> float:
    """Of all numbers in the embedding tables."""
    tensors = load_checkpoint(weights).tensors
    tables = [table.numpy().ravel() for name, table in tensors.items() if name.startswith("embeddings.tables.")]
    return float(np.concatenate(tables).std())


def test_tables_start_as_the_options_say(data: Prepared, tmp_path: Path) -> None:
    found = {}
    for std in (None, 1e-4, 0.5):
        section = {**STILL, "embedding_std": std}
        options = CodesignOptions.model_validate({"winners": section, "baselines": STILL, "chip": {"adc_bits": [9]}})
        swapped = CodesignOptions.model_validate({"winners": STILL, "baselines": section})
        folder = tmp_path / str(std)
        encoder = keep_encoder(folder / "vocabulary", data)
        candidate = options.candidate_space().sample(np.random.default_rng(0))
        train_finalist(candidate, folder / "finalist", data, options, encoder, 1.0)
        train_baseline("dlrm", folder, data, swapped, encoder)
        found[std] = deviation(folder / "finalist" / "weights.safetensors"), deviation(baseline_weights(folder, "dlrm"))
    for std in (1e-4, 0.5):
        assert found[std] == pytest.approx((std, std), rel=0.1)
    assert min(found[None]) > 1e-3, "Xavier normal: the deviation of a table depends on its rows"


def test_a_rate_at_which_training_diverges_loses_to_the_others(data: Prepared, tmp_path: Path) -> None:
    section = {"epochs": 1, "learning_rates": [1e25, 0.1], "batch_size": 64}
    options = CodesignOptions.model_validate({"winners": section, "baselines": section, "chip": {"adc_bits": [9]}})
    encoder = keep_encoder(tmp_path / "vocabulary", data.folder)
    candidate = options.candidate_space().sample(np.random.default_rng(0))
    assert train_finalist(candidate, tmp_path / "one", data, options, encoder, 1.0)["learning_rate"] == 0.1
    hopeless = CodesignOptions.model_validate({"winners": {**section, "learning_rates": [1e25, 1e26]}})
    with pytest.raises(TrainingDiverged):
        train_finalist(candidate, tmp_path / "two", data, hopeless, encoder, 1.0)
