"""Networks as their training begins: weights that depend on a seed, embeddings as a run's options want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.model.baselines import DLRM
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasOptions

_Model = TypeVar("_Model", Subnet, Supernet, DLRM)


def untrained_subnet(arch: Arch, features: Features, seed: int, embedding_std: float | None = None) -> Subnet:
    """`arch` standalone; its tables start Xavier normal, or as normal draws of deviation `embedding_std`."""
    return _untrained(lambda generator: Subnet(arch, features, generator=generator), seed, embedding_std)


def untrained_supernet(features: Features, options: NasOptions) -> Supernet:
    """The supernet of a search; its weights depend on `options.seed`."""
    space, section = options.space.space(), options.supernet
    return _untrained(
        lambda generator: Supernet(space, features, layernorm=section.layernorm, generator=generator),
        options.seed,
        section.embedding_std,
    )


def untrained_dlrm(features: Features, options: NasOptions) -> DLRM:
    """The DLRM whose tables a supernet with `warm_start` begins with."""
    return _untrained(
        lambda generator: DLRM(features, generator=generator), options.seed, options.supernet.embedding_std
    )


def _untrained(build: Callable[[torch.Generator], _Model], seed: int, embedding_std: float | None) -> _Model:
    generator = torch.Generator().manual_seed(seed)
    model = build(generator)
    if embedding_std is not None:
        model.embeddings.redraw(embedding_std, generator)
    return model
