"""The factorisation machine's second order beside torch's expression of it, and beside numba.

torch makes three temporaries as large as the input; that they are not mapped anew in each call is seen to by
`process.keep_freed_memory`, without which torch would take several times as long. torch.compile fuses the passes.
"""

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

AGREE = {"float32": 1e-5, "bfloat16": 5e-2}  # bfloat16: torch rounds the sum before it squares it


def torch_fm(x: torch.Tensor) -> torch.Tensor:
    """The usual expression, in three passes."""
    return x.sum(1).square() - x.square().sum(1)


@pytest.mark.parametrize("dtype,batch,dim", SHAPES)
@pytest.mark.benchmark(group="fm_interaction forward")
def test_forward(beside, threads: int, dtype: str, batch: int, dim: int) -> None:
    x, tensor = some((batch, FEATURES, dim), dtype, 0)
    written = batch * dim * x.itemsize
    fused = compiled(torch_fm, tensor)
    peers = {
        "torch": lambda: torch_fm(tensor),
        "torch_compiled": fused if isinstance(fused, str) else lambda: fused(tensor),
    }
    if dtype == "float32":
        peers["numba"] = numba_peer.fm_interaction(x, threads)
    beside(
        "fm_interaction", {"pass": "forward", "dtype": dtype, "dim": dim, "batch": batch},
        lambda: kernels.fm_interaction(x), peers, agree=AGREE[dtype],
        bare={"memory": limits.pass_over(x, written, threads)}, flops=3 * x.size, moved=x.nbytes + written,
    )  # fmt: skip


@pytest.mark.parametrize("dtype,batch,dim", SHAPES)
@pytest.mark.benchmark(group="fm_interaction forward and backward")
def test_forward_and_backward(beside, threads: int, dtype: str, batch: int, dim: int) -> None:
    x, tensor = some((batch, FEATURES, dim), dtype, 0)
    grad, factor = some((batch, dim), dtype, 1)
    tensor.requires_grad_()

    def ours() -> np.ndarray:
        kernels.fm_interaction(x)
        return kernels.fm_interaction_backward(x, grad)

    def theirs(forward: Callable[..., torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(forward(tensor), tensor, factor)[0]

    fused = compiled(torch_fm, tensor)
    peers = {"torch": theirs(torch_fm), "torch_compiled": fused if isinstance(fused, str) else theirs(fused)}
    written = x.nbytes + grad.nbytes
    beside(
        "fm_interaction", {"pass": "forward+backward", "dtype": dtype, "dim": dim, "batch": batch},
        ours, peers, agree=AGREE[dtype], bare={"memory": limits.pass_over(x, written, threads)},
        flops=6 * x.size, moved=x.nbytes + written,
    )  # fmt: skip
