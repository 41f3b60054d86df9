"""The supernet's promise: an architecture inside it and the standalone network cut out of it are one function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.arch import Arch, BlockChoice
from nasrec.data.features import Features, Table
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import EXTENDED, FULL, SMALL, Space

# 16 and 128 hit the left-out projections of dot, FM and DSI; 13 those of gating and sum on the raw input.
WIDTHS = {"blocks": 4, "dense_widths": (13, 16, 24, 128), "sparse_widths": (6, 8, 16)}
REDUCED = {
    "small": Space("small", dense_ops=SMALL.dense_ops, sparse_ops=SMALL.sparse_ops, **WIDTHS),
    "full": Space("full", **WIDTHS),
    "extended": Space("extended", dense_ops=EXTENDED.dense_ops, sparse_ops=EXTENDED.sparse_ops, **WIDTHS),
}


def gradients(
    net: torch.nn.Module, logits: Tensor, labels: Tensor, weights: list[tuple[str, Tensor]]
) -> dict[str, Tensor]:
    """Gradients by name, a supernet's slices joined; then the model is as before."""
    binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)).backward()
    pieces: dict[str, list[Tensor]] = {}
    for name, weight in weights:
        if weight.grad is not None:
            pieces.setdefault(name.split("[")[0], []).append(weight.grad)
            weight.grad = None
    joined = {name: torch.cat(parts, dim=-1) for name, parts in pieces.items()}
    for index, grad in enumerate(net.embeddings.dense_grads()):
        joined[f"embeddings.{index}"] = grad.clone()
    net.embeddings.clear_pending()
    return joined


def assert_one_function(supernet: Supernet, arch: Arch, batch: tuple[Tensor, Tensor, Tensor], tolerance: float) -> None:
    dense, ids, labels = batch
    subnet = supernet.extract(arch)
    inside = supernet(arch, dense, ids)
    inside_grads = gradients(supernet, inside, labels, [(s.name, s.weight) for s in supernet.active()])
    outside = subnet(dense, ids)
    trained = [(n, p) for n, p in subnet.named_parameters() if not n.startswith("embeddings.")]
    outside_grads = gradients(subnet, outside, labels, trained)
    assert torch.allclose(inside, outside, rtol=0, atol=tolerance * float(outside.detach().abs().max()))
    assert inside_grads.keys() == outside_grads.keys()
    largest = max(float(grad.abs().max()) for grad in outside_grads.values() if grad.numel())
    for name, grad in outside_grads.items():
        inner = inside_grads[name]
        if "gating" in name:  # the supernet leaves out what would meet padding: there the gradient is zero
            inner = torch.zeros_like(grad)
            inner[tuple(slice(size) for size in inside_grads[name].shape)] = inside_grads[name]
        assert inner.shape == grad.shape, name
        assert torch.allclose(inner, grad, rtol=0, atol=tolerance * largest), name


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize("name", ["small", "full", "extended"])
def test_random_architectures(name: str, layernorm: bool, count: int, features: Features, batch_of) -> None:
    space = REDUCED[name]
    supernet = Supernet(space, features, layernorm=layernorm, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(7)
    batch = batch_of(features, 16)
    for _ in range(count):
        assert_one_function(supernet, space.sample(rng), batch, 2e-6 if layernorm else 1e-5)


@pytest.mark.parametrize("name", ["small", "full", "extended"])
def test_random_architectures_of_the_real_space(name: str, features: Features, batch_of) -> None:
    space = {"small": SMALL, "full": FULL, "extended": EXTENDED}[name]
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(3)
    for _ in range(5):
        assert_one_function(supernet, space.sample(rng), batch_of(features, 16), 1e-5)


def test_quantised_architectures(features: Features, batch_of) -> None:
    space = replace(REDUCED["extended"], weight_bits=(4, 8, 32), input_bits=(4, 8, 32))
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1)).double()
    rng = np.random.default_rng(5)
    for _ in range(40):  # in float64: in float32 a last bit can decide which code a number gets
        assert_one_function(supernet, space.sample(rng), batch_of(features, 8), 1e-9)


def test_several_operators_per_branch_add_up(features: Features, batch_of) -> None:
    space = REDUCED["extended"]
    arch = space.sample(np.random.default_rng(0))
    blocks = [
        type(block)(**{**vars(block), "dense_ops": space.dense_ops, "sparse_ops": space.sparse_ops})
        for block in arch.blocks
    ]
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1))
    assert_one_function(supernet, Arch(tuple(blocks)), batch_of(features, 16), 1e-5)


@pytest.mark.parametrize("dense", [0, 1])
def test_data_without_dense_inputs(dense: int, batch_of) -> None:
    features = Features(dense, (Table("user", 9), Table("item", 11)))
    space = Space("reduced", blocks=3, dense_widths=(16, 24), sparse_widths=(4, 8))
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert_one_function(supernet, space.sample(rng), batch_of(features, 8), 1e-5)


def test_extract_copies_weights_and_shares_or_copies_tables(features: Features, batch_of) -> None:
    space = REDUCED["small"]
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1))
    arch = space.sample(np.random.default_rng(1))
    dense, ids, labels = batch_of(features, 8)
    shared, copied = supernet.extract(arch), supernet.extract(arch, share_embeddings=False)
    assert shared.embeddings is supernet.embeddings
    assert copied.embeddings is not supernet.embeddings
    before = supernet(arch, dense, ids).detach()
    binary_cross_entropy_with_logits(copied(dense, ids), labels).backward()
    copied.adagrad_step(lr=0.1)
    assert torch.equal(supernet(arch, dense, ids).detach(), before)
    assert not torch.allclose(copied(dense, ids), before)


def test_scoring_a_subnet_does_not_stop_the_training_of_shared_tables(features: Features, batch_of) -> None:
    space = REDUCED["small"]
    supernet = Supernet(space, features, generator=torch.Generator().manual_seed(1))
    arch = space.sample(np.random.default_rng(1))
    dense, ids, labels = batch_of(features, 8)
    with torch.no_grad():
        supernet.extract(arch).eval()(dense, ids)
    binary_cross_entropy_with_logits(supernet(arch, dense, ids), labels).backward()
    assert supernet.embeddings.grad_sq_norm() > 0


def test_dead_operators_do_not_exist_in_a_subnet(features: Features) -> None:
    arch = Arch(
        (
            _choice(dense_inputs=(0,), sparse_inputs=(0,)),  # nobody reads it
            _choice(dense_inputs=(0,), sparse_inputs=(0,)),
        )
    )
    names = [name for name, _ in Subnet(arch, features).named_parameters() if name.startswith("blocks.")]
    assert {name.split(".")[1] for name in names} == {"1"}


def test_features_before_head(features: Features, batch_of) -> None:
    subnet = Subnet(REDUCED["full"].sample(np.random.default_rng(4)), features)
    dense, ids, _ = batch_of(features, 8)
    before = subnet.features_before_head(dense, ids)
    assert torch.equal(subnet.head(before).squeeze(1), subnet(dense, ids))


def test_bags_of_one_id_are_plain_categories(features: Features, batch_of) -> None:
    subnet = Subnet(REDUCED["full"].sample(np.random.default_rng(4)), features)
    dense, ids, _ = batch_of(features, 8)
    flat, offsets = ids.T.reshape(-1), torch.arange(ids.numel() + 1)
    assert torch.equal(subnet(dense, flat, offsets), subnet(dense, ids))


def _choice(**changes: object) -> BlockChoice:
    values: dict[str, object] = {
        "dense_ops": ("fc",),
        "sparse_ops": ("efc",),
        "dense_inputs": (0,),
        "sparse_inputs": (0,),
        "left": 0,
        "right": 0,
        "dense_width": 16,
        "sparse_width": 8,
        "dsi": False,
        "fm": False,
    }
    return BlockChoice(**{**values, **changes})
