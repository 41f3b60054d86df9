"""The factorisation machine's second order beside torch's expression of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasrec import kernels

FEATURES = 27


def torch_fm(x: torch.Tensor) -> torch.Tensor:
    return x.sum(1).square() - x.square().sum(1)


@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.benchmark(group="fm_interaction forward")
def test_forward(beside, dim: int, batch: int) -> None:
    x = np.random.default_rng(0).standard_normal((batch, FEATURES, dim), dtype=np.float32)
    tensor = torch.from_numpy(x)
    np.testing.assert_allclose(kernels.fm_interaction(x), torch_fm(tensor).numpy(), rtol=1e-3, atol=1e-3)
    beside(lambda: kernels.fm_interaction(x), {"torch": lambda: torch_fm(tensor)})


@pytest.mark.parametrize("batch", [512, 4096])
@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.benchmark(group="fm_interaction forward and backward")
def test_forward_and_backward(beside, dim: int, batch: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, FEATURES, dim), dtype=np.float32)
    grad = rng.standard_normal((batch, dim), dtype=np.float32)
    tensor, factor = torch.from_numpy(x).requires_grad_(), torch.from_numpy(grad)

    def ours() -> np.ndarray:
        kernels.fm_interaction(x)
        return kernels.fm_interaction_backward(x, grad)

    def theirs() -> torch.Tensor:
        return torch.autograd.grad(torch_fm(tensor), tensor, factor)[0]

    np.testing.assert_allclose(ours(), theirs().numpy(), rtol=1e-3, atol=1e-3)
    beside(ours, {"torch": theirs})
