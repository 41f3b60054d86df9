"""Our models against the reference outputs of the official code."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.arch import Arch, BlockChoice
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.interop import (
    NODES,
    OfficialSubnet,
    arch_from_official,
    official_from_arch,
    official_name,
    official_state_dict,
    subnet_from_official,
)
from nasrec.model.subnet import Subnet
from nasrec.space import FULL, SMALL, SPACES

CASES = ("criteo_xlarge_ln0", "criteo_xlarge_ln1", "avazu_autoctr_ln0", "kdd_xlarge_ln0", "kdd_xlarge_ln1")

CONFIG = {
    "config": "xlarge",
    "micro": [
        {
            "active_nodes": [2, 4],
            "dense_in_dims": 32,
            "sparse_in_dims": 16,
            "dense_sparse_interact": 1,
            "deep_fm": 0,
        }
    ],
    "macro": [{"dense_idx": [0], "sparse_idx": [0], "dense_left_idx": [0], "dense_right_idx": [0]}],
}


@pytest.fixture(scope="session")
def goldens(shared: Path) -> dict[str, Any]:
    cases = json.loads((shared / "goldens" / "subnets.json").read_text())
    cases["edge"] = json.loads((shared / "goldens" / "edge_ln0.json").read_text())
    return cases


@pytest.fixture(scope="session")
def weights(shared: Path) -> Any:
    sys.path.insert(0, str(shared / "goldens"))
    try:
        import det_weights
    finally:
        sys.path.pop(0)
    return det_weights


def build(case: dict[str, Any], weights: Any, dtype: torch.dtype, **options: bool) -> OfficialSubnet:
    state = {name: torch.from_numpy(weights.det_array(name, shape)) for name, shape in case["params"].items()}
    return subnet_from_official(case["config"], state, layernorm=bool(case["use_layernorm"]), dtype=dtype, **options)


def inputs(case: dict[str, Any], weights: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(a) for a in weights.det_inputs(case["nd"], case["ns"], case["rows"]))


def error(ours: Any, theirs: Any) -> float:
    theirs = np.asarray(theirs)
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", [*CASES, "edge"])
def test_logits(name: str, goldens: dict[str, Any], weights: Any) -> None:
    case = goldens[name]
    dense, ids, _ = inputs(case, weights)
    for dtype, key, bound in ((torch.float32, "logits", 1e-5), (torch.float64, "logits_f64", 1e-11)):
        model = build(case, weights, dtype, fm_into_dsi=name == "edge")
        logits = model(dense.to(dtype), ids).detach()
        assert logits.shape == (64, 1)
        assert error(logits[:, 0].numpy(), case[key]) < bound


def test_without_the_quirk_the_edge_case_differs(goldens: dict[str, Any], weights: Any) -> None:
    case = goldens["edge"]
    dense, ids, _ = inputs(case, weights)
    logits = build(case, weights, torch.float64)(dense.double(), ids).detach()
    assert error(logits[:, 0].numpy(), case["logits_f64"]) > 1e-3


def test_gradients_of_the_edge_case(goldens: dict[str, Any], weights: Any) -> None:
    """Norm, sum and first values of every gradient, each relative to the largest value that there is of its kind."""
    case = goldens["edge"]
    dense, ids, labels = inputs(case, weights)
    model = build(case, weights, torch.float32, fm_into_dsi=True)
    binary_cross_entropy_with_logits(model(dense, ids), labels).backward()
    named = {
        official_name(name, NODES["xlarge"]): parameter.grad
        for name, parameter in model.subnet.named_parameters()
        if not name.startswith("embeddings.")
    }
    assert set(named) == set(case["gradients"])
    for name, expected in case["gradients"].items():
        found, norm = named[name], expected["norm"]
        assert found is not None
        assert abs(float(found.norm()) - norm) < 1e-5 * norm, name
        assert abs(float(found.double().sum()) - expected["sum"]) < 1e-5 * norm * found.numel() ** 0.5, name
        first = found.flatten()[: len(expected["first"])].numpy()
        assert np.abs(first - np.array(expected["first"])).max() < 1e-5 * norm, name


@pytest.mark.parametrize("name", CASES)
def test_five_adagrad_steps(name: str, goldens: dict[str, Any], weights: Any) -> None:
    case = goldens[name]
    dense, ids, labels = inputs(case, weights)
    model = build(case, weights, torch.float64)
    losses, norms = [], []
    for _ in range(5):
        loss = binary_cross_entropy_with_logits(model(dense.double(), ids), labels.double())
        loss.backward()
        losses.append(loss.item())
        norms.append(model.subnet.adagrad_step(lr=case["train_lr"], eps=1e-2, clip_norm=5.0))
    assert error(losses, case["train_losses_f64"]) < 1e-8
    assert error(norms, case["train_gradnorms_f64"]) < 1e-8
    assert error(model(dense.double(), ids)[:, 0].detach().numpy(), case["logits_after5_f64"]) < 1e-8


def test_architectures_round_trip() -> None:
    rng = np.random.default_rng(0)
    for space in (SMALL, FULL):
        for _ in range(20):
            arch = space.sample(rng)
            name = "autoctr" if space is SMALL else "xlarge"
            assert arch_from_official(json.loads(json.dumps(official_from_arch(arch, name)))) == arch


def test_inputs_are_sorted() -> None:
    config = official_from_arch(FULL.sample(np.random.default_rng(1)))
    arch = arch_from_official(config)
    for block in config["macro"]:
        block["dense_idx"].reverse()
        block["sparse_idx"].reverse()
    assert arch_from_official(config) == arch
    assert isinstance(arch, Arch)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": "tiny"}, "'tiny'.*autoctr, xlarge"),
        ({"micro": [{**CONFIG["micro"][0], "active_nodes": [9]}]}, r"micro\[0\].active_nodes holds 9"),
        ({"macro": [{**CONFIG["macro"][0], "dense_left_idx": [0, 1]}]}, r"macro\[0\].dense_left_idx"),
        ({"macro": []}, "1 blocks in 'micro' but 0"),
        ({"micro": [{"active_nodes": [2, 4]}]}, r"micro\[0\].*'dense_in_dims' is missing"),
    ],
)
def test_bad_configs(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        arch_from_official({**CONFIG, **change})


def test_missing_and_misshapen_weights() -> None:
    with pytest.raises(InputError, match=r"_blocks.0._nodes.2._left_self_linear._linear.weight"):
        subnet_from_official(CONFIG, {"_embedding.0.weight": torch.zeros(3, 16)})
    with pytest.raises(InputError, match="gating"):
        official_from_arch(arch_from_official(CONFIG), "autoctr")


def test_every_reference_is_met(goldens: dict[str, Any]) -> None:
    """The cases of these tests are all that there are."""
    assert set(goldens) == {*CASES, "edge"}


@pytest.mark.parametrize("layernorm", [False, True], ids=["plain", "layernorm"])
@pytest.mark.parametrize("name", ["small", "full"])
def test_official_states_round_trip(name: str, layernorm: bool) -> None:
    """Every operator: out under official names, and in again, the raw width found from the weights."""
    rng = np.random.default_rng(4)
    space = replace(SPACES[name], blocks=3, dense_widths=(16, 32, 128), sparse_widths=(5, 16))
    features = Features(7, (Table("a", 11), Table("b", 9)))
    dense, ids = torch.rand(6, 7, dtype=torch.float64), torch.randint(9, (6, 2))
    seen: set[str] = set()
    for number in range(20):
        arch = space.sample(rng, ("single-operator", "any-path")[number % 2])
        generator = torch.Generator().manual_seed(number)
        subnet = Subnet(arch, features, layernorm=layernorm, generator=generator).double()
        state = official_state_dict(subnet, name)
        assert sum(weight.numel() for weight in state.values()) == sum(p.numel() for p in subnet.parameters())
        if any(weight.shape[-1:] == (7,) for weight in state.values()):  # else nobody live reads the dense inputs
            config = official_from_arch(arch, name)
            again = subnet_from_official(config, state, layernorm=layernorm, dtype=torch.float64)
            assert again.subnet.arch == arch
            assert torch.allclose(again(dense, ids)[:, 0], subnet(dense, ids), rtol=0, atol=1e-12)
            back = official_state_dict(again, name)
            assert all(torch.equal(back[key], weight) for key, weight in state.items())
            seen |= {op for block in again.subnet.blocks for op, _ in block.named_children()}
    assert seen == {*space.dense_ops, *space.sparse_ops, "dsi", "fm"}
    with pytest.raises(InputError, match="'tiny'"):
        official_state_dict(subnet, "tiny")


@pytest.mark.parametrize("op", ["fc", "dot", "gating", "sum"])
def test_the_raw_width_is_found_in_later_blocks(op: str) -> None:
    """The first block adds the dense inputs to themselves, which takes no weights; the next reads them and its sum."""
    first = BlockChoice(("sum",), ("efc",), (0,), (0,), 0, 0, 40, 16, dsi=False, fm=False)
    arch = Arch((first, replace(first, dense_ops=(op,), dense_inputs=(0, 1), dense_width=32)))
    state = official_state_dict(Subnet(arch, Features(40, (Table("a", 5),))))
    assert subnet_from_official(official_from_arch(arch), state).subnet.features.dense == 40
