"""A training step of the supernet: slices as leaf views, beside autograd through the whole shared parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.data.features import Features, Table
from nasrec.model.supernet import Supernet
from nasrec.model.weights import Weights
from nasrec.space import FULL, SMALL

BATCH = 512
FEATURES = Features(13, tuple(Table(f"c{index}", 10_000) for index in range(26)))


def whole_parameter(
    layer: Weights, name: str, rows: int | None = None, columns: Sequence[slice] | None = None
) -> Tensor:
    """The textbook way: index the big parameter, whose gradient is then as large as itself."""
    parameter = layer.get_parameter(name).requires_grad_()
    cuts = [parameter[:rows]] if columns is None else [parameter[:rows, cut] for cut in columns]
    return cuts[0] if len(cuts) == 1 else torch.cat(cuts, dim=1)


@pytest.mark.parametrize("how", ["leaf_views", "whole_parameters"])
@pytest.mark.parametrize("space", [SMALL, FULL], ids=lambda space: space.name)
def test_supernet_step(space, how, benchmark, monkeypatch) -> None:
    supernet = Supernet(space, FEATURES, generator=torch.Generator().manual_seed(0))
    if how == "whole_parameters":
        monkeypatch.setattr(Weights, "take", whole_parameter)
    generator = torch.Generator().manual_seed(1)
    dense, labels = torch.rand(BATCH, 13, generator=generator), torch.rand(BATCH, generator=generator).round()
    ids = torch.randint(0, 10_000, (BATCH, 26), generator=generator)
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(8)]

    shared = [parameter for name, parameter in supernet.named_parameters() if not name.startswith("embeddings.")]
    optimizer = torch.optim.Adagrad(shared, lr=0.01, eps=1e-2)

    def step() -> None:
        for arch in archs:
            binary_cross_entropy_with_logits(supernet(arch, dense, ids), labels).backward()
            if how == "leaf_views":
                supernet.adagrad_step(lr=0.01)
            else:
                scale = min(1.0, 5.0 / float(torch.nn.utils.clip_grad_norm_(shared, 5.0)))
                optimizer.step()
                optimizer.zero_grad()
                supernet.embeddings.adagrad_step(0.01, 1e-2, scale)

    benchmark.extra_info.update(rows_per_round=BATCH * len(archs))
    benchmark.pedantic(step, rounds=3, warmup_rounds=1)


def test_extract(benchmark) -> None:
    supernet = Supernet(FULL, FEATURES, generator=torch.Generator().manual_seed(0))
    arch = FULL.sample(np.random.default_rng(0))
    benchmark.pedantic(lambda: supernet.extract(arch), rounds=10, warmup_rounds=1)
