"""The search spaces: what a block may choose, how one is drawn at random and how it mutates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeVar, get_args

import numpy as np

from nasrec.arch import (
    DENSE_OPS,
    NASREC_DENSE_OPS,
    NASREC_SPARSE_OPS,
    PRECISION_FIELDS,
    SPARSE_OPS,
    Arch,
    BlockChoice,
    Precision,
)
from nasrec.errors import InputError

DENSE_WIDTHS = (16, 32, 64, 128, 256, 512, 768, 1024)
SPARSE_WIDTHS = (16, 32, 48, 64)
MAX_INPUTS = 4  # sampling and mutation cap a set of inputs at four (NASRec)
Sampling = Literal["single-operator", "single-path", "any-path"]  # strategies of `Space.sample`
SAMPLING: tuple[Sampling, ...] = get_args(Sampling)

_T = TypeVar("_T")

_MACRO = ("dense_inputs", "sparse_inputs", "left", "right")
_MICRO = ("ops", "dense_width", "sparse_width", "dsi", "fm")


@dataclass(frozen=True)
class Space:
    """A NASRec search space: the operators, widths and bits that each of `blocks` blocks may take.

    Source: NASRec's official search spaces; `weight_bits` and `input_bits` of (32,) switch precision search off.
    `connections` is how the number of a block's inputs is drawn where sampling does not say one: "binomial",
    1 + Binomial(min(n - 1, 3), 0.5), by which NASRec trains its supernet, or "uniform", 1 to min(n, 4), by which its
    code draws the first population of a search and mutates.
    """

    name: str
    blocks: int = 7
    dense_ops: tuple[str, ...] = NASREC_DENSE_OPS
    sparse_ops: tuple[str, ...] = NASREC_SPARSE_OPS
    dense_widths: tuple[int, ...] = DENSE_WIDTHS
    sparse_widths: tuple[int, ...] = SPARSE_WIDTHS
    weight_bits: tuple[int, ...] = (32,)
    input_bits: tuple[int, ...] = (32,)
    connections: Literal["binomial", "uniform"] = "binomial"

    def sample(self, rng: np.random.Generator, strategy: str = "single-operator") -> Arch:
        """Draw an architecture; widths, switches, `left`, `right` and bits are always uniform.

        "single-operator" (any connection): one operator per branch, as many of the n inputs as `connections` says:
        what NASRec searches and trains its supernet with. "single-path": one operator and one input per branch.
        "any-path": 1 + Binomial(m - 1, 0.5) of a branch's m operators, inputs as for "single-operator". The last two
        are NASRec's ablations (section "path sampling" of the paper; `anypath_choice` "binomial-0.5" in its code).
        Raises InputError for another strategy.
        """
        if strategy not in SAMPLING:
            raise InputError(f"sampling strategy is {strategy!r}: allowed are {', '.join(SAMPLING)}")
        blocks = tuple(self._sample_block(rng, index, strategy) for index in range(self.blocks))
        return Arch(blocks, self._precision(rng))

    def mutate(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """Return `arch` with one field of one block drawn anew.

        A block, then macro (connections) or micro (operators, widths, switches) with equal chance, as NASRec does;
        with precision in the space, its bits are a third kind.
        """
        kinds = 3 if len(self.weight_bits) * len(self.input_bits) > 1 else 2
        kind = int(rng.integers(kinds))
        if kind == 2 and rng.integers(self.blocks + 1) == 0:
            return replace(arch, head=self._precision(rng))
        index = int(rng.integers(self.blocks))
        fresh = self._sample_block(rng, index)
        macro = _MACRO if self.pairs else _MACRO[:2]
        names = (macro, _MICRO, PRECISION_FIELDS)[kind]
        name = names[int(rng.integers(len(names)))]
        taken = ("dense_ops", "sparse_ops") if name == "ops" else (name,)
        block = replace(arch.blocks[index], **{field: getattr(fresh, field) for field in taken})
        return replace(arch, blocks=(*arch.blocks[:index], block, *arch.blocks[index + 1 :]))

    def input_sets(self, index: int) -> list[tuple[int, ...]]:
        """Every set of inputs that block `index` (from 0) may read, in a fixed order: an integer names one."""
        sources = range(index + 1)
        return [
            chosen for size in range(1, min(len(sources), MAX_INPUTS) + 1) for chosen in combinations(sources, size)
        ]

    @property
    def pairs(self) -> bool:
        """Whether any operator reads a `left` and a `right` input; without one they stay 0."""
        return "gating" in self.dense_ops or "sum" in self.dense_ops

    @property
    def count(self) -> int:
        """The number of genotypes, one operator per branch and at most four inputs a set: no float holds it exactly."""
        precision = len(self.weight_bits) * len(self.input_bits)
        total = precision
        for index in range(self.blocks):
            total *= len(self.dense_ops) * len(self.sparse_ops) * len(self.dense_widths) * len(self.sparse_widths) * 4
            total *= len(self.input_sets(index)) ** 2 * precision**4
            total *= (index + 1) ** 2 if self.pairs else 1
        return total

    @property
    def size(self) -> float:
        """The number of genotypes, rounded to a float."""
        return float(self.count)

    def check(self, arch: Arch) -> None:
        """Raise InputError naming the first field of `arch` that this space does not allow."""
        if len(arch.blocks) != self.blocks:
            raise InputError(f"arch has {len(arch.blocks)} blocks: space {self.name!r} has {self.blocks}")
        for index, block in enumerate(arch.blocks):
            for name, values, allowed in (
                ("dense_ops", block.dense_ops, self.dense_ops),
                ("sparse_ops", block.sparse_ops, self.sparse_ops),
                ("dense_width", (block.dense_width,), self.dense_widths),
                ("sparse_width", (block.sparse_width,), self.sparse_widths),
            ):
                for value in values:
                    if value not in allowed:
                        raise InputError(
                            f"arch.blocks[{index}].{name} is {value!r}: space {self.name!r} allows {list(allowed)}"
                        )

    def _sample_block(self, rng: np.random.Generator, index: int, strategy: str = "single-operator") -> BlockChoice:
        ops = _sample_ops if strategy == "any-path" else _sample_op
        inputs = _sample_input if strategy == "single-path" else _sample_inputs
        if self.connections == "uniform" and strategy != "single-path":
            inputs = _sample_inputs_uniform
        return BlockChoice(
            dense_ops=ops(rng, self.dense_ops),
            sparse_ops=ops(rng, self.sparse_ops),
            dense_inputs=inputs(rng, index + 1),
            sparse_inputs=inputs(rng, index + 1),
            left=int(rng.integers(index + 1)) if self.pairs else 0,
            right=int(rng.integers(index + 1)) if self.pairs else 0,
            dense_width=_choice(rng, self.dense_widths),
            sparse_width=_choice(rng, self.sparse_widths),
            dsi=bool(rng.integers(2)),
            fm=bool(rng.integers(2)),
            dense_precision=self._precision(rng),
            sparse_precision=self._precision(rng),
            dsi_precision=self._precision(rng),
            fm_precision=self._precision(rng),
        )

    def _precision(self, rng: np.random.Generator) -> Precision:
        return Precision(_choice(rng, self.weight_bits), _choice(rng, self.input_bits))


SMALL = Space("small", dense_ops=("fc", "dot"), sparse_ops=("efc",))
FULL = Space("full")
EXTENDED = Space("extended", dense_ops=DENSE_OPS, sparse_ops=SPARSE_OPS)
SPACES = {"small": SMALL, "full": FULL, "extended": EXTENDED, "autoctr": SMALL, "xlarge": FULL}
"""By name: NASRec's two, which the official code calls autoctr and xlarge, and NASRec's operators with ours."""


def dot_rows(dense_width: int) -> int:
    """Rows k = round(sqrt(2 d)) that the operator-balancing dot product keeps for an output of width d (NASRec)."""
    return round(math.sqrt(2 * dense_width))


def _choice(rng: np.random.Generator, values: Sequence[_T]) -> _T:
    return values[int(rng.integers(len(values)))]


def _sample_op(rng: np.random.Generator, ops: tuple[str, ...]) -> tuple[str, ...]:
    return (_choice(rng, ops),)


def _sample_ops(rng: np.random.Generator, ops: tuple[str, ...]) -> tuple[str, ...]:
    count = 1 + int(rng.binomial(len(ops) - 1, 0.5))
    return tuple(ops[place] for place in sorted(rng.choice(len(ops), size=count, replace=False)))


def _sample_input(rng: np.random.Generator, sources: int) -> tuple[int, ...]:
    return (int(rng.integers(sources)),)


def _sample_inputs(rng: np.random.Generator, sources: int) -> tuple[int, ...]:
    return _sources(rng, sources, 1 + int(rng.binomial(min(sources - 1, MAX_INPUTS - 1), 0.5)))


def _sample_inputs_uniform(rng: np.random.Generator, sources: int) -> tuple[int, ...]:
    return _sources(rng, sources, 1 + int(rng.integers(min(sources, MAX_INPUTS))))


def _sources(rng: np.random.Generator, sources: int, count: int) -> tuple[int, ...]:
    return tuple(sorted(int(source) for source in rng.choice(sources, size=count, replace=False)))
