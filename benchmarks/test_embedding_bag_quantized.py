"""Look-up in rows of 8 and 4 bits beside torch's quantised rows and FBGEMM's.

Everybody's rows are quantised from the same float32 tables, row by row, and each lie in the format of their owner:
torch and FBGEMM keep scale and bias inside the row (72 and 68 bytes for 64 codes of 8 bits: two cache lines), ours
beside the codes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import fbgemm_peer, limits
from benchmarks.lookups import ROWS, TABLES, Lookups, arrays, pool
from nasrec import kernels

AGREE = {8: 0.02, 4: 0.2}  # of sums of 20 numbers rounded to a 255th, or a 15th, of their row's range
KIND = {8: "INT8", 4: "INT4"}
PACK = {8: torch.ops.quantized.embedding_bag_byte_prepack, 4: torch.ops.quantized.embedding_bag_4bit_prepack}
LOOK_UP = {
    8: torch.ops.quantized.embedding_bag_byte_rowwise_offsets,
    4: torch.ops.quantized.embedding_bag_4bit_rowwise_offsets,
}


@lru_cache(maxsize=1)
def rows_of(dim: int, bits: int) -> tuple[list[Any], Tensor]:
    """Our tables, and torch's rows of all tables one below the other."""
    tables = pool(dim)
    ours = [kernels.quantize_rows(table, bits) for table in arrays(tables)]
    return ours, torch.cat([PACK[bits](table) for table in tables.split(ROWS)])


@pytest.mark.parametrize("ids", ["uniform", "zipf"])
@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("dim", [16, 64, 128])
@pytest.mark.benchmark(group="embedding_bag, pooling 20, quantised rows")
def test_pooling(beside, threads: int, dim: int, bits: int, batch: int, ids: str) -> None:
    (ours_rows, packed), lookups = rows_of(dim, bits), Lookups.draw(ids, batch, 20)
    by_table, tables, starts = lookups.by_table, packed.split(ROWS), lookups.starts
    in_pool, offsets = torch.from_numpy(lookups.pool_rows), lookups.offsets
    all_starts = torch.from_numpy(offsets[:-1])

    def per_table() -> list[Tensor]:
        return [LOOK_UP[bits](table, of_table, starts) for table, of_table in zip(tables, by_table, strict=True)]

    def concatenated() -> Tensor:
        return LOOK_UP[bits](packed, in_pool, all_starts).view(TABLES, batch, dim).transpose(0, 1)

    def ours() -> np.ndarray:
        return kernels.embedding_bag(ours_rows, lookups.flat, offsets, pooling="sum")

    peers = {
        "torch_per_table": per_table,
        "torch_concatenated": concatenated,
        "fbgemm_nbit": fbgemm_peer.quantized(KIND[bits], packed, lookups),
    }
    codes, count, bags = dim * bits // 8, len(lookups.flat), len(lookups.flat) // 20
    rows = np.zeros(TABLES * ROWS * codes, np.uint8)
    loop = limits.gather(rows, codes, lookups.pool_rows, 20, dim * 4, threads)
    params = {"pooled": 20, "dtype": f"int{bits}", "dim": dim, "batch": batch, "ids": ids}
    beside(
        "embedding_bag", params, ours, peers, agree=AGREE[bits],
        bare={"gather": loop}, flops=2 * count * dim, moved=count * codes + bags * dim * 4,
    )  # fmt: skip
