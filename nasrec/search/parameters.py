"""A candidate as Optuna parameters and back: one categorical parameter per gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from nasrec.arch import PRECISION_FIELDS, Arch, BlockChoice, Candidate, ChipChoice, Precision
from nasrec.candidate_space import CandidateSpace
from nasrec.space import Space

_PLAIN = ("left", "right", "dense_width", "sparse_width", "dsi", "fm")  # genes kept as they are


def distributions_of(space: CandidateSpace) -> dict[str, BaseDistribution]:
    """One `CategoricalDistribution` per gene; a set of inputs is one integer, an index into `Space.input_sets`."""
    choices = {name: values for name, values in _choices(space).items() if len(values) > 1}
    return {name: CategoricalDistribution(values) for name, values in choices.items()}


def parameters_of(candidate: Candidate, space: CandidateSpace) -> dict[str, Any]:
    """The parameters of `candidate`, for the genes that have a choice in `space`."""
    values: dict[str, Any] = {f"chip.{field.name}": getattr(candidate.chip, field.name) for field in fields(ChipChoice)}
    values["head.precision"] = _precision_name(candidate.arch.head)
    for index, block in enumerate(candidate.arch.blocks):
        values |= {f"block{index}.{name}": value for name, value in _block_parameters(block, space.arch, index).items()}
    choices = _choices(space)
    return {name: value for name, value in values.items() if len(choices[name]) > 1}


def candidate_of(parameters: Mapping[str, Any], space: CandidateSpace) -> Candidate:
    """The candidate that `parameters` describe; genes without a choice take their only value."""
    genes = {name: parameters.get(name, values[0]) for name, values in _choices(space).items()}
    chip = ChipChoice(**{field.name: genes[f"chip.{field.name}"] for field in fields(ChipChoice)})
    blocks = tuple(
        _block_of(
            {name: genes[f"block{index}.{name}"] for name in _block_choices(space.arch, index)}, space.arch, index
        )
        for index in range(space.arch.blocks)
    )
    return Candidate(Arch(blocks, _precision_of(genes["head.precision"])), chip)


def _choices(space: CandidateSpace) -> dict[str, tuple[Any, ...]]:
    choices: dict[str, tuple[Any, ...]] = {"head.precision": _precision_names(space.arch)}
    for index in range(space.arch.blocks):
        for name, values in _block_choices(space.arch, index).items():
            choices[f"block{index}.{name}"] = values
    return choices | {f"chip.{field.name}": getattr(space.chip, field.name) for field in fields(ChipChoice)}


def _block_choices(space: Space, index: int) -> dict[str, tuple[Any, ...]]:
    inputs = tuple(range(len(space.input_sets(index))))
    pair = tuple(range(index + 1)) if space.pairs else (0,)
    return {
        "dense_op": space.dense_ops,
        "sparse_op": space.sparse_ops,
        "dense_inputs": inputs,
        "sparse_inputs": inputs,
        "left": pair,
        "right": pair,
        "dense_width": space.dense_widths,
        "sparse_width": space.sparse_widths,
        "dsi": (False, True),
        "fm": (False, True),
        **dict.fromkeys(PRECISION_FIELDS, _precision_names(space)),
    }


def _block_parameters(block: BlockChoice, space: Space, index: int) -> dict[str, Any]:
    sets = space.input_sets(index)
    return {
        "dense_op": block.dense_ops[0],
        "sparse_op": block.sparse_ops[0],
        "dense_inputs": sets.index(block.dense_inputs),
        "sparse_inputs": sets.index(block.sparse_inputs),
        **{name: getattr(block, name) for name in _PLAIN},
        **{name: _precision_name(getattr(block, name)) for name in PRECISION_FIELDS},
    }


def _block_of(genes: dict[str, Any], space: Space, index: int) -> BlockChoice:
    sets = space.input_sets(index)
    plain: dict[str, Any] = {name: genes[name] for name in _PLAIN}
    precisions: dict[str, Any] = {name: _precision_of(genes[name]) for name in PRECISION_FIELDS}
    return BlockChoice(
        dense_ops=(genes["dense_op"],),
        sparse_ops=(genes["sparse_op"],),
        dense_inputs=sets[genes["dense_inputs"]],
        sparse_inputs=sets[genes["sparse_inputs"]],
        **plain,
        **precisions,
    )


def _precision_names(space: Space) -> tuple[str, ...]:
    return tuple(_precision_name(Precision(w, i)) for w in space.weight_bits for i in space.input_bits)


def _precision_name(precision: Precision) -> str:
    return f"w{precision.weight_bits}i{precision.input_bits}"


def _precision_of(name: str) -> Precision:
    weight, inputs = name[1:].split("i")
    return Precision(int(weight), int(inputs))
