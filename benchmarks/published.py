"""A published architecture as a workload, and a space of chips for it."""

from __future__ import annotations

from pathlib import Path

from nasrec.arch_file import read_arch
from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from pimsim import Workload

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SPACE = EXAMPLES / "criteo_space.toml"
# Rows of Criteo's 26 tables, the one for unknown values included (nasrec's encoder on the Kaggle log).
_ROWS = (1461, 584, 10131227, 2202609, 306, 25, 12518, 634, 4, 93146, 5684, 8351593, 3195, 28, 14993, 5461307, 11, 5653,
         2174, 5, 7046548, 19, 16, 286182, 106, 142573)
CRITEO_FULL = read_arch(EXAMPLES / "published" / "criteo_full.json").arch


def criteo_full() -> Workload:
    """NASRec-Full on Criteo: 26 tables, 24 stored matrices, 6 products of activations, 45 element-wise steps."""
    features = Features(13, tuple(Table(f"c{i}", rows) for i, rows in enumerate(_ROWS)))
    return workload_of(CRITEO_FULL, features, "criteo_full")
