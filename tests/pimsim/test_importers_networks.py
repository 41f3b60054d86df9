"""Whole networks: MACs as torch counts them and as worked by hand, and one workload through torch and through ONNX."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pimsim import Elementwise, Gather, MatVec, Workload, evaluate, presets
from pimsim.importers import workload_from_onnx, workload_from_torch
from pimsim.workload import Op

CONVOLUTION = 3 * 3


def vgg8() -> nn.Module:
    """Six convolutions and two layers, an eighth of the usual width, on 32 x 32 images."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in (16, 32, 64):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, 10))


VGG8_MACS = CONVOLUTION * (1024 * (3 * 16 + 16 * 16) + 256 * (16 * 32 + 32 * 32) + 64 * (32 * 64 + 64 * 64)) \
    + 1024 * 128 + 128 * 10


class Residual(nn.Module):
    """Two convolutions beside a short cut of 1 x 1, halving the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.short_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second_norm(self.second(torch.relu(self.first_norm(self.first(x)))))
        return torch.relu(y + self.short_norm(self.short(x)))


def resnet() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Residual(8, 16),
                         Residual(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


RESNET_MACS = 256 * 27 * 8 + 64 * (72 * 16 + 144 * 16 + 8 * 16) + 16 * (144 * 32 + 288 * 32 + 16 * 32) + 32 * 10


class MobileBlock(nn.Module):
    """Expand, one 3 x 3 filter per channel, squeeze and excite, project; beside the input itself."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(4, 12, 1)
        self.depth = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.squeeze, self.excite = nn.Linear(12, 3), nn.Linear(3, 12)
        self.project = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(self.depth(nn.functional.silu(self.expand(x))))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        return x + self.project(y * gate[:, :, None, None])


MOBILE_MACS = 64 * (4 * 12 + 12 * 9 + 12 * 4) + 2 * 12 * 3


class LanguageModel(nn.Module):
    """Words and places, two causal encoder layers, one distribution over the vocabulary per position."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(100, 16), nn.Embedding(12, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 100)
        for weights in self.parameters():  # else all layers start with the same ones, and are stored once
            nn.init.normal_(weights)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        x = self.words(ids) + self.places(torch.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        return torch.softmax(self.head(self.encoder(x, mask=mask, is_causal=True)), -1)


LANGUAGE_MACS = 2 * 12 * (16 * 48 + 16 * 16 + 2 * 16 * 32) + 2 * 2 * 4 * 12 * 12 * 4 + 12 * 16 * 100


class Dlrm(nn.Module):
    """Numbers through a bottom network, two tables and a multi-hot one, products of all pairs, a top network."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU())
        self.tables = nn.ModuleList(nn.Embedding(rows, 8) for rows in (1000, 50))
        self.tags = nn.Embedding(300, 8)
        self.top = nn.Sequential(nn.Linear(8 + 16, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, dense: Tensor, ids: Tensor, tags: Tensor) -> Tensor:
        x = self.bottom(dense)
        rows = [x, *(table(ids[:, i]) for i, table in enumerate(self.tables)), self.tags(tags).sum(1)]
        joined = torch.stack(rows, 1)
        pairs = torch.bmm(joined, joined.transpose(1, 2))
        return self.top(torch.cat([x, pairs.flatten(1)], 1))


DLRM_MACS = 13 * 32 + 32 * 8 + 4 * 4 * 8 + 24 * 16 + 16


@dataclass(frozen=True)
class Case:
    """A network, the tensors of one inference, and its multiply-accumulates."""

    network: nn.Module
    example: tuple[Tensor, ...]
    macs: int


def cases() -> Iterator[Any]:
    torch.manual_seed(0)
    integers = torch.ones(1, 12, dtype=torch.long)
    yield pytest.param(Case(vgg8(), (torch.rand(1, 3, 32, 32),), VGG8_MACS), id="vgg8")
    yield pytest.param(Case(resnet(), (torch.rand(1, 3, 16, 16),), RESNET_MACS), id="resnet")
    yield pytest.param(Case(MobileBlock(), (torch.rand(1, 4, 8, 8),), MOBILE_MACS), id="mobile")
    yield pytest.param(Case(LanguageModel(), (integers,), LANGUAGE_MACS), id="language")
    yield pytest.param(Case(Dlrm(), (torch.rand(1, 13), integers[:, :2], integers[:, :6]), DLRM_MACS), id="dlrm")


@pytest.mark.parametrize("case", list(cases()))
def test_macs(case: Case) -> None:
    """By hand and as torch counts, who counts no batch normalisation and no element-wise work either."""
    workload = workload_from_torch(case.network, *case.example)
    assert workload.macs == case.macs
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        case.network.train()(*case.example)  # in eval mode the fused path of attention runs, which is not counted
    assert workload.macs * 2 == counter.get_total_flops()
    assert evaluate(workload, presets.isaac().with_tiles(None)).energy_j > 0


def anonymous(workload: Workload) -> list[Op]:
    """The operators under their positions, since torch and its ONNX exporter name some of them differently."""
    position = {op.name: str(index) for index, op in enumerate(workload.ops)}
    return [replace(op, name=position[op.name], after=tuple(sorted(position[name] for name in op.after)))
            for op in workload.ops]


@pytest.mark.parametrize("case", list(cases()))
def test_torch_and_onnx_give_one_workload(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs it")
    logging.disable(logging.WARNING)
    try:
        torch.onnx.export(case.network.eval(), case.example, tmp_path / "model.onnx", dynamo=True, verbose=False)
    finally:
        logging.disable(logging.NOTSET)
    through_torch = workload_from_torch(case.network, *case.example)
    through_onnx = workload_from_onnx(tmp_path / "model.onnx")
    assert anonymous(through_onnx) == anonymous(through_torch)
    stored = [op.name for op in through_torch.ops if isinstance(op, MatVec | Gather) and "in_proj" not in op.name]
    assert set(stored) <= {op.name for op in through_onnx.ops}


def test_branches_do_not_wait_for_each_other() -> None:
    ops = {op.name: op for op in workload_from_torch(resnet(), torch.rand(1, 3, 16, 16)).ops}
    assert ops["3.short"].after == ops["3.first"].after == ("2.relu",)
    assert ops["3.add"].after == ("3.second", "3.short")
    assert not [op for op in ops.values() if isinstance(op, Elementwise) and op.kind == "rescale"], "no norm is left"
