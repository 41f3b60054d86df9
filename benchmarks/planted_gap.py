"""What the planted truth of the built-in data leaves to be found: `python -m benchmarks.planted_gap` (some minutes).

First, how far above the optimum any first-order model stays, however many rows it learns from. The fit on N rows has a
training loss that is, in expectation, below the true loss of every first-order model, so its distance to the optimum
on those same rows is a lower bound of the gap. The fit is a logistic regression on one weight per category value and
per bin of each integer: any additive model, not only one that is linear in the integers.

Second, how much of the gap between logistic regression and the optimum a small interaction model closes when both
learn from the 400,000 training rows of the default data: a DLRM-like model, embedding dimension 16, pairwise dot
products and one hidden stack.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as log_loss

from nasrec.data.dataset import Dataset
from nasrec.data.features import Features
from nasrec.data.planted import INTEGERS, SIZES, Draw, PlantedTruth, generator
from nasrec.data.prepare import prepare
from nasrec.data.synthetic import DEFAULT_ROWS, SyntheticLog

BINS = 64


class LogisticRegression(nn.Module):
    """One weight per table row and per number."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        rows = [table.rows for table in features.tables]
        self.register_buffer("first", torch.tensor(np.cumsum([0, *rows[:-1]])))
        self.tables = nn.EmbeddingBag(sum(rows), 1, mode="sum", sparse=True)
        nn.init.zeros_(self.tables.weight)
        self.dense = nn.Linear(features.dense, 1)

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits [B] of `dense` [B, nd] and `ids` [B, T]."""
        return (self.tables(ids + self.first) + self.dense(dense)).squeeze(1)


class SmallDlrm(nn.Module):
    """Bottom stack, 26 embeddings of 16, all pairwise dot products, top stack; plus a first-order part."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.linear = LogisticRegression(features)
        self.tables = nn.Embedding(self.linear.tables.num_embeddings, 16, sparse=True)
        nn.init.normal_(self.tables.weight, std=0.05)
        self.bottom = nn.Sequential(nn.Linear(features.dense, 64), nn.ReLU(), nn.Linear(64, 16))
        vectors = len(features.tables) + 1
        self.register_buffer("pairs", torch.tril_indices(vectors, vectors, -1))
        width = 16 + vectors * (vectors - 1) // 2
        self.top = nn.Sequential(
            nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1)
        )  # fmt: skip

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits [B] of `dense` [B, nd] and `ids` [B, T]."""
        bottom = self.bottom(dense)
        vectors = torch.cat([bottom[:, None], self.tables(ids + self.linear.first)], dim=1)
        products = vectors @ vectors.transpose(1, 2)
        top = self.top(torch.cat([bottom, products[:, self.pairs[0], self.pairs[1]]], dim=1))
        return top.squeeze(1) + self.linear(dense, ids)


def fit(model: nn.Module, train: Dataset, epochs: int, rate: float, size: int = 512) -> None:
    """Adagrad, 5 % linear warm-up, cosine."""
    optimizer = torch.optim.Adagrad(model.parameters(), lr=rate, eps=1e-2)
    steps = epochs * (len(train) // size)
    step = 0
    for epoch in range(epochs):
        for batch in train.batches(size, seed=epoch, drop_last=True):
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, step / (0.05 * steps)) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
            logits = model(torch.from_numpy(batch.dense), torch.from_numpy(batch.ids))
            optimizer.zero_grad()
            log_loss(logits, torch.from_numpy(batch.labels)).backward()
            optimizer.step()


@torch.no_grad()
def score(model: nn.Module, data: Dataset) -> float:
    """Mean log loss (nats)."""
    total = 0.0
    for batch in data.batches(8192, seed=None):
        logits = model(torch.from_numpy(batch.dense), torch.from_numpy(batch.ids))
        total += log_loss(logits, torch.from_numpy(batch.labels), reduction="sum").item()
    return total / len(data)


def first_order_gap(seed: int, rows: int) -> tuple[float, float]:
    """Lower and upper bound of (best first-order log loss - optimum): the fit on its own rows, and on fresh ones."""
    truth = PlantedTruth(seed)
    matrix, labels, optimum, edges = _one_hot(truth, rows, generator(seed, 3), None)

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = matrix @ weights
        error = 1 / (1 + np.exp(-logits)) - labels
        return float(np.mean(np.logaddexp(0, logits) - labels * logits)), matrix.T @ error / rows

    found = minimize(objective, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    fresh, fresh_labels, fresh_optimum, _ = _one_hot(truth, max(rows // 4, 1), generator(seed, 4), edges)
    logits = fresh @ found.x
    return float(found.fun) - optimum, float(np.mean(np.logaddexp(0, logits) - fresh_labels * logits)) - fresh_optimum


def _one_hot(
    truth: PlantedTruth, rows: int, rng: np.random.Generator, edges: NDArray[np.float64] | None
) -> tuple[csr_array, NDArray[np.float64], float, NDArray[np.float64]]:
    """One row per draw, one column per value; the labels; the optimum on these rows; the edges of the bins."""
    draw: Draw = truth.draw(rows, rng)
    chance = truth.probability(draw)
    labels = (rng.random(rows) < chance).astype(np.float64)
    optimum = float(-np.mean(np.where(labels > 0, np.log(chance), np.log1p(-chance))))
    counts = np.nan_to_num(draw.integers)
    if edges is None:
        edges = np.quantile(counts, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
    bins = [np.searchsorted(edges[:, number], counts[:, number]) for number in range(INTEGERS)]
    columns = np.concatenate([draw.values, np.stack(bins, axis=1)], axis=1).astype(np.int32)
    first = np.cumsum([0, *SIZES, *[BINS] * INTEGERS])
    columns += first[:-1].astype(np.int32)
    pointers = np.arange(rows + 1, dtype=np.int64) * columns.shape[1]
    ones = np.ones(columns.size, np.float32)
    return csr_array((ones, columns.ravel(), pointers), shape=(rows, first[-1])), labels, optimum, edges


def main(
    seed: Annotated[int, typer.Option(help="world and rows")] = 0,
    first_order_rows: Annotated[int, typer.Option(help="rows for the first-order bound; 0 leaves it out")] = 2_000_000,
    rows: Annotated[int, typer.Option(help="rows of the data for the second part; 0 leaves it out")] = DEFAULT_ROWS,
    epochs: Annotated[int, typer.Option(help="epochs of the interaction model")] = 2,
    rate: Annotated[float, typer.Option(help="learning rate of the interaction model")] = 0.05,
) -> None:
    """Measure both and print them."""
    if first_order_rows:
        start = time.perf_counter()
        low, high = first_order_gap(seed, first_order_rows)
        seconds = time.perf_counter() - start
        bounds = f"{low:.4f} to {high:.4f} above the optimum"
        typer.echo(f"first-order model, {first_order_rows:,} rows: {bounds} ({seconds:.0f} s)")
    if not rows:
        return
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(SyntheticLog(rows, seed), Path(folder) / "prepared", seed=seed)
        train, test = data.split("train"), data.split("test")
        optimum = data.optimum("test") or 0.0
        torch.manual_seed(seed)
        linear, dlrm = LogisticRegression(data.features), SmallDlrm(data.features)
        fit(linear, train, 2, 0.05)
        base = score(linear, test)
        gap = base - optimum
        typer.echo(f"{rows:,} rows, test: optimum {optimum:.4f}, logistic regression {base:.4f}, gap {gap:.4f}")
        start = time.perf_counter()
        fit(dlrm, train, epochs, rate)
        found, seconds = score(dlrm, test), time.perf_counter() - start
        closed = (base - found) / gap
        typer.echo(f"small DLRM, {epochs} epochs: {found:.4f}, closes {closed:.1%} of the gap ({seconds:.0f} s)")


if __name__ == "__main__":
    typer.run(main)
