"""A published architecture as a workload, and a space of chips for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from nasrec.interop import arch_from_official
from pimsim import Workload

SPACE = Path(__file__).resolve().parents[1] / "examples" / "criteo_space.toml"
# Rows of Criteo's 26 tables, the one for unknown values included (nasrec's encoder on the Kaggle log).
_ROWS = (1461, 584, 10131227, 2202609, 306, 25, 12518, 634, 4, 93146, 5684, 8351593, 3195, 28, 14993, 5461307, 11, 5653,
         2174, 5, 7046548, 19, 16, 286182, 106, 142573)
# The NASRec authors' best architecture on Criteo in their full space: per block the operators (indices in theirs),
# dense and sparse width, whether dense joins sparse, whether FM joins dense; then what each block reads.
_BLOCKS = (([2, 4], 128, 64, 1, 0), ([1, 5], 32, 64, 0, 0), ([1, 5], 768, 32, 0, 1), ([2, 5], 768, 48, 1, 0),
           ([0, 5], 16, 16, 0, 1), ([0, 4], 768, 16, 1, 0), ([0, 4], 128, 48, 0, 1))
_READS = (([0], [0], [0], [0]), ([0], [0], [0], [1]), ([1, 2], [2, 1, 0], [1], [2]), ([0, 3], [0, 2, 1, 3], [2], [0]),
          ([4, 0, 3, 2], [2, 3, 0, 1], [3], [1]), ([4, 0, 5, 3], [4, 1], [2], [3]), ([0, 3, 2], [3, 1], [6], [1]))


def criteo_full() -> Workload:
    """NASRec-Full on Criteo: 26 tables, 24 stored matrices, 6 products of activations, 45 element-wise steps."""
    micro = ("active_nodes", "dense_in_dims", "sparse_in_dims", "dense_sparse_interact", "deep_fm")
    macro = ("dense_idx", "sparse_idx", "dense_left_idx", "dense_right_idx")
    config: dict[str, Any] = {
        "micro": [dict(zip(micro, block, strict=True)) for block in _BLOCKS],
        "macro": [dict(zip(macro, reads, strict=True)) for reads in _READS],
        "num_blocks": len(_BLOCKS), "use_layernorm": 1, "config": "xlarge"}
    features = Features(13, tuple(Table(f"c{i}", rows) for i, rows in enumerate(_ROWS)))
    return workload_of(arch_from_official(config), features, "criteo_full")
