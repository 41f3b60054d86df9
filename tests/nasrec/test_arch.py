"""Genotypes: JSON round trip, refusals, liveness worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasrec.arch import FLOAT, Arch, BlockChoice, Candidate, ChipChoice, Precision
from nasrec.errors import InputError
from nasrec.liveness import live_blocks
from nasrec.space import EXTENDED, FULL, SMALL

PLAIN = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=False)


def blocks(*choices: BlockChoice) -> Arch:
    return Arch(tuple(choices))


@pytest.mark.parametrize("space", [SMALL, FULL, EXTENDED], ids=lambda space: space.name)
def test_json_round_trip(space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        candidate = Candidate(space.sample(rng), ChipChoice(rows=64, copies=4))
        assert Candidate.from_json(candidate.to_json()) == candidate


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dense_inputs", [2], "arch.blocks[0].dense_inputs is [2]"),
        ("dense_inputs", [], "ascending numbers from 0 to 0"),
        ("dense_ops", ["conv"], "fc, dot, gating, sum, deep, bilinear"),
        ("left", 1, "arch.blocks[0].left is 1: allowed are 0 to 0"),
        ("dsi", 1, "expected bool"),
        ("dense_width", "16", "expected int"),
        ("fm_precision", {"weight_bits": 9, "input_bits": 8}, "weight_bits is 9"),
    ],
)
def test_bad_fields_are_named(field: str, value: object, message: str) -> None:
    data = blocks(PLAIN).to_json()
    data["blocks"][0][field] = value
    with pytest.raises(InputError, match=r".*") as caught:
        Arch.from_json(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_and_missing_fields_are_named() -> None:
    data = blocks(PLAIN).to_json()
    with pytest.raises(InputError, match=r"unknown field 'colour'"):
        Arch.from_json({**data, "colour": 1})
    del data["blocks"][0]["left"]
    with pytest.raises(InputError, match=r"blocks\[0\]: field 'left' is missing"):
        Arch.from_json(data)


def test_a_block_nobody_reads_is_dead() -> None:
    live = live_blocks(blocks(PLAIN, PLAIN))
    assert not live[0].alive
    assert live[1].dense
    assert live[1].sparse


@pytest.mark.parametrize("op", ["dot", "deep", "bilinear"])
def test_dense_operators_on_rows_keep_the_sparse_branch_of_their_source_alive(op: str) -> None:
    second = replace(PLAIN, dense_ops=(op,), dense_inputs=(0,), sparse_inputs=(1,))
    third = replace(PLAIN, dense_inputs=(2,), sparse_inputs=(0,))
    live = live_blocks(blocks(PLAIN, second, third))
    assert (live[0].dense, live[0].sparse) == (False, True)
    assert (live[1].dense, live[1].sparse) == (True, False)


def test_mergers_keep_the_other_branch_alive() -> None:
    first = replace(PLAIN, dsi=True, fm=True)
    reads_sparse = replace(PLAIN, dense_inputs=(0,), sparse_inputs=(1,))
    live = live_blocks(blocks(first, reads_sparse))
    # The sparse output is read: the dense-sparse merger runs and needs the dense operator; nobody reads FM's sum.
    assert (live[0].dense, live[0].sparse, live[0].dsi, live[0].fm) == (True, True, True, False)
    reads_dense = replace(PLAIN, dense_inputs=(1,), sparse_inputs=(0,))
    live = live_blocks(blocks(first, reads_dense))
    assert (live[0].dense, live[0].sparse, live[0].dsi, live[0].fm) == (True, True, False, True)


def test_gating_reads_left_and_right_only() -> None:
    gate = replace(PLAIN, dense_ops=("gating",), dense_inputs=(1,), left=2, right=0)
    live = live_blocks(blocks(PLAIN, PLAIN, gate))
    assert (live[0].dense, live[1].dense) == (False, True)


def test_precision_moves_between_networks() -> None:
    rng = np.random.default_rng(1)
    network, other = FULL.sample(rng), FULL.sample(rng).with_precision(Precision(4, 8))
    moved = network.with_precision_of(other)
    assert moved.head == Precision(4, 8)
    assert moved.with_precision(FLOAT) == network


def test_sizes_of_the_spaces_are_the_published_ones() -> None:
    # NASRec-Small 1.9e32 and NASRec-Full 8.1e43: one operator per branch, at most four connections.
    assert SMALL.size == pytest.approx(1.9e32, rel=0.03)
    assert FULL.size == pytest.approx(8.1e43, rel=0.01)


def test_sampling_and_mutation_stay_inside_the_space() -> None:
    rng = np.random.default_rng(2)
    space = replace(FULL, blocks=4, weight_bits=(4, 8), input_bits=(4, 8))
    arch = space.sample(rng)
    for _ in range(300):
        mutated = space.mutate(arch, rng)
        space.check(mutated)
        changed = sum(old != new for old, new in zip(arch.blocks, mutated.blocks, strict=True))
        assert changed + (arch.head != mutated.head) <= 1
        assert all(len(block.dense_inputs) <= 4 for block in mutated.blocks)
        arch = mutated


def test_connections_follow_one_plus_binomial() -> None:
    rng = np.random.default_rng(3)
    counts = np.array([len(FULL.sample(rng).blocks[6].dense_inputs) for _ in range(4000)])
    # 1 + Binomial(3, 0.5): mean 2.5, variance 0.75.
    assert counts.mean() == pytest.approx(2.5, abs=0.06)
    assert counts.var() == pytest.approx(0.75, abs=0.06)


def test_another_space_is_refused_by_name() -> None:
    arch = FULL.sample(np.random.default_rng(4))
    with pytest.raises(InputError, match="space 'full' has 2"):
        replace(FULL, blocks=2).check(arch)
