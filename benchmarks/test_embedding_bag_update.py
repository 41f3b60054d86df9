"""From the gradient of pooled rows to changed tables: beside torch's sparse gradients and FBGEMM's fused optimisers.

The forward is nobody's part: the peers keep its graph. Everybody has tables of their own and starts from the same
values; after the first step they must be equal. Dense gradients are left out: they touch all 2.6 million rows, and take
a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmarks import fbgemm_peer, limits
from benchmarks.lookups import ROWS, TABLES, Lookups, arrays, pool
from benchmarks.session import check
from nasrec import kernels

LR, EPS, DIM = 0.1, 1e-2, 64
FBGEMM = {"adagrad": "EXACT_ADAGRAD", "row_wise_adagrad": "EXACT_ROWWISE_ADAGRAD"}
POOLED = [(1, 512, "uniform"), (20, 512, "uniform"), (20, 512, "zipf"), (20, 4096, "uniform"), (20, 4096, "zipf")]


def torch_sparse(tables: Tensor, lookups: Lookups, grad: Tensor) -> Callable[[], None]:
    """Sparse gradients, and Adagrad with a state for every number."""
    leaves = [table.detach().requires_grad_() for table in tables.split(ROWS)]
    optimizer = torch.optim.Adagrad(leaves, lr=LR, eps=EPS)
    parts = zip(lookups.by_table, leaves, strict=True)
    out = [embedding_bag(ids, table, lookups.starts, mode="sum", sparse=True) for ids, table in parts]
    grads = [of_table.contiguous() for of_table in grad.unbind(1)]

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(out, grads, retain_graph=True)
        optimizer.step()

    return step


def torch_by_hand(tables: Tensor, lookups: Lookups, grad: Tensor) -> Callable[[], None]:
    """Row-wise Adagrad, which torch doesn't have: distinct rows, their gradients added up, one state a row."""
    views, ids = tables.split(ROWS), lookups.by_table
    states = [torch.zeros(ROWS) for _ in views]
    grads = [of_table.contiguous() for of_table in grad.unbind(1)]
    bags = torch.arange(lookups.batch).repeat_interleave(lookups.pooled)

    def step() -> None:
        for table, state, of_table, grad_out in zip(views, states, ids, grads, strict=True):
            rows, place = torch.unique(of_table, return_inverse=True)
            lookup_grad = grad_out if lookups.pooled == 1 else grad_out.index_select(0, bags)
            total = torch.zeros(len(rows), DIM).index_add_(0, place, lookup_grad)
            sums = state.index_select(0, rows) + total.square().mean(1)
            state.index_copy_(0, rows, sums)
            table.index_add_(0, rows, total / (sums.sqrt() + EPS).unsqueeze(1), alpha=-LR)

    return step


@pytest.mark.parametrize("pooled,batch,ids", POOLED)
@pytest.mark.parametrize("optimizer", ["adagrad", "row_wise_adagrad"])
@pytest.mark.benchmark(group="embedding_bag_update")
def test_update(beside, threads: int, optimizer: str, pooled: int, batch: int, ids: str) -> None:
    lookups = Lookups.draw(ids, batch, pooled)
    grad = np.random.default_rng(3).standard_normal((batch, TABLES, DIM), dtype=np.float32)
    tables = {name: pool(DIM).clone() for name in ("ours", "torch", "fbgemm", "bare")}
    views = arrays(tables["ours"])
    width = (ROWS, DIM) if optimizer == "adagrad" else (ROWS,)
    states = [np.zeros(width, np.float32) for _ in range(TABLES)]
    which, where = (lookups.one_each, None) if pooled == 1 else (lookups.flat, lookups.offsets)
    settings: dict[str, Any] = {"optimizer": optimizer, "lr": LR, "eps": EPS, "pooling": "sum"}
    factor = torch.from_numpy(grad)
    torchs = torch_sparse if optimizer == "adagrad" else torch_by_hand
    name = "torch_sparse" if optimizer == "adagrad" else "torch_by_hand"
    peers = {
        name: torchs(tables["torch"], lookups, factor),
        "fbgemm": fbgemm_peer.update(tables["fbgemm"], lookups, factor, FBGEMM[optimizer], lr=LR, eps=EPS),
    }

    def equal() -> None:
        there = ("torch", "fbgemm") if callable(peers["fbgemm"]) else ("torch",)
        for peer in there:
            for table in (0, TABLES - 1):
                rows = slice(table * ROWS, (table + 1) * ROWS)
                check(tables["ours"][rows], tables[peer][rows], 1e-4, f"tables of {peer} and ours")

    distinct = np.concatenate([rows + t * ROWS for t, rows in enumerate(lookups.touched)])
    state = np.zeros((TABLES * ROWS, *width[1:]), np.float32)
    touched, of_state = len(distinct), DIM * 4 if optimizer == "adagrad" else 4
    beside(
        "embedding_bag_update", {"optimizer": optimizer, "pooled": pooled, "dim": DIM, "batch": batch, "ids": ids},
        lambda: kernels.embedding_bag_update(views, states, which, where, grad, **settings), peers, agree=equal,
        bare={"row update": limits.update(tables["bare"].numpy(), state, distinct, threads)},
        flops=len(lookups.flat) * DIM + 6 * touched * DIM, moved=2 * touched * (DIM * 4 + of_state) + grad.nbytes,
    )  # fmt: skip
