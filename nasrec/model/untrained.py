"""A model as its training begins: weights that depend on a seed, embeddings near 0 where that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from nasrec.model.embedding import EmbeddingTables


class WithTables(Protocol):
    """A model that has embedding tables."""

    embeddings: EmbeddingTables


Model = TypeVar("Model", bound=WithTables)


def untrained(build: Callable[[torch.Generator], Model], seed: int, embedding_std: float | None) -> Model:
    """What `build` makes of a generator with `seed`; tables start as it made them, or as normal draws of deviation
    `embedding_std`."""
    generator = torch.Generator().manual_seed(seed)
    model = build(generator)
    if embedding_std is not None:
        model.embeddings.redraw(embedding_std, generator)
    return model
