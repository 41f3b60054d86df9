"""Architectures as the official NASRec code (facebookresearch/NasRec) writes them in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrec.arch import DENSE_OPS, SPARSE_OPS, Arch, BlockChoice
from nasrec.errors import InputError

# The official node ids of each space, by our names of the operators.
NODES = {
    "autoctr": {"fc": 0, "dot": 1, "efc": 2},
    "xlarge": {"fc": 0, "dot": 1, "gating": 2, "sum": 3, "attention": 4, "efc": 5},
}
OFFICIAL_NAMES = {"small": "autoctr", "full": "xlarge", "autoctr": "autoctr", "xlarge": "xlarge"}
_SOURCES = ("dense_idx", "sparse_idx", "dense_left_idx", "dense_right_idx")


def arch_from_official(config: Mapping[str, Any], where: str = "config", *, space: str | None = None) -> Arch:
    """The architecture of an official JSON (`config` names the space, `micro` and `macro` list the blocks).

    `space` ("small" or "autoctr", "full" or "xlarge") stands in for a missing `config`. Raises InputError naming the
    block and field that is missing or cannot be used, and where `space` contradicts `config`.
    """
    names = {node: op for op, node in nodes_of(space_of(config, where, space), where).items()}
    micro, macro = (_list(_field(config, name, where), f"{where}.{name}") for name in ("micro", "macro"))
    if len(micro) != len(macro):
        raise InputError(f"{where}: {len(micro)} blocks in 'micro' but {len(macro)} in 'macro'")
    blocks = [
        _block(inner, outer, names, f"{where}.micro[{index}]", f"{where}.macro[{index}]")
        for index, (inner, outer) in enumerate(zip(micro, macro, strict=True))
    ]
    try:
        return Arch(tuple(blocks))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def official_from_arch(arch: Arch, space: str = "xlarge") -> dict[str, Any]:
    """The official JSON of `arch`; precision has no place there and is dropped.

    Raises InputError where `arch` uses an operator that `space` ("small" or "autoctr", "full" or "xlarge") lacks.
    """
    nodes = nodes_of(space, "space")
    micro, macro = [], []
    for index, block in enumerate(arch.blocks):
        ops = block.dense_ops + block.sparse_ops
        for op in ops:
            if op not in nodes:
                raise InputError(f"arch.blocks[{index}] uses {op!r}: space {space!r} has {', '.join(nodes)}")
        micro.append(
            {
                "active_nodes": sorted(nodes[op] for op in ops),
                "dense_in_dims": block.dense_width,
                "sparse_in_dims": block.sparse_width,
                "dense_sparse_interact": int(block.dsi),
                "deep_fm": int(block.fm),
            }
        )
        macro.append(
            {
                "dense_idx": list(block.dense_inputs),
                "sparse_idx": list(block.sparse_inputs),
                "dense_left_idx": [block.left],
                "dense_right_idx": [block.right],
            }
        )
    return {"micro": micro, "macro": macro, "num_blocks": len(arch.blocks), "config": OFFICIAL_NAMES[space]}


def space_of(config: Mapping[str, Any], where: str, space: str | None = None) -> str:
    """The official name of the space of an official JSON, or of `space` where the JSON does not say.

    Raises InputError where both say something and it is not the same.
    """
    own = space if space is not None and "config" not in config else _field(config, "config", where)
    nodes_of(own, where)
    if space is not None and OFFICIAL_NAMES.get(space) != OFFICIAL_NAMES[own]:
        raise InputError(f"{where}: field 'config' is {own!r}, which is not the space {space!r} asked for")
    return OFFICIAL_NAMES[own]


def nodes_of(space: Any, where: str) -> dict[str, int]:
    """The node ids of a space by our names of the operators; raises InputError naming `where` and what is allowed."""
    if not isinstance(space, str) or space not in OFFICIAL_NAMES:
        raise InputError(f"{where}: space is {space!r}: allowed are {', '.join(NODES)} (or small, full)")
    return NODES[OFFICIAL_NAMES[space]]


def _block(inner: Any, outer: Any, names: Mapping[int, str], micro: str, macro: str) -> BlockChoice:
    ops = []
    for node in _list(_field(inner, "active_nodes", micro), f"{micro}.active_nodes"):
        if not isinstance(node, int) or node not in names:
            raise InputError(f"{micro}.active_nodes holds {node!r}: allowed are {sorted(names)}")
        ops.append(names[node])
    sources = {}
    for name in _SOURCES:
        place = f"{macro}.{name}"
        sources[name] = tuple(sorted({_whole(item, place) for item in _list(_field(outer, name, macro), place)}))
    for name in _SOURCES[2:]:
        if len(sources[name]) != 1:
            raise InputError(f"{macro}.{name} is {list(sources[name])}: exactly one is allowed")
    width, rows, dsi, fm = (
        _whole(_field(inner, name, micro), f"{micro}.{name}")
        for name in ("dense_in_dims", "sparse_in_dims", "dense_sparse_interact", "deep_fm")
    )
    return BlockChoice(
        dense_ops=tuple(op for op in DENSE_OPS if op in ops),
        sparse_ops=tuple(op for op in SPARSE_OPS if op in ops),
        dense_inputs=sources["dense_idx"],
        sparse_inputs=sources["sparse_idx"],
        left=sources["dense_left_idx"][0],
        right=sources["dense_right_idx"][0],
        dense_width=width,
        sparse_width=rows,
        dsi=bool(dsi),
        fm=bool(fm),
    )


def _field(data: Any, name: str, where: str) -> Any:
    if not isinstance(data, Mapping) or name not in data:
        raise InputError(f"{where}: field {name!r} is missing")
    return data[name]


def _list(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where} is {value!r}: expected a list")
    return value


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int):
        raise InputError(f"{where} is {value!r}: expected a whole number")
    return int(value)
