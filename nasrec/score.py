"""How good a candidate is: log loss and AUC as its chip computes them, and what the chip costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrec.arch import Candidate
from nasrec.data.batch import Batch
from nasrec.data.dataset import Dataset
from nasrec.data.features import Features
from nasrec.errors import InputError
from nasrec.hardware import EMBEDDING_BITS, HardwareCost, arithmetic_of, cost_of, measure
from nasrec.metrics import auc, log_loss, usable
from nasrec.model.arithmetic import Arithmetic
from nasrec.model.baselines import Baseline
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.options import ScoreOptions
from nasrec.predict import each_batch, inputs_of, predict
from nasrec.progress import Report

SCORE_BATCH = 512  # rows a forward pass takes while scoring: small enough for the activations to stay in cache


@dataclass(frozen=True)
class Score:
    """Log loss (nats) and AUC on the scored rows (None if they hold one class only), and the hardware's cost."""

    log_loss: float
    auc: float | None
    hardware: HardwareCost

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return {"log_loss": self.log_loss, "auc": self.auc, "hardware": self.hardware.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "score") -> Score:
        """Rebuild from `to_json`; raises InputError naming `where`."""
        if not isinstance(data, Mapping) or set(data) != {"log_loss", "auc", "hardware"}:
            raise InputError(f"{where}: expected the fields log_loss, auc, hardware")
        return cls(data["log_loss"], data["auc"], HardwareCost.from_json(data["hardware"], f"{where}.hardware"))


class CandidateScorer:
    """Scores candidates with the weights of one supernet: inherit, fine-tune the last layer, judge on the chip.

    The judgement uses the first `options.rows` validation rows, the candidate's own bits, embeddings as stored, and
    the arithmetic of its chip's crossbars. Calling it twice with one candidate gives the same score.
    """

    def __init__(
        self, supernet: Supernet, features: Features, train: Dataset, validation: Dataset, options: ScoreOptions
    ) -> None:
        """`train` gives the rows for fine-tuning and calibration, `validation` those for the score."""
        self.supernet = supernet
        self.features = features
        self.options = options
        self._fine_tune = train.head(options.fine_tune_rows)
        self._calibration = train.head(options.calibration_rows)
        self._validation = validation.head(options.rows)
        self._stored_tables = supernet.embeddings.quantized(EMBEDDING_BITS)

    def __call__(self, candidate: Candidate) -> Score:
        """The score of `candidate`; raises InputError if it cannot be built."""
        hardware = cost_of(measure(candidate, self.features))
        subnet = self.supernet.extract(candidate.arch, share_embeddings=True)
        subnet.eval()
        calibrate(subnet, self._calibration)
        tune_head(subnet, self._fine_tune, self.options)
        subnet.embeddings = self._stored_tables
        loss, area_under_curve = judge(subnet, self._validation, arithmetic_of(candidate.chip))
        return Score(usable(loss), area_under_curve, hardware)


def tune_head(subnet: Subnet, rows: Dataset, options: ScoreOptions) -> None:
    """Post-training fine-tuning (NASRec): Adagrad on the last layer only, in place, on the features of `rows`.

    Nothing below the last layer moves, so this is the training step by step, without computing the rest again.
    """
    tune_last(subnet.head, head_inputs(subnet, rows), torch.from_numpy(rows.labels), options)


def head_inputs(subnet: Subnet, rows: Dataset) -> Tensor:
    """What the last layer reads of every row, [rows, H], without gradients."""
    weight = subnet.head.get_parameter("weight")
    inputs = torch.empty(len(rows), weight.shape[1], device=weight.device)
    for number, found in enumerate(batches_of_head_inputs(subnet, rows)):
        inputs[number * SCORE_BATCH :][: len(found)] = found
    return inputs


def batches_of_head_inputs(subnet: Subnet, rows: Dataset) -> Iterator[Tensor]:
    """What the last layer reads, `SCORE_BATCH` rows [B, H] after the other, without gradients."""
    device = subnet.head.get_parameter("weight").device

    def features_of(batch: Batch) -> Tensor:
        return subnet.features_before_head(*inputs_of(batch, device))

    return each_batch(subnet, features_of, rows.batches(SCORE_BATCH, seed=None), SCORE_BATCH, device)


def tune_last(head: nn.Module, inputs: Tensor, labels: Tensor, options: ScoreOptions) -> None:
    """Train the last layer `head` on `inputs` [N, H] and `labels` [N]: random batches, the same for every layer."""
    labels = labels.to(inputs.device)
    optimizer = torch.optim.Adagrad(head.parameters(), lr=options.fine_tune_learning_rate, eps=1e-2)  # NASRec's eps
    order = np.random.default_rng(0)
    size = min(options.fine_tune_batch, len(inputs))
    for _ in range(options.fine_tune_steps):
        chosen = torch.from_numpy(order.choice(len(inputs), size=size, replace=False))
        optimizer.zero_grad()
        logits = head(inputs[chosen]).squeeze(1)
        nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def calibrate(model: Subnet | Baseline, rows: Dataset) -> None:
    """Set the input ranges of the model's quantised layers from `rows`, all in one batch."""
    device = next(model.parameters()).device
    model.calibrate(*inputs_of(rows.batch(slice(0, len(rows))), device))


def store_tables(model: Subnet | Baseline) -> None:
    """Round the embedding tables to what the chip stores: `EMBEDDING_BITS` bits, one scale a table."""
    model.embeddings = model.embeddings.quantized(EMBEDDING_BITS)


def judge(
    model: Subnet | Baseline, rows: Dataset, arithmetic: Arithmetic | None, progress: Report | None = None
) -> tuple[float, float | None]:
    """Log loss and AUC of `model` on `rows`, with crossbar arithmetic if one is given, else in float."""
    model.compute_as(arithmetic)
    logits = predict(model, rows, SCORE_BATCH, progress=progress)
    model.compute_as(None)
    return log_loss(logits, rows.labels), auc(logits, rows.labels)
