"""How the layers of a model are made: shared or exact, with or without LayerNorm, from which random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nasrec.arch import FLOAT, Precision
from nasrec.model.linear import QuantLinear
from nasrec.model.norm import Norm


@dataclass(frozen=True)
class Build:
    """Makes layers. `shared`: a supernet's, cut at every forward pass. `blank`: weights unset, to be copied over.

    With `layernorm` a linear layer that is followed by one has no bias of its own (NASRec).
    """

    layernorm: bool
    shared: bool = False
    generator: torch.Generator | None = None
    blank: bool = False

    def linear(self, inputs: int, outputs: int, *, bias: bool, precision: Precision = FLOAT) -> QuantLinear:
        """A linear layer with `inputs` columns and `outputs` rows."""
        return QuantLinear(
            inputs,
            outputs,
            bias=bias,
            precision=precision,
            shared=self.shared,
            generator=self.generator,
            blank=self.blank,
        )

    def norm(self, width: int) -> Norm | None:
        """A LayerNorm over `width`, or None where the model has none."""
        return Norm(width, shared=self.shared) if self.layernorm else None

    def attention_norm(self, width: int, initial: float) -> Norm:
        """One of attention's own LayerNorms, which are there in every model."""
        return Norm(width, initial=initial, shared=self.shared)
