"""Our Adagrad against torch's, on a subnet, on the slices of a supernet, and across a checkpoint."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.errors import InputError
from nasrec.model.optimizer import adagrad_step, load_weights, weights_of
from nasrec.model.shape import shapes_of
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import Space

SPACE = Space("reduced", blocks=3, dense_widths=(16, 24), sparse_widths=(4, 8))


def step(model, batch, *arch, **options) -> float:
    dense, ids, labels = batch
    logits = model(*arch, dense, ids)
    binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)).backward()
    return model.adagrad_step(**options)


def test_five_steps_equal_torch_adagrad_with_clipping(features, batch_of) -> None:
    arch = SPACE.sample(np.random.default_rng(2))
    ours = Subnet(arch, features, generator=torch.Generator().manual_seed(0)).double()
    theirs = copy.deepcopy(ours)
    dense, ids, labels = batch_of(features, 8)
    labels = labels.double()
    dead = [p for n, p in theirs.named_parameters() if n.startswith("embeddings.")]
    trained = [p for n, p in theirs.named_parameters() if not n.startswith("embeddings.")]
    for parameter in dead:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adagrad(trained + dead, lr=0.05, eps=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(theirs(dense, ids), labels).backward()
        for parameter, grad in zip(dead, theirs.embeddings.dense_grads(), strict=True):
            parameter.grad = grad.clone()
        expected = float(torch.nn.utils.clip_grad_norm_(trained + dead, 0.5))
        optimizer.step()
        theirs.embeddings.clear_pending()
        assert step(ours, (dense, ids, labels), lr=0.05, clip_norm=0.5) == pytest.approx(expected, rel=1e-9)
    assert torch.allclose(ours(dense, ids), theirs(dense, ids), rtol=1e-9)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12), name


def test_a_step_in_the_supernet_equals_a_step_of_the_subnet(features, batch_of) -> None:
    supernet = Supernet(SPACE, features, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(3)
    batch = batch_of(features, 8)
    for _ in range(5):
        arch = SPACE.sample(rng)
        subnet = supernet.extract(arch, share_embeddings=False)
        for name in [name for name, _ in supernet.named_buffers() if "adagrad" in name]:
            supernet.get_buffer(name).zero_()
            if name.startswith("embeddings."):
                subnet.get_buffer(name).zero_()
        norm = step(supernet, batch, arch, lr=0.1)
        assert step(subnet, batch, lr=0.1) == pytest.approx(norm, rel=1e-5)
        after = supernet.extract(arch)
        for (name, a), b in zip(after.named_parameters(), subnet.parameters(), strict=True):
            assert torch.allclose(a, b, atol=2e-5), name


def test_what_an_architecture_does_not_use_stays_as_it_is(features, batch_of) -> None:
    supernet = Supernet(SPACE, features, generator=torch.Generator().manual_seed(0))
    arch = SPACE.sample(np.random.default_rng(5))
    before = {name: parameter.clone() for name, parameter in supernet.named_parameters()}
    step(supernet, batch_of(features, 8), arch, lr=0.1)
    used = {active.name.split("[")[0] for active in supernet.active()}
    for name, parameter in supernet.named_parameters():
        if name not in used and not name.startswith("embeddings."):
            assert torch.equal(parameter, before[name]), name
    head = supernet.head.weight
    columns = supernet.last.head_slices(shapes_of(arch, features)[-1])
    mask = torch.ones_like(head, dtype=torch.bool)
    for cut in columns:
        mask[:, cut] = False
    assert torch.equal(head[mask], before["head.weight"][mask])
    assert not torch.equal(head[~mask], before["head.weight"][~mask])


def test_resumed_training_is_the_same_bit_for_bit(features, batch_of) -> None:
    rng = np.random.default_rng(6)
    archs = [SPACE.sample(rng) for _ in range(6)]
    batch = batch_of(features, 8)

    def fresh(seed: int) -> Supernet:
        return Supernet(SPACE, features, generator=torch.Generator().manual_seed(seed))

    whole, first, second = fresh(0), fresh(0), fresh(1)
    for arch in archs:
        step(whole, batch, arch, lr=0.1)
    for arch in archs[:3]:
        step(first, batch, arch, lr=0.1)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    for arch in archs[3:]:
        step(second, batch, arch, lr=0.1)
    for (name, a), b in zip(whole.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_gradient_that_is_not_finite_changes_nothing(features, batch_of) -> None:
    subnet = Subnet(SPACE.sample(np.random.default_rng(0)), features)
    before = {name: value.clone() for name, value in subnet.state_dict().items()}
    dense, ids, labels = batch_of(features, 8)
    assert not math.isfinite(step(subnet, (dense * float("nan"), ids, labels), lr=0.1))
    for name, value in subnet.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in subnet.head.parameters())


def test_only_the_head(features, batch_of) -> None:
    subnet = Subnet(SPACE.sample(np.random.default_rng(0)), features)
    dense, ids, labels = batch_of(features, 8)
    with torch.no_grad():
        before = subnet.features_before_head(dense, ids)
    losses = []
    for _ in range(20):
        loss = binary_cross_entropy_with_logits(subnet.head(before).squeeze(1), labels)
        loss.backward()
        adagrad_step(subnet.head, lr=0.1)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        assert torch.equal(subnet.features_before_head(dense, ids), before)


def test_a_parameter_without_accumulator_is_refused() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 1))
    model(torch.ones(1, 2)).sum().backward()
    with pytest.raises(TypeError, match=r"0\.weight"):
        adagrad_step(model, lr=0.1)


def test_weights_without_accumulators(features, batch_of) -> None:
    arch = SPACE.sample(np.random.default_rng(0))
    a, b = (Subnet(arch, features, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    step(a, batch_of(features, 8), lr=0.1)
    weights = weights_of(a)
    assert not any("adagrad" in name for name in weights)
    load_weights(b, weights)
    dense, ids, _ = batch_of(features, 8)
    assert torch.equal(a(dense, ids), b(dense, ids))
    del weights["head.weight"]
    with pytest.raises(InputError, match=r"head\.weight"):
        load_weights(b, weights)
    with pytest.raises(InputError, match=r"head\.weight"):
        load_weights(b, {**weights_of(a), "head.weight": torch.zeros(1, 3)})
