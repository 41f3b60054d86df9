"""The low-rank cross layer (DCN-v2) beside torch's: two products by MKL, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import linear

from benchmarks.compiled_peer import compiled
from benchmarks.timing import Work
from nasrec import kernels

DIM, RANK = 1728, 64  # 27 features of 64 numbers


def torch_cross(x0: torch.Tensor, x: torch.Tensor, down: Any, up: Any, bias: Any) -> torch.Tensor:
    return torch.addcmul(x, x0, linear(linear(x, down), up, bias))


def some(batch: int) -> tuple[list[np.ndarray], list[torch.Tensor], np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(batch, DIM), (batch, DIM), (RANK, DIM), (DIM, RANK), (DIM,)]
    parts = [rng.standard_normal(shape, np.float32) for shape in shapes]
    parts[2] *= np.float32(DIM**-0.5)
    parts[3] *= np.float32(RANK**-0.5)
    return parts, [torch.from_numpy(part) for part in parts], rng.standard_normal((batch, DIM), np.float32)


@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.benchmark(group="low_rank_cross forward")
def test_forward(beside, threads: int, batch: int) -> None:
    parts, tensors, _ = some(batch)
    fused = compiled(torch_cross, *tensors)
    peers = {
        "torch": lambda: torch_cross(*tensors),
        "torch_compiled": fused if isinstance(fused, str) else lambda: fused(*tensors),
    }
    beside(
        "low_rank_cross", {"pass": "forward", "dim": DIM, "rank": RANK, "batch": batch},
        lambda: kernels.low_rank_cross(*parts), peers, agree=1e-5,
        flops=4 * batch * DIM * RANK + 3 * batch * DIM, moved=4 * (3 * batch * DIM + 2 * RANK * DIM),
    )  # fmt: skip


@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.benchmark(group="low_rank_cross forward and backward")
def test_forward_and_backward(beside, threads: int, batch: int) -> None:
    """Gradients of both inputs, both matrices and the bias."""
    parts, tensors, grad = some(batch)
    leaves, factor = [tensor.requires_grad_() for tensor in tensors], torch.from_numpy(grad)

    def ours() -> tuple[np.ndarray, ...]:
        kernels.low_rank_cross(*parts)
        return kernels.low_rank_cross_backward(*parts, grad)

    def theirs(forward: Callable[..., torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(forward(*leaves), leaves, factor)

    fused = compiled(torch_cross, *leaves)
    peers = {"torch": theirs(torch_cross), "torch_compiled": fused if isinstance(fused, str) else theirs(fused)}

    def equal() -> None:
        for mine, other, name in zip(ours(), peers["torch"](), ("x0", "x", "down", "up", "bias"), strict=True):
            np.testing.assert_allclose(mine, other.numpy(), rtol=0, atol=1e-4 * np.abs(mine).max(), err_msg=name)

    beside(
        "low_rank_cross", {"pass": "forward+backward", "dim": DIM, "rank": RANK, "batch": batch},
        ours, peers, agree=equal,
        flops=12 * batch * DIM * RANK, moved=4 * (7 * batch * DIM + 4 * RANK * DIM),
    )  # fmt: skip
