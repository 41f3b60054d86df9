"""Layer normalisation over the sliced width, so that supernet and subnet are the same function."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nasrec.model.weights import Weights

EPS = 1e-5  # NASRec


class Norm(Weights):
    """LayerNorm (Ba et al. 2016) over the last dimension, with the first weights and biases of that many."""

    def __init__(self, width: int, *, initial: float = 1.0, shared: bool = False) -> None:
        """Weights start at `initial`, biases at zero."""
        super().__init__(shared=shared)
        self.own("weight", torch.full((width,), initial))
        self.own("bias", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [..., width]; same shape."""
        width = x.shape[-1]
        return functional.layer_norm(x, (width,), self.take("weight", width), self.take("bias", width), EPS)
