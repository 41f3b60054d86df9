"""FBGEMM's table-batched embeddings on the CPU: one call for all tables, and its optimisers fused into the backward.

The wheel fbgemm-gpu-cpu 1.8.0 computes with one thread whatever it is told: with two threads it is no slower a peer
than a user would get, but the ratio is larger for that reason alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.lookups import ROWS, TABLES, Lookups
from benchmarks.peers import module
from benchmarks.timing import Work

TRAINING = "fbgemm_gpu.split_table_batched_embeddings_ops_training"
INFERENCE = "fbgemm_gpu.split_table_batched_embeddings_ops_inference"
COMMON = "fbgemm_gpu.split_table_batched_embeddings_ops_common"
CONFIG = "fbgemm_gpu.split_embedding_configs"
PARTS = ("fbgemm_gpu", TRAINING, INFERENCE, COMMON, CONFIG)


def _missing() -> str | None:
    """The reason where it is absent."""
    for part in PARTS:
        if isinstance(reason := module(part), str):
            return reason
    return None


def _settings() -> dict[str, Any]:
    """Sum pooling, and ids not checked: less work than our kernel does."""
    return {"pooling_mode": _part(COMMON).PoolingMode.SUM, "bounds_check_mode": _part(COMMON).BoundsCheckMode.NONE}


def _part(name: str) -> Any:
    return module(name)


def _trained(tables: Tensor, optimizer: str, lr: float, eps: float) -> Any:
    """Its module for training, over the very memory of `tables`: nobody finds another's rows in the cache."""
    spec = (ROWS, tables.shape[1], _part(COMMON).EmbeddingLocation.HOST, _part(TRAINING).ComputeDevice.CPU)
    kind = getattr(_part(CONFIG).EmbOptimType, optimizer)
    bags = _part(TRAINING).SplitTableBatchedEmbeddingBagsCodegen(
        [spec] * TABLES, optimizer=kind, learning_rate=lr, eps=eps, **_settings()
    )
    bags.weights_host.data = tables.view(-1)
    return bags


def forward(tables: Tensor, lookups: Lookups, weights: Tensor | None = None) -> Work | str:
    """Look-up in float32 `tables`: `[batch, tables, dim]`."""
    if (reason := _missing()) is not None:
        return reason
    bags = _trained(tables, "EXACT_SGD", 0.0, 0.0)
    ids, offsets = torch.from_numpy(lookups.flat), torch.from_numpy(lookups.offsets)

    def look_up() -> Tensor:
        with torch.no_grad():
            out: Tensor = bags(ids, offsets, per_sample_weights=weights)
            return out.view(lookups.batch, TABLES, -1)

    return look_up


def update(tables: Tensor, lookups: Lookups, grad: Tensor, optimizer: str, *, lr: float, eps: float) -> Work | str:
    """Gradient and optimiser (a name of EmbOptimType) in place on `tables`; the forward is not timed."""
    if (reason := _missing()) is not None:
        return reason
    bags = _trained(tables, optimizer, lr, eps)
    out = bags(torch.from_numpy(lookups.flat), torch.from_numpy(lookups.offsets))
    flat = grad.reshape(lookups.batch, -1).contiguous()
    return lambda: out.backward(flat, retain_graph=True)


def quantized(kind: str, rows: Tensor, lookups: Lookups) -> Work | str:
    """Look-up in `rows` of float16 ("FP16"), or as torch packs them in 8 or 4 bits ("INT8", "INT4"): float32."""
    if (reason := _missing()) is not None:
        return reason
    sparse_type = _part(CONFIG).SparseType
    dim = {"FP16": rows.shape[1], "INT8": rows.shape[1] - 8, "INT4": 2 * (rows.shape[1] - 4)}[kind]
    spec = ("", ROWS, dim, getattr(sparse_type, kind), _part(COMMON).EmbeddingLocation.HOST)
    bags = _part(INFERENCE).IntNBitTableBatchedEmbeddingBagsCodegen(
        [spec] * TABLES, device="cpu", output_dtype=sparse_type.FP32, **_settings()
    )
    bags.fill_random_weights()
    weights = bags.split_embedding_weights(split_scale_shifts=False)
    for (of_table, _), table in zip(weights, rows.split(ROWS), strict=True):
        of_table.copy_(_packed(kind, table))
    ids = torch.from_numpy(lookups.flat.astype(np.int32))
    offsets = torch.from_numpy(lookups.offsets.astype(np.int32))
    return lambda: bags(ids, offsets).view(lookups.batch, TABLES, dim)


def _packed(kind: str, rows: Tensor) -> Tensor:
    """torch's rows (codes, then scale and bias) in FBGEMM's order, with scale and bias in float16."""
    if kind == "FP16":
        return rows.contiguous().view(torch.uint8)
    if kind == "INT4":
        return torch.cat([rows[:, -4:], rows[:, :-4]], dim=1)
    scales = rows[:, -8:].contiguous().view(torch.float32).to(torch.float16)
    return torch.cat([scales.view(torch.uint8), rows[:, :-8]], dim=1)
