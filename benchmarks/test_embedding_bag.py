"""Embedding lookup and sparse Adagrad of 26 tables beside torch's own operators."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import embedding_bag

from nasrec import kernels

TABLES, ROWS = 26, 100_000


@pytest.mark.parametrize("pooled", [1, 20])
@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.benchmark(group="embedding_bag forward")
def test_forward(beside, dim: int, batch: int, pooled: int) -> None:
    """One call for all tables, against 26 calls and against one call on the tables concatenated beforehand."""
    rng = np.random.default_rng(0)
    pool = torch.from_numpy(rng.standard_normal((TABLES * ROWS, dim), dtype=np.float32))
    tables = list(pool.split(ROWS))
    arrays = [table.numpy() for table in tables]
    flat = rng.integers(0, ROWS, TABLES * batch * pooled)
    offsets = np.arange(0, len(flat) + 1, pooled)
    by_table = [torch.from_numpy(ids) for ids in np.split(flat, TABLES)]
    starts = torch.arange(0, batch * pooled, pooled)
    in_pool = torch.from_numpy(flat + np.repeat(np.arange(TABLES) * ROWS, batch * pooled))
    all_starts = torch.from_numpy(offsets[:-1])
    one_each = np.ascontiguousarray(flat.reshape(TABLES, -1).T) if pooled == 1 else None

    def ours() -> np.ndarray:
        if one_each is not None:
            return kernels.embedding_bag(arrays, one_each)
        return kernels.embedding_bag(arrays, flat, offsets, pooling="sum")

    def table_by_table() -> torch.Tensor:
        return torch.stack(
            [embedding_bag(ids, table, starts, mode="sum") for ids, table in zip(by_table, tables, strict=True)], 1
        )

    def concatenated() -> torch.Tensor:
        return embedding_bag(in_pool, pool, all_starts, mode="sum").view(TABLES, batch, dim).transpose(0, 1)

    np.testing.assert_allclose(ours(), table_by_table().numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours(), concatenated().numpy(), rtol=1e-4, atol=1e-4)
    beside(ours, {"torch_per_table": table_by_table, "torch_concatenated": concatenated})


@pytest.mark.parametrize("pooled", [1, 20])
@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.benchmark(group="embedding_bag backward and Adagrad")
def test_backward_and_adagrad(beside, dim: int, pooled: int) -> None:
    """From the gradient of the pooled rows to changed tables, against torch's sparse gradients and Adagrad."""
    batch = 512
    rng = np.random.default_rng(0)
    values = rng.standard_normal((TABLES, ROWS, dim), dtype=np.float32)
    arrays, states = list(values.copy()), [np.zeros((ROWS, dim), np.float32) for _ in range(TABLES)]
    flat = rng.integers(0, ROWS, TABLES * batch * pooled)
    offsets = np.arange(0, len(flat) + 1, pooled)
    grad = rng.standard_normal((batch, TABLES, dim), dtype=np.float32)
    tables = [torch.from_numpy(table).requires_grad_() for table in values]
    optimizer = torch.optim.Adagrad(tables, lr=0.1, eps=1e-2)
    by_table = [torch.from_numpy(ids) for ids in np.split(flat, TABLES)]
    starts = torch.arange(0, batch * pooled, pooled)
    grads = list(torch.from_numpy(grad).unbind(1))

    def ours() -> None:
        kernels.embedding_bag_update(
            arrays, states, flat, offsets, grad, optimizer="adagrad", lr=0.1, eps=1e-2, pooling="sum"
        )

    def torch_sparse() -> None:  # its forward is part of it: the graph cannot be used twice
        out = [
            embedding_bag(ids, table, starts, mode="sum", sparse=True)
            for ids, table in zip(by_table, tables, strict=True)
        ]
        optimizer.zero_grad()
        torch.autograd.backward(out, grads)
        optimizer.step()

    ours()
    torch_sparse()
    np.testing.assert_allclose(arrays[3], tables[3].detach().numpy(), rtol=1e-3, atol=1e-4)
    beside(ours, {"torch_sparse_with_forward": torch_sparse}, rounds=7)
