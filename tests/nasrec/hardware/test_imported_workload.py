"""The matrices that an importer finds in a subnet are those that the seam gives for its architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from nasrec.model.subnet import Subnet
from nasrec.space import FULL
from pimsim import MatVec, Workload
from pimsim.importers import workload_from_torch

FEATURES = Features(dense=13, tables=tuple(Table(f"C{i}", rows=100) for i in range(6)))


def matrices(workload: Workload) -> dict[str, tuple[int, int, int]]:
    return {op.name: (op.inputs, op.outputs, op.vectors) for op in workload.ops if isinstance(op, MatVec)}


@pytest.mark.parametrize("seed", range(3))
def test_matrices(seed: int) -> None:
    arch = FULL.sample(np.random.default_rng(seed))
    inputs = torch.zeros(1, 13), torch.zeros(1, 6, dtype=torch.long)
    imported = workload_from_torch(Subnet(arch, FEATURES), *inputs, unknown="vector_unit")
    assert matrices(imported) == matrices(workload_of(arch, FEATURES))
