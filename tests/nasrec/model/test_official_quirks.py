"""Corners of the official code, one test each: followed, followed under a flag, or left out (docs/official.md)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrec.arch import Arch, BlockChoice
from nasrec.data.features import Features, Table
from nasrec.interop import arch_from_official, official_from_arch, official_state_dict, subnet_from_official
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import FULL, SMALL

ROOT = Path(__file__).resolve().parents[3]
PLAIN = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=False)
FEATURES = Features(5, (Table("a", 9), Table("b", 7)))
DENSE = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
IDS = torch.randint(7, (6, 2), generator=torch.Generator().manual_seed(1))


def subnet(*blocks: BlockChoice) -> Subnet:
    return Subnet(Arch(blocks), FEATURES, generator=torch.Generator().manual_seed(2)).double()


def loaded(arch: Arch, state: dict[str, torch.Tensor], **options: bool) -> torch.Tensor:
    """Logits of the official model with these weights."""
    model = subnet_from_official(official_from_arch(arch), state, dtype=torch.float64, **options)
    return model(DENSE, IDS)[:, 0].detach()


@pytest.mark.parametrize(
    ("width", "dsi", "fm", "differs"),
    [(128, True, True, True), (64, True, True, False), (128, True, False, False), (128, False, True, False)],
)
def test_fm_is_added_in_place(width: int, dsi: bool, fm: bool, differs: bool) -> None:
    """Flag: at width 128 DSI hands the dense output itself to the sparse one, and FM is then added to both."""
    model = subnet(replace(PLAIN, dense_width=width, dsi=dsi, fm=fm))
    state = official_state_dict(model)
    plain, quirk = loaded(model.arch, state), loaded(model.arch, state, fm_into_dsi=True)
    assert torch.allclose(plain, model(DENSE, IDS).detach(), rtol=0, atol=1e-12)
    assert torch.equal(plain, quirk) != differs


def test_in_place_by_hand() -> None:
    model = subnet(replace(PLAIN, dense_width=128, dsi=True, fm=True))
    state = {name: torch.zeros_like(weight) for name, weight in official_state_dict(model).items()}
    state["_blocks.0.deep_fm._linear_proj.bias"] += 1.0  # FM gives 1 everywhere, all else 0
    state["_final.weight"] += 1.0
    assert torch.allclose(loaded(model.arch, state), torch.full((6,), 128.0, dtype=torch.float64))
    both = loaded(model.arch, state, fm_into_dsi=True)
    assert torch.allclose(both, torch.full((6,), 256.0, dtype=torch.float64))


def test_layernorm_is_asked_for() -> None:
    """Flag: the JSON says that LayerNorm is on, the official final training leaves it out, and we do as we are told."""
    model = subnet(PLAIN)
    config = {**official_from_arch(model.arch), "use_layernorm": 1}
    assert not subnet_from_official(config, official_state_dict(model)).subnet.layernorm
    normed = Subnet(model.arch, FEATURES, layernorm=True)
    state = official_state_dict(normed)
    assert "_blocks.0._nodes.0._layernorm.weight" in state
    assert subnet_from_official(config, state, layernorm=True).subnet.layernorm


def test_attention_has_its_layernorms_in_any_case() -> None:
    """Followed: both are there with LayerNorm off, and start at 0.17."""
    state = official_state_dict(subnet(replace(PLAIN, sparse_ops=("attention",))))
    for name in ("_attn_ln", "_attn_fc_ln"):
        weight = state[f"_blocks.0._nodes.4.{name}.weight"]
        assert torch.allclose(weight, torch.full_like(weight, 0.17))


def test_inputs_are_read_in_ascending_order_and_once() -> None:
    """Followed: the order of a JSON's lists, and a number named twice, make no difference."""
    arch = Arch((PLAIN, PLAIN, replace(PLAIN, dense_inputs=(0, 1, 2), sparse_inputs=(1, 2))))
    config = official_from_arch(arch)
    config["macro"][2] |= {"dense_idx": [2, 0, 2, 1], "sparse_idx": [2, 1, 1]}
    assert arch_from_official(config) == arch


def test_dead_parts_are_left_out() -> None:
    """Left out: the official model holds and runs them; nothing depends on their weights."""
    dead = replace(PLAIN, dense_ops=("gating",), sparse_ops=("attention",), dense_width=32)
    model = subnet(dead, PLAIN)
    state = official_state_dict(model)
    assert not any(name.startswith("_blocks.0") for name in state)
    other = {"_blocks.0._nodes.2._left_self_linear._linear.weight": torch.full((5, 5), 3.0), **state}
    assert torch.equal(loaded(model.arch, state), loaded(model.arch, other))


def test_layernorm_runs_over_the_chosen_width() -> None:
    """Left out: the official supernet normalises the full width, masked units included, and then masks."""
    space = replace(SMALL, blocks=1, dense_widths=(8, 16), sparse_widths=(4,))
    net = Supernet(space, FEATURES, generator=torch.Generator().manual_seed(0)).double()
    arch = Arch((replace(PLAIN, dense_width=8, sparse_width=4),))
    before = net(arch, DENSE, IDS).detach()
    with torch.no_grad():
        net.blocks[0].get_submodule("fc").linear.weight[8:] += 1.0  # units that this network doesn't have
    assert torch.equal(net(arch, DENSE, IDS).detach(), before)
    assert torch.allclose(net.extract(arch)(DENSE, IDS), before, rtol=0, atol=1e-12)


def test_a_sum_adds_in_the_supernet_too() -> None:
    """Left out: the official supernet lays left and right side by side unless they are the same source."""
    space = replace(FULL, blocks=2, dense_widths=(16,), sparse_widths=(4,))
    net = Supernet(space, Features(16, FEATURES.tables), generator=torch.Generator().manual_seed(0)).double()
    block = replace(PLAIN, sparse_width=4)
    archs = [Arch((block, replace(block, dense_ops=("sum",), left=a, right=b))) for a, b in ((0, 1), (1, 0))]
    dense = torch.rand(6, 16, dtype=torch.float64)
    assert torch.equal(net(archs[0], dense, IDS), net(archs[1], dense, IDS))


@pytest.mark.parametrize(("connections", "low", "high"), [("binomial", 0.06, 0.19), ("uniform", 0.19, 0.33)])
def test_the_number_of_inputs_of_mutations(connections: str, low: float, high: float) -> None:
    """Option: official mutations, and the first population, draw it uniformly from 1 to 4, and not 1 + Binomial(3, ½).

    So 1 and 4 come in a quarter of all draws, and not in an eighth. Draws that change nothing aren't seen: the set
    that is there before is one of many.
    """
    rng = np.random.default_rng(0)
    space = replace(FULL, connections=connections)
    before = (0, 1)
    arch = space.sample(rng)
    arch = replace(arch, blocks=(*arch.blocks[:6], replace(arch.blocks[6], dense_inputs=before)))
    drawn = [space.mutate(arch, rng).blocks[6].dense_inputs for _ in range(16_000)]
    counts = [len(inputs) for inputs in drawn if inputs != before]
    assert len(counts) > 200
    assert low < counts.count(4) / len(counts) < high


def test_small_leaves_left_and_right_alone() -> None:
    """Left out: in the official Small space half of all macro mutations change what no operator reads."""
    rng = np.random.default_rng(1)
    arch = SMALL.sample(rng)
    for _ in range(100):
        arch = SMALL.mutate(arch, rng)
        assert all(block.left == block.right == 0 for block in arch.blocks)


def test_every_corner_on_the_page_has_its_test() -> None:
    page = (ROOT / "docs" / "official.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Corners")[2].splitlines() if line.startswith("| ")]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "nasrec").rglob("test_*.py"))
    assert len(rows) > 15
    for row in rows[1:]:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in tests, name
