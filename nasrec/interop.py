"""Between our architectures and weights and those of the official NASRec code (facebookresearch/NasRec)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.arch import Arch, BlockChoice
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.model.optimizer import active_slices
from nasrec.model.subnet import Subnet

# The official node ids of each space, by our names of the operators.
NODES = {
    "autoctr": {"fc": 0, "dot": 1, "efc": 2},
    "xlarge": {"fc": 0, "dot": 1, "gating": 2, "sum": 3, "attention": 4, "efc": 5},
}
_SPARSE = ("efc", "attention")

# Our layer -> the official one, inside `_blocks.<i>.`; {node} is the operator's id.
_LAYERS = {
    "fc.linear": "_nodes.{node}._linear",
    "fc.norm": "_nodes.{node}._layernorm",
    "dot.dense_projection": "_nodes.{node}._dense_proj",
    "dot.dense_norm": "_nodes.{node}._dense_layernorm",
    "dot.sparse_projection": "_nodes.{node}._sparse_inp_proj",
    "dot.sparse_norm": "_nodes.{node}._sparse_inp_proj_layernorm",
    "dot.output": "_nodes.{node}._linear_proj",
    "dot.output_norm": "_nodes.{node}._linear_layernorm",
    "gating.left": "_nodes.{node}._left_self_linear._linear",
    "gating.output": "_nodes.{node}._linear_proj",
    "gating.norm": "_nodes.{node}._layernorm",
    "sum.output": "_nodes.{node}._linear_proj",
    "sum.norm": "_nodes.{node}._layernorm",
    "efc.linear": "_nodes.{node}._linear",
    "efc.norm": "_nodes.{node}._layernorm",
    "attention.projection": "_nodes.{node}._linear_proj",
    "attention.projection_norm": "_nodes.{node}._proj_ln",
    "attention.attended": "_nodes.{node}._mha.out_proj",
    "attention.attended_norm": "_nodes.{node}._attn_ln",
    "attention.fc1": "_nodes.{node}.attn_fc1",
    "attention.fc2": "_nodes.{node}.attn_fc2",
    "attention.fc_norm": "_nodes.{node}._attn_fc_ln",
    "dsi.linear": "project_emb_dim",
    "dsi.norm": "project_emb_dim_layernorm",
    "fm.linear": "deep_fm._linear_proj",
    "fm.norm": "deep_fm._linear_layernorm",
}


class OfficialSubnet(nn.Module):
    """A subnet with the official calling convention: (dense [B, nd], ids [B, tables]) -> logits [B, 1]."""

    def __init__(self, subnet: Subnet) -> None:
        """Wrap `subnet`."""
        super().__init__()
        self.subnet = subnet

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits [B, 1]."""
        logits: Tensor = self.subnet(dense, ids)
        return logits.unsqueeze(1)


def arch_from_official(config: Mapping[str, Any], where: str = "config") -> Arch:
    """The architecture of an official JSON (`config` names the space, `micro` and `macro` list the blocks).

    Raises InputError naming the block and field that is missing or cannot be used.
    """
    names = {node: op for op, node in _nodes(_field(config, "config", where), where).items()}
    micro, macro = _field(config, "micro", where), _field(config, "macro", where)
    if len(micro) != len(macro):
        raise InputError(f"{where}: {len(micro)} blocks in 'micro' but {len(macro)} in 'macro'")
    blocks = []
    for index, (inner, outer) in enumerate(zip(micro, macro, strict=True)):
        place = f"{where}.micro[{index}]"
        ops = []
        for node in _field(inner, "active_nodes", place):
            if node not in names:
                raise InputError(f"{place}.active_nodes holds {node!r}: allowed are {sorted(names)}")
            ops.append(names[node])
        sources = {
            name: tuple(sorted(set(_field(outer, name, f"{where}.macro[{index}]"))))
            for name in ("dense_idx", "sparse_idx", "dense_left_idx", "dense_right_idx")
        }
        for name in ("dense_left_idx", "dense_right_idx"):
            if len(sources[name]) != 1:
                raise InputError(f"{where}.macro[{index}].{name} is {list(sources[name])}: exactly one is allowed")
        blocks.append(
            BlockChoice(
                dense_ops=tuple(op for op in ops if op not in _SPARSE),
                sparse_ops=tuple(op for op in ops if op in _SPARSE),
                dense_inputs=sources["dense_idx"],
                sparse_inputs=sources["sparse_idx"],
                left=sources["dense_left_idx"][0],
                right=sources["dense_right_idx"][0],
                dense_width=int(_field(inner, "dense_in_dims", place)),
                sparse_width=int(_field(inner, "sparse_in_dims", place)),
                dsi=bool(_field(inner, "dense_sparse_interact", place)),
                fm=bool(_field(inner, "deep_fm", place)),
            )
        )
    return Arch(tuple(blocks))


def official_from_arch(arch: Arch, space: str = "xlarge") -> dict[str, Any]:
    """The official JSON of `arch`; precision has no place there and is dropped.

    Raises InputError where `arch` uses an operator that `space` ("autoctr" or "xlarge") does not have.
    """
    nodes = _nodes(space, "space")
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
    return {"micro": micro, "macro": macro, "num_blocks": len(arch.blocks), "config": space}


def subnet_from_official(
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    *,
    layernorm: bool = False,
    dtype: torch.dtype = torch.float32,
    fm_into_dsi: bool = False,
) -> OfficialSubnet:
    """The official standalone model with the weights in `state_dict` (official names), computing in `dtype`.

    Weights of dead operators are ignored. `fm_into_dsi` reproduces the official in-place addition of FM (`Block`).
    The raw inputs' sizes follow from the weights. Raises InputError naming a weight that is missing or misshapen.
    """
    arch = arch_from_official(config)
    nodes = _nodes(config["config"], "config")
    tables = sum(name.startswith("_embedding.") for name in state_dict)
    rows = [len(_weight(state_dict, f"_embedding.{index}.weight")) for index in range(tables)]
    features = Features(
        _raw_width(arch, state_dict, nodes), tuple(Table(f"c{index}", count) for index, count in enumerate(rows))
    )
    subnet = Subnet(arch, features, layernorm=layernorm, blank=True, fm_into_dsi=fm_into_dsi).to(dtype)
    with torch.no_grad():
        for index, table in enumerate(subnet.embeddings.tables):
            table.copy_(_weight(state_dict, f"_embedding.{index}.weight"))
        for active in active_slices(subnet):
            name = official_name(active.name, nodes)
            value = _weight(state_dict, name)
            if value.shape != active.weight.shape:
                raise InputError(f"{name} has shape {list(value.shape)}: {list(active.weight.shape)} is needed")
            active.weight.copy_(value)
    return OfficialSubnet(subnet)


def official_name(name: str, nodes: Mapping[str, int]) -> str:
    """The official name of the parameter that a subnet calls `name`, in a space with these node ids."""
    if name.startswith("head."):
        return f"_final.{name.removeprefix('head.')}"
    _, block, op, layer, parameter = name.split(".")
    if (op, layer) == ("attention", "qkv"):
        return f"_blocks.{block}._nodes.{nodes[op]}._mha.in_proj_{parameter}"
    return f"_blocks.{block}.{_LAYERS[f'{op}.{layer}'].format(node=nodes.get(op))}.{parameter}"


def _raw_width(arch: Arch, state_dict: Mapping[str, Tensor], nodes: Mapping[str, int]) -> int:
    """Dense raw inputs, from the first block, which can read nothing else."""
    first = {"fc": "fc.linear", "dot": "dot.dense_projection", "gating": "gating.left", "sum": "sum.output"}
    for op in arch.blocks[0].dense_ops:
        name = official_name(f"blocks.0.{first[op]}.weight", nodes)
        if name in state_dict:
            return state_dict[name].shape[1]
    # Without such a weight the width is the one that makes the projection unnecessary.
    return 16 if "dot" in arch.blocks[0].dense_ops else arch.blocks[0].dense_width


def _nodes(space: Any, where: str) -> dict[str, int]:
    if space not in NODES:
        raise InputError(f"{where}: space is {space!r}: allowed are {', '.join(NODES)}")
    return NODES[space]


def _field(data: Mapping[str, Any], name: str, where: str) -> Any:
    if not isinstance(data, Mapping) or name not in data:
        raise InputError(f"{where}: field {name!r} is missing")
    return data[name]


def _weight(state_dict: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state_dict:
        raise InputError(f"weight {name!r} is missing from the official state")
    return state_dict[name]
