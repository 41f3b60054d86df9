"""Which network a step of the supernet's training takes: path sampling and the path warm-up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nasrec.arch import FLOAT, PRECISION_FIELDS, Arch, BlockChoice
from nasrec.space import Space
from nasrec.train_options import TrainOptions


def step_arch(space: Space, options: TrainOptions, step: int) -> Arch:
    """The architecture that supernet step `step` (from 0) trains: a function of seed and step only.

    After the warm-up, `options.sampling` draws it. In the warm-up, the probability p of the following falls linearly
    from 1 at step 0 to 0 at step `full_path_steps`; else the step is like those after it. By `options.path_warmup`:

    - "full-path": with probability p the whole supernet (NASRec's path warm-up). Its arithmetic can't be sliced:
      nearly all of the time of such a training goes into these steps.
    - "per-block": the connections of all blocks are full with probability p, and so are, drawn apart for each block,
      its operators, widths and mergers. This is what NASRec's code does, where connections and every block have a coin
      of their own; as many blocks are full, but the whole network seldom is.
    - "any-path": with probability p a draw of the strategy "any-path": several operators a branch, at widths and
      connections drawn as usual.
    """
    rng = np.random.default_rng([options.seed, step])
    if step >= options.full_path_steps:
        return space.sample(rng, options.sampling)
    threshold = step / options.full_path_steps
    if options.path_warmup == "per-block":
        return _partly_full(space, options.sampling, threshold, rng)
    if rng.random() < threshold:
        return space.sample(rng, options.sampling)
    return space.sample(rng, "any-path") if options.path_warmup == "any-path" else full_path(space, rng)


def full_path(space: Space, rng: np.random.Generator | None = None) -> Arch:
    """The architecture that uses everything: all operators, all inputs, the largest widths, both mergers.

    Gating and sum read one `left` and one `right` source each, drawn with `rng`, or the block before without it: here
    a source has columns of its own in their weights, so that steps of the warm-up share them out. (The official
    supernet lays all sources side by side on both sides, which gives gating its matrix of (in-width) squared.)
    """
    return Arch(tuple(_full_block(space, index, rng) for index in range(space.blocks)))


def _full_block(space: Space, index: int, rng: np.random.Generator | None = None) -> BlockChoice:
    everything = tuple(range(index + 1))
    return BlockChoice(
        dense_ops=space.dense_ops,
        sparse_ops=space.sparse_ops,
        dense_inputs=everything,
        sparse_inputs=everything,
        left=index if rng is None else int(rng.integers(index + 1)),
        right=index if rng is None else int(rng.integers(index + 1)),
        dense_width=max(space.dense_widths),
        sparse_width=max(space.sparse_widths),
        dsi=True,
        fm=True,
    )


def _partly_full(space: Space, strategy: str, threshold: float, rng: np.random.Generator) -> Arch:
    """A draw of `strategy` in which connections, and each block for itself, are full where a coin says so."""
    full_inputs, *full_blocks = (float(coin) >= threshold for coin in rng.random(1 + space.blocks))
    drawn = space.sample(rng, strategy)
    blocks = []
    for index, (block, full) in enumerate(zip(drawn.blocks, full_blocks, strict=True)):
        taken: dict[str, Any] = {"dense_inputs": tuple(range(index + 1))} if full_inputs else {}
        taken |= {"sparse_inputs": tuple(range(index + 1))} if full_inputs else {}
        if full:
            whole = _full_block(space, index)
            names = ("dense_ops", "sparse_ops", "dense_width", "sparse_width", "dsi", "fm")
            taken |= {name: getattr(whole, name) for name in names} | dict.fromkeys(PRECISION_FIELDS, FLOAT)
        blocks.append(replace(block, **taken))
    return Arch(tuple(blocks), drawn.head)
