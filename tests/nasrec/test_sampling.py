"""Which network a step trains: the distributions of strategies, the shares of the warm-up, and what seeds mean."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from nasrec.arch import FLOAT, Arch
from nasrec.errors import InputError
from nasrec.sampling import full_path, step_arch
from nasrec.space import FULL, SAMPLING, SMALL, Space
from nasrec.train_options import PATH_WARMUPS, TrainOptions

SPACE = Space("tiny", blocks=3, dense_widths=(8, 16), sparse_widths=(4, 6), weight_bits=(4, 8), input_bits=(4, 8))


def digest(archs: list[Arch]) -> str:
    return hashlib.sha256(json.dumps([arch.to_json() for arch in archs]).encode()).hexdigest()[:16]


def is_whole(arch: Arch, space: Space = SPACE) -> bool:
    """Whether `arch` is the full path, whichever pairs gating and sum read."""
    whole = full_path(space)
    blocks = [
        replace(block, left=other.left, right=other.right)
        for block, other in zip(arch.blocks, whole.blocks, strict=True)
    ]
    return Arch(tuple(blocks), arch.head) == whole


def test_seeds_mean_what_they_meant() -> None:
    """Single-operator draws, which trainings and searches resume from; made before there were other strategies."""
    rng = np.random.default_rng(0)
    assert digest([FULL.sample(rng) for _ in range(50)]) == "ba8f7f0fe527578c"
    options = TrainOptions(seed=3)
    assert digest([step_arch(SMALL, options, step) for step in range(50)]) == "62fffbe6cdf6c775"


@pytest.mark.parametrize("space", [SMALL, FULL], ids=lambda space: space.name)
def test_single_path_has_one_of_each(space: Space) -> None:
    rng = np.random.default_rng(1)
    reads: Counter[int] = Counter()
    for _ in range(700):
        arch = space.sample(rng, "single-path")
        for block in arch.blocks:
            sizes = (block.dense_ops, block.sparse_ops, block.dense_inputs, block.sparse_inputs)
            assert [len(genes) for genes in sizes] == [1, 1, 1, 1]
        reads[arch.blocks[6].dense_inputs[0]] += 1
    assert min(reads[source] for source in range(7)) > 60  # 100 expected of each


def test_any_path_follows_one_plus_binomial() -> None:
    rng = np.random.default_rng(2)
    drawn = [FULL.sample(rng, "any-path") for _ in range(1500)]
    blocks = [block for arch in drawn for block in arch.blocks]
    dense = np.array([len(block.dense_ops) for block in blocks])
    sparse = np.array([len(block.sparse_ops) for block in blocks])
    # 1 + Binomial(3, 1/2) of four operators, 1 + Binomial(1, 1/2) of two.
    assert dense.mean() == pytest.approx(2.5, abs=0.03)
    assert dense.var() == pytest.approx(0.75, abs=0.03)
    assert sparse.mean() == pytest.approx(1.5, abs=0.02)
    inputs = np.array([len(arch.blocks[6].dense_inputs) for arch in drawn])
    assert inputs.mean() == pytest.approx(2.5, abs=0.1)
    share = Counter(op for block in blocks for op in block.dense_ops)
    assert all(count == pytest.approx(2.5 / 4 * len(blocks), rel=0.05) for count in share.values())
    for block in blocks:
        assert list(block.dense_ops) == sorted(block.dense_ops, key=FULL.dense_ops.index)


def test_every_strategy_stays_inside_the_space() -> None:
    rng = np.random.default_rng(3)
    for strategy in SAMPLING:
        for _ in range(20):
            SPACE.check(SPACE.sample(rng, strategy))
    with pytest.raises(InputError, match="'double-path': allowed are single-operator, single-path, any-path"):
        SPACE.sample(rng, "double-path")


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("warmup", PATH_WARMUPS)
def test_a_step_depends_on_seed_and_step_only(sampling: str, warmup: str) -> None:
    options = TrainOptions(seed=4, full_path_steps=30, sampling=sampling, path_warmup=warmup)
    forwards = [step_arch(SPACE, options, step) for step in range(40)]
    assert forwards == [step_arch(SPACE, options, step) for step in reversed(range(40))][::-1]
    assert forwards[35] == SPACE.sample(np.random.default_rng([4, 35]), sampling)
    assert forwards[35] != step_arch(SPACE, replace(options, seed=5), 35)


def test_the_full_path_fades_out() -> None:
    options = TrainOptions(full_path_steps=200)
    taken = [is_whole(step_arch(SPACE, options, step)) for step in range(300)]
    assert taken[0]
    assert 30 <= sum(taken[:100]) - sum(taken[100:200]) <= 70  # 75 and 25 expected
    assert not any(taken[200:])


def test_the_full_path_shares_out_the_pairs() -> None:
    options = TrainOptions(full_path_steps=10**9)
    pairs = Counter(
        (arch.blocks[2].left, arch.blocks[2].right) for arch in (step_arch(SPACE, options, step) for step in range(900))
    )
    assert len(pairs) == 9
    assert min(pairs.values()) > 60  # 100 expected of each


def test_blocks_fade_out_each_for_itself() -> None:
    steps = 400
    options = TrainOptions(full_path_steps=steps, path_warmup="per-block")
    archs = [step_arch(FULL, options, step) for step in range(steps + 20)]
    blocks = np.array([[len(block.dense_ops) == 4 for block in arch.blocks] for arch in archs])
    inputs = np.array([len(arch.blocks[6].dense_inputs) == 7 for arch in archs])
    assert is_whole(archs[0], FULL)
    assert blocks[:steps].mean() == pytest.approx(0.5, abs=0.05)
    assert inputs[:steps].mean() == pytest.approx(0.5, abs=0.07)
    # All eight coins at once: the mean of p ** 8 is 1 / 9, and not 1 / 2.
    whole = [is_whole(arch, FULL) for arch in archs]
    assert sum(whole) / steps == pytest.approx(1 / 9, abs=0.05)
    assert not any(whole[steps:])
    assert not blocks[steps:].any()
    full = archs[steps // 2].blocks[int(blocks[steps // 2].argmax())]
    assert (full.dense_width, full.sparse_width, full.dsi, full.fm) == (1024, 64, True, True)
    assert full.dense_precision == FLOAT


def test_any_path_takes_the_place_of_the_full_path() -> None:
    options = TrainOptions(full_path_steps=200, path_warmup="any-path")
    several = [len(step_arch(FULL, options, step).blocks[0].dense_ops) > 1 for step in range(220)]
    assert sum(several[:200]) == pytest.approx(200 * 0.5 * 7 / 8, abs=25)
    assert not any(several[200:])


def test_bad_options_are_named() -> None:
    with pytest.raises(InputError, match="sampling is 'all': allowed are single-operator, single-path, any-path"):
        TrainOptions(sampling="all")
    with pytest.raises(InputError, match="path_warmup is 'none': allowed are full-path, per-block, any-path"):
        TrainOptions(path_warmup="none")
    data = TrainOptions(sampling="any-path").to_json()
    assert TrainOptions.from_json(data) == TrainOptions(sampling="any-path")
    with pytest.raises(InputError, match=r"sampling is 3: expected a word"):
        TrainOptions.from_json({**data, "sampling": 3})
