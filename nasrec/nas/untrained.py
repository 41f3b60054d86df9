"""Networks as their training begins: weights that depend on a seed, embeddings as a run's options want them."""

from __future__ import annotations

import torch

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.model.baselines import DLRM
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasOptions


def untrained_subnet(arch: Arch, features: Features, seed: int, embedding_std: float | None = None) -> Subnet:
    """`arch` standalone; its tables start Xavier normal, or as normal draws of deviation `embedding_std`."""
    generator = _generator(seed)
    subnet = Subnet(arch, features, generator=generator)
    if embedding_std is not None:
        subnet.embeddings.redraw(embedding_std, generator)
    return subnet


def untrained_supernet(features: Features, options: NasOptions) -> Supernet:
    """The supernet of a search; its weights depend on `options.seed`."""
    generator = _generator(options.seed)
    section = options.supernet
    supernet = Supernet(options.space.space(), features, layernorm=section.layernorm, generator=generator)
    if section.embedding_std is not None:
        supernet.embeddings.redraw(section.embedding_std, generator)
    return supernet


def untrained_dlrm(features: Features, options: NasOptions) -> DLRM:
    """The DLRM whose tables a supernet with `warm_start` begins with."""
    generator = _generator(options.seed)
    model = DLRM(features, generator=generator)
    if options.supernet.embedding_std is not None:
        model.embeddings.redraw(options.supernet.embedding_std, generator)
    return model


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
