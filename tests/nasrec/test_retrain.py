"""How the trainings of a co-design begin: finalists and baselines, each as its own options say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrec.arch import Candidate, ChipChoice, Precision
from nasrec.checkpoint import load_checkpoint
from nasrec.data.dataset import Dataset
from nasrec.data.keepsake import keep_encoder
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.errors import TrainingDiverged
from nasrec.hardware import EMBEDDING_BITS, arithmetic_of
from nasrec.metrics import auc, log_loss
from nasrec.model.baselines import BASELINES, Baseline
from nasrec.model.optimizer import load_weights, weights_of
from nasrec.model.subnet import Subnet
from nasrec.options import CodesignOptions
from nasrec.predict import predict
from nasrec.retrain import baseline_weights, crown, train_baseline, train_finalist
from nasrec.score import SCORE_BATCH
from nasrec.space import Space
from nasrec.winners import write_winner

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
    encoder = keep_encoder(tmp_path / "vocabulary", data)
    candidate = options.candidate_space().sample(np.random.default_rng(0))
    assert train_finalist(candidate, tmp_path / "one", data, options, encoder, 1.0)["learning_rate"] == 0.1
    hopeless = CodesignOptions.model_validate({"winners": {**section, "learning_rates": [1e25, 1e26]}})
    with pytest.raises(TrainingDiverged):
        train_finalist(candidate, tmp_path / "two", data, hopeless, encoder, 1.0)


def scores_by_hand(
    build: Callable[[Precision | None], Subnet | Baseline],
    chip: ChipChoice,
    weights: dict[str, Tensor],
    calibration: Dataset,
    rows: Dataset,
) -> dict[str, Any]:
    """In float; then at the model's bits, ranges from `calibration`, tables as stored, on the chip's crossbars."""
    exact, stored = build(Precision()), build(None)
    for model in (exact, stored):
        load_weights(model, weights)
        model.eval()
    whole = calibration.batch(slice(0, len(calibration)))
    stored.calibrate(torch.from_numpy(whole.dense), torch.from_numpy(whole.ids))
    stored.embeddings = stored.embeddings.quantized(EMBEDDING_BITS)
    stored.compute_as(arithmetic_of(chip))
    (found, there), labels = (predict(model, rows, SCORE_BATCH) for model in (exact, stored)), rows.labels
    by_hand = {
        "log_loss": log_loss(found, labels),
        "log_loss_crossbar": log_loss(there, labels),
        "auc": auc(found, labels),
        "auc_crossbar": auc(there, labels),
    }
    return {"rows": len(rows), **{name: pytest.approx(value, abs=1e-6) for name, value in by_hand.items()}}


def test_a_baseline_is_scored_on_test_rows_with_ranges_of_training_rows(data: Prepared, tmp_path: Path) -> None:
    options = CodesignOptions.model_validate(
        {
            "baselines": {"epochs": 1, "learning_rates": [0.1], "batch_size": 64},
            "search": {"score": {"calibration_rows": 100}},
        }
    )
    found = train_baseline("dlrm", tmp_path, data, options, keep_encoder(tmp_path / "vocabulary", data))["test"]

    def build(precision: Precision | None) -> Baseline:
        return BASELINES["dlrm"](data.features, precision=precision or Precision(8, 8))

    weights = load_checkpoint(baseline_weights(tmp_path, "dlrm")).tensors
    train, test = data.split("train").head(100), data.split("test")
    assert found == scores_by_hand(build, ChipChoice(), weights, train, test)
    assert found["log_loss"] != found["log_loss_crossbar"]


def test_a_winner_is_scored_on_test_rows_with_ranges_of_training_rows(data: Prepared, tmp_path: Path) -> None:
    space = Space("tiny", 2, dense_widths=(16,), sparse_widths=(4,), weight_bits=(8,), input_bits=(8,))
    candidate = Candidate(space.sample(np.random.default_rng(0)), ChipChoice(adc_bits=5))
    model = Subnet(candidate.arch, data.features, generator=torch.Generator().manual_seed(0))
    write_winner(tmp_path / "finalist", candidate, data.features, model)
    trained = {"learning_rate": 0.1, "validation_log_loss": [0.5]}
    found = crown("knee", candidate, trained, tmp_path / "finalist", tmp_path / "winner", data, 100)["test"]

    def build(precision: Precision | None) -> Subnet:
        arch = candidate.arch if precision is None else candidate.arch.with_precision(precision)
        return Subnet(arch, data.features)

    train, test = data.split("train").head(100), data.split("test")
    assert found == scores_by_hand(build, candidate.chip, weights_of(model), train, test)
    assert found["log_loss"] != found["log_loss_crossbar"]
