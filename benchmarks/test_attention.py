"""Self-attention with heads of two numbers, as in the operator Attention, beside torch's own fused one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from benchmarks import limits
from nasrec import kernels

BATCH, HEADS, WIDTH = 512, 8, 16


def torch_attention(qkv: torch.Tensor) -> torch.Tensor:
    """Heads as views of qkv, which torch's own kernel for the CPU takes as they are."""
    q, k, v = qkv.view(*qkv.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def some_qkv(rows: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((BATCH, rows, 3 * WIDTH), dtype=np.float32)


@pytest.mark.parametrize("rows", [16, 24, 32, 48])
@pytest.mark.benchmark(group="attention forward")
def test_forward(beside, threads: int, rows: int) -> None:
    qkv = some_qkv(rows)
    tensor, written = torch.from_numpy(qkv), qkv.nbytes // 3
    beside(
        "attention", {"pass": "forward", "rows": rows, "heads": HEADS, "width": WIDTH, "batch": BATCH},
        lambda: kernels.attention(qkv, HEADS), {"torch": lambda: torch_attention(tensor)}, agree=1e-5,
        bare={"memory": limits.pass_over(qkv, written, threads)},
        flops=4 * BATCH * rows * rows * WIDTH, moved=qkv.nbytes + written,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [16, 24, 32, 48])
@pytest.mark.benchmark(group="attention forward and backward")
def test_forward_and_backward(beside, threads: int, rows: int) -> None:
    qkv = some_qkv(rows)
    grad = np.random.default_rng(1).standard_normal((BATCH, rows, WIDTH), dtype=np.float32)
    tensor, factor = torch.from_numpy(qkv).requires_grad_(), torch.from_numpy(grad)

    def ours() -> np.ndarray:
        kernels.attention(qkv, HEADS)
        return kernels.attention_backward(qkv, grad, HEADS)

    def theirs() -> torch.Tensor:
        return torch.autograd.grad(torch_attention(tensor), tensor, factor)[0]

    written = qkv.nbytes + grad.nbytes
    beside(
        "attention", {"pass": "forward+backward", "rows": rows, "heads": HEADS, "width": WIDTH, "batch": BATCH},
        ours, {"torch": theirs}, agree=1e-4, bare={"memory": limits.pass_over(qkv, written, threads)},
        flops=14 * BATCH * rows * rows * WIDTH, moved=qkv.nbytes + written,
    )  # fmt: skip
