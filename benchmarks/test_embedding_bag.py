"""Look-up and pooling in 26 tables beside torch's embedding_bag, FBGEMM's table-batched one, and a bare gather loop.

torch is called once per table, and once on the tables concatenated beforehand, which few models can do. Its outputs
are left as they fall: a list, or table by table; ours and FBGEMM's lie sample by sample as the next layer wants them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

from benchmarks import fbgemm_peer, limits, numba_peer
from benchmarks.lookups import ROWS, TABLES, Lookups, arrays, pool, pool_in
from nasrec import kernels

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
AGREE = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 1e-2}  # torch rounds its result to the kind of the tables


class Torch:
    """Both formulations that torch has."""

    def __init__(self, tables: Tensor, lookups: Lookups, weights: Tensor | None = None) -> None:
        self.pool, self.tables, self.shape = tables, tables.split(ROWS), (TABLES, lookups.batch, -1)
        self.ids, self.starts = lookups.by_table, lookups.starts
        self.rows, self.offsets = torch.from_numpy(lookups.pool_rows), torch.from_numpy(lookups.offsets[:-1])
        self.weights = weights
        self.by_table = [None] * TABLES if weights is None else weights.to(tables.dtype).chunk(TABLES)

    def per_table(self) -> list[Tensor]:
        """A call a table."""
        parts = zip(self.ids, self.tables, self.by_table, strict=True)
        return [
            embedding_bag(ids, table, self.starts, mode="sum", per_sample_weights=weights)
            for ids, table, weights in parts
        ]

    def concatenated(self) -> Tensor:
        """One call on the pool."""
        out = embedding_bag(self.rows, self.pool, self.offsets, mode="sum", per_sample_weights=self.weights)
        return out.view(self.shape).transpose(0, 1)


def bounds(tables: Tensor, lookups: Lookups, threads: int) -> dict[str, Any]:
    """The bare gather loop, and what is computed and moved at least."""
    dim, row = tables.shape[1], tables.shape[1] * tables.element_size()
    out = dim * 4
    rows, bags = lookups.pool_rows, len(lookups.flat) // lookups.pooled
    loop = limits.gather(tables.view(torch.uint8).numpy(), row, rows, lookups.pooled, out, threads)
    return {"bare": {"gather": loop}, "flops": len(rows) * dim, "moved": len(rows) * row + bags * out}


@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.benchmark(group="embedding_bag, one id each")
def test_one_id_each(beside, threads: int, dim: int, batch: int) -> None:
    """A bag of one needs no pooling: torch's plain embedding is a peer too."""
    tables, lookups = pool(dim), Lookups.draw("uniform", batch, 1)
    torchs, views, ids = Torch(tables, lookups), arrays(tables), lookups.one_each
    rows = torchs.rows.view(TABLES, batch).T.contiguous()
    peers = {
        "torch_per_table": torchs.per_table,
        "torch_concatenated": torchs.concatenated,
        "torch_embedding": lambda: embedding(rows, tables),
        "fbgemm": fbgemm_peer.forward(tables, lookups),
        "numba": numba_peer.embedding_bag(tables.numpy(), lookups, threads),
    }
    params = {"pooled": 1, "dtype": "float32", "dim": dim, "batch": batch, "ids": "uniform"}
    more = bounds(tables, lookups, threads)
    beside("embedding_bag", params, lambda: kernels.embedding_bag(views, ids), peers, agree=1e-6, **more)


@pytest.mark.parametrize("ids", ["uniform", "zipf"])
@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [16, 64, 128])
@pytest.mark.benchmark(group="embedding_bag, pooling 20")
def test_pooling(beside, threads: int, dim: int, dtype: str, batch: int, ids: str) -> None:
    tables, lookups = pool_in(dim, DTYPES[dtype]), Lookups.draw(ids, batch, 20)
    torchs, views, offsets = Torch(tables, lookups), arrays(tables), lookups.offsets
    peers: dict[str, Any] = {"torch_per_table": torchs.per_table, "torch_concatenated": torchs.concatenated}
    if dtype == "float32":
        peers["fbgemm"] = fbgemm_peer.forward(tables, lookups)
        peers["numba"] = numba_peer.embedding_bag(tables.numpy(), lookups, threads)
    elif dtype == "float16":
        peers["fbgemm_nbit"] = fbgemm_peer.quantized("FP16", tables, lookups)

    def ours() -> np.ndarray:
        return kernels.embedding_bag(views, lookups.flat, offsets, pooling="sum")

    params = {"pooled": 20, "dtype": dtype, "dim": dim, "batch": batch, "ids": ids}
    beside("embedding_bag", params, ours, peers, agree=AGREE[dtype], **bounds(tables, lookups, threads))


@pytest.mark.benchmark(group="embedding_bag, pooling 20, weighted")
def test_weighted(beside, threads: int) -> None:
    tables, lookups, dim, batch = pool(64), Lookups.draw("uniform", 512, 20), 64, 512
    weights = np.random.default_rng(2).random(len(lookups.flat), dtype=np.float32)
    torchs, views, offsets = Torch(tables, lookups, torch.from_numpy(weights)), arrays(tables), lookups.offsets
    peers = {
        "torch_per_table": torchs.per_table,
        "torch_concatenated": torchs.concatenated,
        "fbgemm": fbgemm_peer.forward(tables, lookups, torch.from_numpy(weights)),
    }

    def ours() -> np.ndarray:
        return kernels.embedding_bag(views, lookups.flat, offsets, weights=weights, pooling="sum")

    params = {"pooled": 20, "dtype": "float32", "dim": dim, "batch": batch, "ids": "uniform", "weighted": True}
    beside("embedding_bag", params, ours, peers, agree=1e-6, **bounds(tables, lookups, threads))
