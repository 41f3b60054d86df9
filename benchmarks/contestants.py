"""Who is compared on MovieLens-1M, hand-made or searched, and how each is trained: one loop, grid and stopping rule.

The loop is `nasrec.train.train_subnet`: batches in the order of the seed, log loss, warm-up and cosine, gradients
clipped, the epoch with the lowest validation log loss kept. An optimiser is either Adagrad as our models have it (eps
1e-2; row-sparse in ours, which is the same mathematics) or torch's Adam. Everybody may use either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ctr_peers import FUXICTR_MODELS, LIBRARIES, Peer
from nasrec.arch import Arch
from nasrec.arch_file import read_arch
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.files import read_json
from nasrec.interop import arch_from_official
from nasrec.model.baselines import BASELINES, Baseline
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.linear import calibrate
from nasrec.model.subnet import Subnet
from nasrec.nas.presets import FUXICTR_STD
from nasrec.nas.untrained import untrained_subnet

MODELS = tuple(FUXICTR_MODELS)
OPTIMIZERS = ("adagrad", "adam")
Build = Callable[[Features, int], nn.Module]
"""A model with the weights that a seed gives."""


class Contestant(nn.Module):
    """A network as the trainer wants it, moved by `optimizer`."""

    def __init__(self, network: nn.Module, optimizer: str) -> None:
        """Ours with Adagrad steps by itself; anything else through torch's dense optimisers."""
        super().__init__()
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: {optimizer!r}, allowed: {', '.join(OPTIMIZERS)}")
        self.network = network
        self.by_itself = optimizer == "adagrad" and not isinstance(network, Peer)
        self.embeddings = getattr(network, "embeddings", None)
        weights = list(network.parameters())
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(weights, lr=1.0) if optimizer == "adam" else torch.optim.Adagrad(weights, lr=1.0)
        )

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B]."""
        logits: Tensor = self.network(dense, ids, offsets)
        return logits

    def calibrate(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> None:
        """Store the range of every quantised layer's inputs on this batch, for evaluation; a peer has none."""
        if not isinstance(self.network, Peer):
            calibrate(self.network, dense, ids, offsets)

    def adagrad_step(self, *, lr: float, eps: float = 1e-2, clip_norm: float | None = 5.0) -> float:
        """A step after `backward`, by the trainer's name for it; the gradient norm before clipping."""
        if self.by_itself:
            return float(self.network.adagrad_step(lr=lr, eps=eps, clip_norm=clip_norm))
        if isinstance(self.embeddings, EmbeddingTables):  # they keep their gradient to themselves
            for table, grad in zip(self.embeddings.tables, self.embeddings.dense_grads(), strict=True):
                table.grad = grad
            self.embeddings.clear_pending()
        bound = math.inf if clip_norm is None else clip_norm
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), bound))
        if math.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = lr
                if isinstance(self.optimizer, torch.optim.Adagrad):
                    group["eps"] = eps
            self.optimizer.step()
        self.optimizer.zero_grad()
        return norm


def hand_made(name: str, library: str | None = None) -> tuple[str, Build] | str:
    """Whose `name` it is and how to build it: FuxiCTR's, or else the next library's that has it, or ours; or why not.

    `library` asks for one: fuxictr, deepctr-torch, torch-rechub, or nasrec.
    """
    reasons = []
    tiny = Features(0, (Table("a", 2), Table("b", 2)))
    for candidate, build in LIBRARIES.items():
        if library in (None, candidate):
            found = build(name, tiny, 0)
            if isinstance(found, Peer):
                return candidate, lambda features, seed, build=build: build(name, features, seed)
            reasons.append(found)
    if library in (None, "nasrec") and name in BASELINES:
        return "nasrec", lambda features, seed: BASELINES[name](features, generator=_generator(seed))
    return "; ".join(reasons) or f"{library} has no {name}"


def searched(path: Path) -> dict[str, Arch]:
    """Architectures by name, from JSON (one or a list of them, ours or official) or from a folder of such files."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    archs: dict[str, Arch] = {}
    for file in files:
        data = read_json(file)
        if isinstance(data, Mapping) and {"blocks", "micro"} & set(data):
            archs[file.stem] = read_arch(file).arch
            continue
        entries = data if isinstance(data, list) else [data]
        for number, entry in enumerate(entries):
            where = f"{file}[{number}]"
            if not isinstance(entry, Mapping):
                raise InputError(f"{where}: not an architecture but {json.dumps(entry)[:40]}")
            name = f"{file.stem}/{number}" if len(entries) > 1 else file.stem
            archs[name] = _arch(entry, where)
    if not archs:
        raise InputError(f"{path}: holds no architecture (*.json)")
    return archs


def build_searched(arch: Arch) -> Build:
    """How to build the network of an architecture; its tables start as FuxiCTR's do."""
    return lambda features, seed: untrained_subnet(arch, features, seed, FUXICTR_STD)


def macs(network: nn.Module, features: Features) -> int:
    """Multiply-accumulates of a row in matrix products, those between activations too; look-ups and sums are free.

    Counted as executed: a library that multiplies all pairs of rows twice is charged twice, and so is our dot product,
    whose kernel is counted as the product of matrices that stands for it in float64.
    """
    ours = isinstance(network, (Baseline, Subnet))
    ids, offsets = torch.zeros(len(features.tables), dtype=torch.int64), torch.arange(len(features.tables) + 1)
    dense = torch.zeros(1, features.dense, dtype=torch.float64 if ours else torch.float32)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        (network.double() if ours else network).eval()(dense, ids, offsets)
    return int(counter.get_total_flops()) // 2


def _arch(entry: Mapping[str, Any], where: str) -> Arch:
    for key in ("arch", "candidate"):  # as candidates and summaries wrap them
        if key in entry:
            return _arch(entry[key], where)
    return arch_from_official(entry, where) if "micro" in entry else Arch.from_json(entry, where)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
