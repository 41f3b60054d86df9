"""Between our weights and those of the official NASRec code (facebookresearch/NasRec): see docs/official.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM, Arch
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.model.optimizer import active_slices
from nasrec.model.subnet import Subnet
from nasrec.official import NODES, arch_from_official, nodes_of, official_from_arch, space_of

__all__ = [
    "NODES",
    "OfficialSubnet",
    "arch_from_official",
    "official_from_arch",
    "official_name",
    "official_state_dict",
    "subnet_from_official",
]

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


def subnet_from_official(
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    *,
    layernorm: bool = False,
    dtype: torch.dtype = torch.float32,
    fm_into_dsi: bool = False,
) -> OfficialSubnet:
    """The official standalone model with the weights in `state_dict` (official names), computing in `dtype`.

    Weights of dead operators are ignored, and need not be there. `layernorm` builds the LayerNorms that the official
    final training leaves out; `fm_into_dsi` reproduces the official in-place addition of FM (`Block`). The raw inputs'
    sizes follow from the weights. Raises InputError naming a weight that is missing or misshapen.
    """
    arch = arch_from_official(config)
    nodes = nodes_of(space_of(config, "config"), "config")
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


def official_state_dict(subnet: Subnet | OfficialSubnet, space: str = "xlarge") -> dict[str, Tensor]:
    """Copies of the weights of `subnet` under the names of the official standalone model, tables included.

    Dead operators, which a subnet does not have, are not there: load it with `strict=False`. Raises InputError where
    `space` ("small" or "autoctr", "full" or "xlarge") lacks an operator.
    """
    model = subnet.subnet if isinstance(subnet, OfficialSubnet) else subnet
    official_from_arch(model.arch, space)
    nodes = nodes_of(space, "space")
    weights = {f"_embedding.{index}.weight": table for index, table in enumerate(model.embeddings.tables)}
    weights |= {official_name(active.name, nodes): active.weight for active in active_slices(model)}
    return {name: weight.detach().clone() for name, weight in weights.items()}


def _raw_width(arch: Arch, state_dict: Mapping[str, Tensor], nodes: Mapping[str, int]) -> int:
    """Dense raw inputs: the columns of a weight that reads them, without those of the blocks that it reads besides."""
    widths = [0, *(block.dense_width for block in arch.blocks)]
    layers = {"fc": "fc.linear", "dot": "dot.dense_projection", "gating": "gating.left", "sum": "sum.output"}
    for index, block in enumerate(arch.blocks):
        for op in block.dense_ops:
            name = official_name(f"blocks.{index}.{layers[op]}.weight", nodes)
            sources = {block.left, block.right} if op in ("gating", "sum") else set(block.dense_inputs)
            if 0 not in sources or name not in state_dict:
                continue
            columns, known = state_dict[name].shape[1], sum(widths[source] for source in sources)
            if op in ("fc", "dot"):
                return columns - known
            if columns > known:  # the narrower of left and right is padded, and leaves no trace
                return columns
    # Without such a weight the width is the one that makes the projection unnecessary.
    return EMBEDDING_DIM if "dot" in arch.blocks[0].dense_ops else arch.blocks[0].dense_width


def _weight(state_dict: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state_dict:
        raise InputError(f"weight {name!r} is missing from the official state")
    return state_dict[name]
