"""Networks as their training begins: weights that depend on a seed, embeddings as a run's options want them."""

from __future__ import annotations

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.model.baselines import DLRM
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.model.untrained import untrained
from nasrec.nas.options import NasOptions


def untrained_subnet(arch: Arch, features: Features, seed: int, embedding_std: float | None = None) -> Subnet:
    """`arch` standalone; its tables start Xavier normal, or as normal draws of deviation `embedding_std`."""
    return untrained(lambda generator: Subnet(arch, features, generator=generator), seed, embedding_std)


def untrained_supernet(features: Features, options: NasOptions) -> Supernet:
    """The supernet of a search; its weights depend on `options.seed`."""
    space, section = options.space.space(), options.supernet
    return untrained(
        lambda generator: Supernet(space, features, layernorm=section.layernorm, generator=generator),
        options.seed,
        section.embedding_std,
    )


def untrained_dlrm(features: Features, options: NasOptions) -> DLRM:
    """The DLRM whose tables a supernet with `warm_start` begins with."""
    return untrained(
        lambda generator: DLRM(features, generator=generator), options.seed, options.supernet.embedding_std
    )
