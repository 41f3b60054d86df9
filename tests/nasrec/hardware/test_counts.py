"""Counts of MACs and parameters: the published architectures to the last digit, the official models' own weights."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasrec.arch import Arch, BlockChoice
from nasrec.arch_file import read_arch
from nasrec.data.features import Features, Table
from nasrec.hardware import counts_of
from nasrec.model.subnet import Subnet
from nasrec.official import arch_from_official
from nasrec.space import EXTENDED, FULL, SMALL

PUBLISHED = Path(__file__).resolve().parents[3] / "examples" / "published"
PLAIN = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=False)


def features(dense: int, sparse: int, rows: int = 7) -> Features:
    return Features(dense, tuple(Table(f"C{index}", rows) for index in range(sparse)))


# MACs of live operators, dense parameters and those that are live, live blocks, MACs of products of activations (as
# published with one decimal of a thousand). The MACs agree within 1 % with NASRec's table: 2.20, 1.45, 3.08, 1.87,
# 3.48 and 1.09 M, counted by fvcore, which counts attention's LayerNorms as well.
@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("criteo_small", (13, 26), (2_207_808, 1_779_720, 1_743_288, 6, 38_480)),
        ("criteo_full", (13, 26), (1_448_297, 2_217_268, 749_764, 4, 231_696)),
        ("avazu_small", (1, 23), (3_085_600, 2_838_609, 2_740_177, 7, 43_024)),
        ("avazu_full", (1, 23), (1_866_816, 3_179_072, 1_477_281, 4, 108_816)),
        ("kdd_small", (3, 10), (3_482_848, 2_606_511, 2_598_255, 7, 65_376)),
        ("kdd_full", (3, 10), (1_079_753, 438_461, 402_893, 6, 217_616)),
    ],
)
def test_published_architectures(name: str, inputs: tuple[int, int], expected: tuple[int, ...]) -> None:
    found = read_arch(PUBLISHED / f"{name}.json")
    assert found.official
    counts = counts_of(found.arch, features(*inputs))
    assert (
        counts.macs,
        counts.dense_parameters,
        counts.live_dense_parameters,
        counts.live_blocks,
        counts.product_macs,
    ) == expected


def test_the_reference_models_have_as_many_parameters(shared: Path) -> None:
    """Dead ones included; LayerNorm off."""
    cases = json.loads((shared / "goldens" / "subnets.json").read_text())
    cases["edge_ln0"] = json.loads((shared / "goldens" / "edge_ln0.json").read_text())
    for name, case in cases.items():
        if not name.endswith("ln0"):
            continue
        counts = counts_of(arch_from_official(case["config"]), features(case["nd"], case["ns"], case["rows"]))
        sizes = {key: math.prod(shape) for key, shape in case["params"].items()}
        tables = sum(size for key, size in sizes.items() if key.startswith("_embedding."))
        assert counts.dense_parameters == sum(sizes.values()) - tables
        assert counts.embedding_parameters == tables


@pytest.mark.parametrize("space", [SMALL, FULL, EXTENDED], ids=lambda space: space.name)
def test_live_parameters_are_those_of_the_model(space) -> None:
    rng = np.random.default_rng(0)
    small = replace(space, blocks=4, dense_widths=(16, 32, 128))
    for _ in range(15):
        arch, of = small.sample(rng, "any-path"), features(16, 5)
        counts = counts_of(arch, of)
        named = Subnet(arch, of).named_parameters()
        held = {name: parameter.numel() for name, parameter in named}
        assert counts.live_dense_parameters == sum(size for name, size in held.items() if "embeddings" not in name)
        assert counts.embedding_parameters == sum(size for name, size in held.items() if "embeddings" in name)
        assert counts.dense_parameters >= counts.live_dense_parameters
        assert sum(part.macs for part in counts.parts) == counts.macs


def test_one_block_and_a_dead_one_by_hand() -> None:
    dead = replace(PLAIN, dense_ops=("gating",), sparse_ops=("attention",), dense_width=32)
    counts = counts_of(Arch((dead, PLAIN)), features(3, 4))
    first, second, head = counts.parts
    gating = 3 * 3 + 3 + 3 * 32 + 32
    attention = 4 * 16 + 16 + 16 * 48 + 48 + 3 * (16 * 16 + 16) + 4 * 16
    assert (first.live, first.macs, first.parameters, first.live_parameters) == (False, 0, gating + attention, 0)
    assert second.macs == 3 * 16 + 4 * 16 * 16
    assert second.parameters == second.live_parameters == 3 * 16 + 16 + 4 * 16 + 16
    assert head.macs == 16 + 16 * 16
    assert head.parameters == head.macs + 1
    assert (counts.live_blocks, counts.product_macs) == (1, 0)
