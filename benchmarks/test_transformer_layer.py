"""A whole transformer layer with heads of two numbers, as in the operator Attention, beside torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

from nasrec import kernels
from nasrec.kernels import TransformerWeights
from nasrec.model.norm import EPS

BATCH, HEADS, WIDTH = 512, 8, 16


def some_weights() -> TransformerWeights:
    rng = np.random.default_rng(0)
    shapes = [(3 * WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH,), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH,)]
    arrays = [part for shape in shapes for part in (rng.standard_normal(shape) / 4, rng.standard_normal(shape[0]))]
    return TransformerWeights(*(array.astype(np.float32) for array in arrays))


def torch_layer(weights: TransformerWeights) -> torch.nn.Module:
    """torch's layer; in evaluation and without gradients it takes its fused path."""
    layer = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, WIDTH, layer_norm_eps=EPS, batch_first=True).eval()
    targets = [layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias]
    for part in (layer.self_attn.out_proj, layer.norm1, layer.linear1, layer.linear2, layer.norm2):
        targets += [part.weight, part.bias]
    for target, value in zip(targets, weights, strict=True):
        target.data.copy_(torch.from_numpy(value))
    return layer


def torch_parts(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """The same of torch's functions, heads as views of what the projection gives."""
    qkv, qkv_bias, out, out_bias, norm1, norm1_bias, fc1, fc1_bias, fc2, fc2_bias, norm2, norm2_bias = weights
    q, k, v = linear(x, qkv, qkv_bias).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = layer_norm(x + linear(mixed, out, out_bias), (WIDTH,), norm1, norm1_bias, EPS)
    return layer_norm(x + linear(linear(x, fc1, fc1_bias).relu(), fc2, fc2_bias), (WIDTH,), norm2, norm2_bias, EPS)


@pytest.mark.parametrize("rows", [16, 32, 48, 64])
@pytest.mark.benchmark(group="transformer layer")
def test_forward(beside, rows: int) -> None:
    """Ours reads and writes coordinate first, torch row first: each as its neighbours in a network have it."""
    weights = some_weights()
    x = np.random.default_rng(1).standard_normal((BATCH, WIDTH, rows), dtype=np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(x.swapaxes(1, 2)))
    layer, parts = torch_layer(weights), [torch.from_numpy(weight) for weight in weights]

    @torch.no_grad()
    def fused() -> torch.Tensor:
        return layer(tensor)

    @torch.no_grad()
    def by_parts() -> torch.Tensor:
        return torch_parts(tensor, parts)

    def equal() -> None:
        ours = kernels.transformer_layer(x, weights, HEADS, EPS).swapaxes(1, 2)
        for theirs in (fused(), by_parts()):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)

    beside(
        "transformer_layer", {"pass": "forward", "rows": rows, "heads": HEADS, "width": WIDTH, "batch": BATCH},
        lambda: kernels.transformer_layer(x, weights, HEADS, EPS), {"torch": fused, "torch_parts": by_parts},
        agree=equal,
        flops=BATCH * rows * (12 * WIDTH * WIDTH + 4 * rows * WIDTH), moved=2 * x.nbytes,
    )  # fmt: skip
