"""Layer normalisation beside torch's, plain and under torch.compile: rows of embeddings (16) and of dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import layer_norm

from benchmarks import limits
from benchmarks.compiled_peer import compiled
from benchmarks.timing import Work
from nasrec import kernels
from nasrec.model.norm import EPS

SHAPES = [(512 * 64, 16), (512 * 16, 64), (512, 256), (512, 1024)]  # a batch of 512 of the search space's outputs


def torch_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return layer_norm(x, (x.shape[1],), weight, bias, EPS)


def some(rows: int, dim: int) -> tuple[list[np.ndarray], list[torch.Tensor], np.ndarray]:
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(shape, np.float32) for shape in ((rows, dim), (dim,), (dim,))]
    return parts, [torch.from_numpy(part) for part in parts], rng.standard_normal((rows, dim), np.float32)


@pytest.mark.parametrize("rows,dim", SHAPES)
@pytest.mark.benchmark(group="layer_norm forward")
def test_forward(beside, threads: int, rows: int, dim: int) -> None:
    parts, tensors, _ = some(rows, dim)
    fused = compiled(torch_norm, *tensors)
    peers: dict[str, Any] = {
        "torch": lambda: torch_norm(*tensors),
        "torch_compiled": fused if isinstance(fused, str) else lambda: fused(*tensors),
    }
    beside(
        "layer_norm", {"pass": "forward", "dim": dim, "rows": rows},
        lambda: kernels.layer_norm(*parts, EPS), peers, agree=1e-5,
        bare={"memory": limits.pass_over(parts[0], parts[0].nbytes, threads)},
        flops=8 * rows * dim, moved=2 * parts[0].nbytes,
    )  # fmt: skip


@pytest.mark.parametrize("rows,dim", SHAPES)
@pytest.mark.benchmark(group="layer_norm forward and backward")
def test_forward_and_backward(beside, threads: int, rows: int, dim: int) -> None:
    """Gradients of the rows, the weights and the biases."""
    parts, tensors, grad = some(rows, dim)
    leaves, factor = [tensor.requires_grad_() for tensor in tensors], torch.from_numpy(grad)

    def ours() -> tuple[np.ndarray, ...]:
        kernels.layer_norm(*parts, EPS)
        return kernels.layer_norm_backward(parts[0], parts[1], grad, EPS)

    def theirs(forward: Any) -> Work:
        return lambda: torch.autograd.grad(forward(*leaves), leaves, factor)

    fused = compiled(torch_norm, *leaves)
    peers = {"torch": theirs(torch_norm), "torch_compiled": fused if isinstance(fused, str) else theirs(fused)}

    def equal() -> None:
        for mine, other, name in zip(ours(), peers["torch"](), ("x", "weight", "bias"), strict=True):
            np.testing.assert_allclose(mine, other.numpy(), rtol=0, atol=1e-4 * np.abs(mine).max(), err_msg=name)

    beside(
        "layer_norm", {"pass": "forward+backward", "dim": dim, "rows": rows},
        ours, peers, agree=equal,
        flops=30 * rows * dim, moved=5 * parts[0].nbytes,
    )  # fmt: skip
