"""Workloads from torch modules, against layers counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pimsim import Elementwise, Gather, InputError, MatVec
from pimsim.importers import workload_from_torch


class Recommender(nn.Module):
    """Two tables, a bottom and a top layer."""

    def __init__(self) -> None:
        super().__init__()
        self.single = nn.Embedding(50, 8)
        self.bag = nn.EmbeddingBag(90, 8, mode="sum")
        self.bottom = nn.Linear(13, 8)
        self.top = nn.Linear(24, 1)

    def forward(self, dense: Tensor, ids: Tensor, bag: Tensor) -> Tensor:
        x = torch.relu(self.bottom(dense))
        joined = torch.cat([x, self.single(ids), self.bag(bag)], dim=1)
        return torch.sigmoid(self.top(joined))


def test_a_recommender() -> None:
    example = (torch.zeros(1, 13), torch.zeros(1, dtype=torch.long), torch.zeros(1, 5, dtype=torch.long))
    workload = workload_from_torch(Recommender(), *example, name="small", weight_bits=4)
    ops = {op.name: op for op in workload.ops}
    assert ops["bottom"] == MatVec("bottom", 13, 8, 1, 4)
    assert ops["single"] == Gather("single", 50, 8, 1, 1, 4)
    assert ops["bag"] == Gather("bag", 90, 8, 1, 5, 4)
    assert ops["relu"] == Elementwise("relu", "relu", 8, after=("bottom",))
    assert ops["top"] == MatVec("top", 24, 1, 1, 4, after=("relu", "single", "bag"))
    assert ops["sigmoid"].after == ("top",)


def test_a_convolution_is_one_vector_per_position() -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 10))
    workload = workload_from_torch(network, torch.zeros(1, 3, 8, 8))
    assert workload.ops[0] == MatVec("0", 27, 16, 64)
    assert [op.op for op in workload.ops] == ["matvec", "elementwise", "matvec"]
    assert workload.macs == 27 * 16 * 64 + 1024 * 10


class Product(nn.Module):
    """Uses an operation without a known cost."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, x.transpose(0, 1))


class Branch(nn.Module):
    """Cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(("module", "message"), [
    (nn.Sequential(nn.GRU(4, 4)), "0: no cost is known for module GRU, allowed: Linear"),
    (nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), "0: Conv2d with groups=2, allowed: groups=1"),
    (Product(), "matmul: no cost is known for operation matmul, allowed: relu"),
    (Branch(), "torch: torch cannot trace this module"),
])
def test_unknown_operators_are_named_and_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(InputError) as caught:
        workload_from_torch(module, torch.zeros(4, 4) if not isinstance(module, nn.Sequential) else _example(module))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _example(module: nn.Sequential) -> Tensor:
    return torch.zeros(1, 4) if isinstance(module[0], nn.GRU) else torch.zeros(1, 4, 2, 2)
