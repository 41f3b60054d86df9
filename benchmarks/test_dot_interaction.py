"""Pairwise dot products beside torch's batched product and selection of the lower triangle, and beside numba."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks import limits, numba_peer
from benchmarks.compiled_peer import compiled
from benchmarks.features import FEATURES, SHAPES, some
from benchmarks.timing import Work
from nasrec import kernels

ROW, COLUMN = torch.tril_indices(FEATURES, FEATURES, -1)
PAIRS = ROW * FEATURES + COLUMN
AGREE = {"float32": 1e-6, "bfloat16": 1e-2}


def torch_dot(x: torch.Tensor) -> torch.Tensor:
    """The fastest formulation that torch has: selecting by one index beats indexing by two."""
    return torch.bmm(x, x.transpose(1, 2)).flatten(1).index_select(1, PAIRS)


@pytest.mark.parametrize("dtype,batch,dim", SHAPES)
@pytest.mark.benchmark(group="dot_interaction forward")
def test_forward(beside, threads: int, dtype: str, batch: int, dim: int) -> None:
    x, tensor = some((batch, FEATURES, dim), dtype, 0)
    written = batch * len(PAIRS) * x.itemsize
    fused = compiled(torch_dot, tensor)
    peers = {
        "torch": lambda: torch_dot(tensor),
        "torch_compiled": fused if isinstance(fused, str) else lambda: fused(tensor),
    }
    if dtype == "float32":
        peers["numba"] = numba_peer.dot_interaction(x, threads)
    beside(
        "dot_interaction", {"pass": "forward", "dtype": dtype, "dim": dim, "batch": batch},
        lambda: kernels.dot_interaction(x), peers, agree=AGREE[dtype],
        bare={"memory": limits.pass_over(x, written, threads)},
        flops=2 * batch * len(PAIRS) * dim, moved=x.nbytes + written,
    )  # fmt: skip


@pytest.mark.parametrize("dtype,batch,dim", SHAPES)
@pytest.mark.benchmark(group="dot_interaction forward and backward")
def test_forward_and_backward(beside, threads: int, dtype: str, batch: int, dim: int) -> None:
    """The gradient takes twice the products of the forward: every pair gives to both of its rows."""
    x, tensor = some((batch, FEATURES, dim), dtype, 0)
    grad, factor = some((batch, len(PAIRS)), dtype, 1)
    tensor.requires_grad_()

    def ours() -> np.ndarray:
        kernels.dot_interaction(x)
        return kernels.dot_interaction_backward(x, grad)

    def theirs(forward: Callable[..., torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(forward(tensor), tensor, factor)[0]

    fused = compiled(torch_dot, tensor)
    peers = {"torch": theirs(torch_dot), "torch_compiled": fused if isinstance(fused, str) else theirs(fused)}
    written = batch * len(PAIRS) * x.itemsize + x.nbytes
    beside(
        "dot_interaction", {"pass": "forward+backward", "dtype": dtype, "dim": dim, "batch": batch},
        ours, peers, agree=AGREE[dtype], bare={"memory": limits.pass_over(x, written, threads)},
        flops=6 * batch * len(PAIRS) * dim, moved=x.nbytes + grad.nbytes + written,
    )  # fmt: skip
