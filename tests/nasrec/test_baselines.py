"""The baselines against formulas written out in float64, and what they can learn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows

from nasrec.arch import Precision
from nasrec.data.features import Features, Table
from nasrec.metrics import log_loss
from nasrec.model.baselines import BASELINES, DLRM, Baseline, DeepFM, LayerShape, LogisticRegression
from nasrec.model.linear import QuantLinear
from nasrec.train import TrainOptions, predict, train_subnet

ROWS, _ = first_order_rows(64, seed=2)
DENSE, IDS = torch.from_numpy(ROWS.dense), torch.from_numpy(ROWS.ids)


def build(name: str, seed: int = 0, features: Features = FEATURES, precision: Precision | None = None) -> Baseline:
    generator = torch.Generator().manual_seed(seed)
    model = BASELINES[name](features, precision=precision or Precision(), generator=generator)
    with torch.no_grad():  # first-order weights and biases start at zero: give them values to be tested
        for table in model.embeddings.tables:
            table[:, 0] = torch.randn(len(table), generator=generator)
        for layer in model.modules():
            if isinstance(layer, QuantLinear):
                bias = layer.get_parameter("bias")
                bias.copy_(torch.randn(bias.shape, generator=generator))
    return model


def looked_up(model: Baseline) -> np.ndarray:
    tables = [table.detach().double().numpy() for table in model.embeddings.tables]
    return np.stack([table[ROWS.ids[:, column]] for column, table in enumerate(tables)], axis=1)


def linear(layer: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    weight = layer.get_parameter("weight").detach().double().numpy()
    return x @ weight.T + layer.get_parameter("bias").detach().double().numpy()


def mlp(layers: torch.nn.Sequential, x: np.ndarray) -> np.ndarray:
    for layer in layers:
        x = linear(layer, x) if isinstance(layer, QuantLinear) else np.maximum(x, 0)
    return x


def by_hand(model: Baseline) -> np.ndarray:
    rows, dense = looked_up(model), ROWS.dense.astype(np.float64)
    if isinstance(model, LogisticRegression):
        return rows.sum(axis=(1, 2)) + linear(model.head, dense)[:, 0]
    if isinstance(model, DLRM):
        bottom = mlp(model.bottom, dense)
        rows = np.concatenate([bottom[:, None], rows], axis=1)
        pairs = [(rows[:, i] * rows[:, j]).sum(axis=1) for i in range(rows.shape[1]) for j in range(i)]
        return linear(model.head, mlp(model.top, np.concatenate([bottom, np.stack(pairs, axis=1)], axis=1)))[:, 0]
    assert isinstance(model, DeepFM)
    latent = rows[:, :, 1:]
    deep = linear(model.head, mlp(model.deep, np.concatenate([dense, latent.reshape(len(latent), -1)], axis=1)))
    first = rows[:, :, 0].sum(axis=1) + linear(model.dense_first_order, dense)[:, 0]
    latent = np.concatenate([linear(model.dense_row, dense)[:, None], latent], axis=1)
    second = sum((latent[:, i] * latent[:, j]).sum(axis=1) for i in range(latent.shape[1]) for j in range(i))
    return deep[:, 0] + first + second


@pytest.mark.parametrize("name", BASELINES)
def test_logits_are_the_published_formula(name: str):
    model = build(name)
    expected = by_hand(model)
    for mode in (True, False):
        found = model.train(mode)(DENSE, IDS).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_bags_of_one_are_plain_ids_and_longer_ones_are_averaged(name: str):
    model = build(name)
    count = len(ROWS) * len(FEATURES.tables)
    flat, offsets = IDS.T.contiguous().reshape(-1), torch.arange(count + 1)
    torch.testing.assert_close(model(DENSE, flat, offsets), model(DENSE, IDS))
    torch.testing.assert_close(model(DENSE, flat.repeat_interleave(2), 2 * offsets), model(DENSE, IDS))


@pytest.mark.parametrize("name", BASELINES)
def test_steps_are_torchs_adagrad_with_clipping(name: str):
    model = build(name)
    twin = copy.deepcopy(model).eval()  # in evaluation mode the tables can be looked up by hand
    parameters = list(twin.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adagrad(parameters, lr=0.1, eps=1e-2)
    labels = torch.from_numpy(ROWS.labels)
    model.train()
    for _ in range(3):
        torch.nn.functional.binary_cross_entropy_with_logits(model(DENSE, IDS), labels).backward()
        norm = model.adagrad_step(lr=0.1, eps=1e-2, clip_norm=0.5)
        optimizer.zero_grad()
        tables = list(twin.embeddings.tables)

        class ByHand(torch.nn.Module):
            dim = twin.embeddings.dim

            def forward(self, ids: torch.Tensor, offsets: None = None) -> torch.Tensor:
                return torch.stack([table[ids[:, at]] for at, table in enumerate(tables)], dim=1)  # noqa: B023

        real, twin.embeddings = twin.embeddings, ByHand()  # type: ignore[assignment]
        torch.nn.functional.binary_cross_entropy_with_logits(twin(DENSE, IDS), labels).backward()
        twin.embeddings = real
        expected = torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 0.5)
        optimizer.step()
        assert norm == pytest.approx(float(expected), rel=1e-4)
    for found, wanted in zip(model.parameters(), parameters, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


class ExactArithmetic:
    """A chip that multiplies integers exactly."""

    def program(self, weight_codes: np.ndarray, *_: object) -> ExactArithmetic:
        self.weights = weight_codes.astype(np.int64)
        return copy.copy(self)

    def multiply(self, codes: np.ndarray, input_bits: int) -> np.ndarray:
        assert codes.max(initial=0) < 2**input_bits
        return codes.astype(np.int64) @ self.weights


@pytest.mark.parametrize("name", BASELINES)
def test_they_compute_on_a_chip(name: str):
    model = build(name, precision=Precision(8, 8))
    model.calibrate(DENSE, IDS)
    model.eval()
    with torch.no_grad():
        digital = model(DENSE, IDS)
        model.compute_as(ExactArithmetic())
        np.testing.assert_allclose(model(DENSE, IDS), digital, rtol=1e-4, atol=1e-4)
        model.compute_as(None)
        assert torch.equal(model(DENSE, IDS), digital)
    exact = build(name).eval()(DENSE, IDS)
    assert 0 < (exact - digital).abs().max() < 0.3  # eight bits are close, not equal


def test_layer_shapes_of_criteo():
    criteo = Features(13, tuple(Table(f"C{n}", 10) for n in range(26)))
    assert LogisticRegression(criteo).layer_shapes() == (LayerShape("head", 13, 1, 1, False),)
    dlrm = DLRM(criteo)
    sizes = [(shape.inputs, shape.outputs) for shape in dlrm.layer_shapes()]
    # 27 rows make 27 * 26 / 2 = 351 pairs; with the 16 of the bottom 367 inputs of the top
    assert sizes == [(13, 64), (64, 16), (367, 256), (256, 128), (128, 64), (64, 1)]
    assert (dlrm.interaction, dlrm.interaction_rows) == ("dot", 27)
    deepfm = DeepFM(criteo)
    sizes = [(shape.inputs, shape.outputs) for shape in deepfm.layer_shapes()]
    assert sizes == [(13, 16), (13, 1), (429, 256), (256, 128), (128, 64), (64, 1)]
    assert (deepfm.interaction, deepfm.interaction_rows, deepfm.embeddings.dim) == ("fm", 27, 17)
    assert len({shape.name for shape in deepfm.layer_shapes()}) == 6


@pytest.mark.parametrize("name", BASELINES)
def test_data_without_dense_inputs(name: str):
    features = Features(0, FEATURES.tables)
    model = build(name, features=features)
    dense = torch.zeros(len(ROWS), 0)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(dense, IDS), torch.from_numpy(ROWS.labels))
    loss.backward()
    assert model.adagrad_step(lr=0.1) > 0
    assert all(shape.inputs > 0 for shape in model.layer_shapes())
    model.calibrate(dense, IDS)


def paired_rows(count: int, seed: int) -> Rows:
    """Labels that only a pair of fields decides: each field alone says nothing."""
    rows, _ = first_order_rows(count, seed)
    rng = np.random.default_rng(seed)
    sign = np.where((rows.ids[:, 0] % 2) == (rows.ids[:, 1] % 2), 2.0, -2.0)
    return Rows(rows.dense, rows.ids, (rng.random(count) < 1 / (1 + np.exp(-sign))).astype(np.float32))


@pytest.mark.parametrize(("name", "learns"), [("logistic_regression", False), ("dlrm", True), ("deepfm", True)])
def test_only_the_deep_ones_learn_pairs(name: str, learns: bool):
    train, unseen = paired_rows(20_000, 1), paired_rows(4_000, 2)
    model = build(name)
    train_subnet(model, train, unseen, TrainOptions(epochs=3, batch_size=128, learning_rate=0.1))
    loss = log_loss(predict(model, unseen), unseen.labels)
    entropy = float(np.log1p(np.exp(-2)) + 2 / (1 + np.exp(2)))  # of a label that is right with probability s(2)
    assert (loss < entropy + 0.03) if learns else (loss > np.log(2) - 0.01)
