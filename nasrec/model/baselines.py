"""Hand-made models that a searched one has to beat: logistic regression, DLRM and DeepFM, on the same layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM, FLOAT, Precision
from nasrec.data.features import Features
from nasrec.model.arithmetic import Arithmetic
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.interaction import dot_interaction, fm_interaction
from nasrec.model.linear import QuantLinear, calibrate, compute_as
from nasrec.model.optimizer import adagrad_step

BOTTOM = (64,)
TOP = (256, 128, 64)  # the widths of a mid-sized searched net


class LayerShape(NamedTuple):
    """A layer with stored weights, for costing: `vectors` is how often an inference uses them, `relu` what follows."""

    name: str
    inputs: int
    outputs: int
    vectors: int
    relu: bool


class Baseline(nn.Module):
    """What the trainer and the scorer ask of a model; subclasses add layers and `forward`.

    Every linear layer has the given `precision`. `interaction` names how rows of embeddings meet ("dot", "fm" or
    none) and `interaction_rows` how many do, for costing.
    """

    interaction = "none"
    interaction_rows = 0

    def __init__(self, features: Features, dim: int, precision: Precision, generator: torch.Generator | None) -> None:
        """Make the embedding tables: one row of `dim` numbers per value."""
        super().__init__()
        self.features = features
        self.precision = precision
        self.embeddings = EmbeddingTables([table.rows for table in features.tables], dim, generator=generator)
        self._generator = generator

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B] of dense [B, nd] and ids [B, tables], or of flat ids with `offsets` [tables * B + 1]."""
        raise NotImplementedError

    def adagrad_step(self, *, lr: float, eps: float = 1e-2, clip_norm: float | None = 5.0) -> float:
        """One Adagrad step after `backward`; the gradient norm before clipping."""
        return adagrad_step(self, lr=lr, eps=eps, clip_norm=clip_norm)

    def calibrate(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> None:
        """Store the range of every layer's inputs on this batch, for evaluation."""
        calibrate(self, dense, ids, offsets)

    def compute_as(self, arithmetic: Arithmetic | None) -> None:
        """Let every quantised layer compute as the chip does in evaluation; None goes back to float."""
        compute_as(self, arithmetic)

    def layer_shapes(self) -> tuple[LayerShape, ...]:
        """Every layer with stored weights, in order of execution."""
        chains = [module for module in self.modules() if isinstance(module, nn.Sequential)]
        bent = {one for chain in chains for one, after in pairwise(chain) if isinstance(after, nn.ReLU)}
        return tuple(
            LayerShape(name, layer.inputs, layer.outputs, 1, layer in bent)
            for name, layer in self.named_modules()
            if isinstance(layer, QuantLinear) and layer.inputs > 0
        )

    def _linear(self, inputs: int, outputs: int) -> QuantLinear:
        return QuantLinear(inputs, outputs, precision=self.precision, generator=self._generator)

    def _mlp(self, inputs: int, widths: Sequence[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [self._linear(inputs, width), nn.ReLU()]
            inputs = width
        return nn.Sequential(*layers)


class LogisticRegression(Baseline):
    """The first-order model: a weight per value (averaged over a bag), a weight per dense input, and a bias."""

    def __init__(
        self, features: Features, *, precision: Precision = FLOAT, generator: torch.Generator | None = None
    ) -> None:
        """Weights of values start at zero, those of dense inputs Xavier uniform."""
        super().__init__(features, 1, precision, generator)
        with torch.no_grad():
            for table in self.embeddings.tables:
                table.zero_()
        self.head = self._linear(features.dense, 1)

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B]: sum of the weights of what is present."""
        weights: Tensor = self.embeddings(ids, offsets)
        first: Tensor = self.head(dense.to(weights.dtype)) if self.features.dense else self.head.get_parameter("bias")
        return first.squeeze(-1) + weights.sum(dim=(1, 2))


class DLRM(Baseline):
    """Naumov et al., arXiv 1906.00091: dense inputs through an MLP to one more row, all pairs of rows, a top MLP."""

    interaction = "dot"

    def __init__(
        self,
        features: Features,
        *,
        bottom: Sequence[int] = BOTTOM,
        top: Sequence[int] = TOP,
        precision: Precision = FLOAT,
        generator: torch.Generator | None = None,
    ) -> None:
        """`bottom` and `top` are the widths of the hidden layers; data without dense inputs has no bottom."""
        super().__init__(features, EMBEDDING_DIM, precision, generator)
        self.has_dense = features.dense > 0
        self.bottom = self._mlp(features.dense, [*bottom, EMBEDDING_DIM]) if self.has_dense else nn.Sequential()
        self.interaction_rows = len(features.tables) + int(self.has_dense)
        pairs = self.interaction_rows * (self.interaction_rows - 1) // 2
        joined = pairs + EMBEDDING_DIM * int(self.has_dense)
        self.top = self._mlp(joined, top)
        self.head = self._linear(top[-1] if top else joined, 1)

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B]."""
        rows: Tensor = self.embeddings(ids, offsets)
        if self.has_dense:
            bottom: Tensor = self.bottom(dense.to(rows.dtype))
            pairs = dot_interaction(torch.cat([bottom.unsqueeze(1), rows], dim=1))
            joined = torch.cat([bottom, pairs], dim=1)
        else:
            joined = dot_interaction(rows)
        logits: Tensor = self.head(self.top(joined))
        return logits.squeeze(1)


class DeepFM(Baseline):
    """Guo et al., IJCAI 2017: first order + factorisation machine + MLP over one set of embeddings.

    A table row holds the first-order weight and the 16 latent numbers, so that one look-up serves all three parts.
    Dense inputs enter the factorisation machine as one row, a linear projection of them all.
    """

    interaction = "fm"

    def __init__(
        self,
        features: Features,
        *,
        deep: Sequence[int] = TOP,
        precision: Precision = FLOAT,
        generator: torch.Generator | None = None,
    ) -> None:
        """`deep` are the widths of the MLP's hidden layers; first-order weights of values start at zero."""
        super().__init__(features, 1 + EMBEDDING_DIM, precision, generator)
        with torch.no_grad():
            for table in self.embeddings.tables:
                table[:, 0] = 0
        self.has_dense = features.dense > 0
        self.dense_row = self._linear(features.dense, EMBEDDING_DIM)
        self.dense_first_order = self._linear(features.dense, 1)
        self.interaction_rows = len(features.tables) + int(self.has_dense)
        joined = features.dense + EMBEDDING_DIM * len(features.tables)
        self.deep = self._mlp(joined, deep)
        self.head = self._linear(deep[-1] if deep else joined, 1)

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B]."""
        values: Tensor = self.embeddings(ids, offsets)
        rows = values[:, :, 1:].contiguous()  # once: the deep part and the factorisation machine both read it
        joined = rows.flatten(1)
        first_order = values[:, :, 0].sum(dim=1)
        if self.has_dense:
            dense = dense.to(values.dtype)
            joined = torch.cat([dense, joined], dim=1)
            rows = torch.cat([self.dense_row(dense).unsqueeze(1), rows], dim=1)
            first_order = first_order + self.dense_first_order(dense).squeeze(1)
        logits: Tensor = self.head(self.deep(joined))
        second_order: Tensor = 0.5 * fm_interaction(rows).sum(dim=1)
        return logits.squeeze(1) + first_order + second_order


BASELINES: dict[str, type[LogisticRegression] | type[DLRM] | type[DeepFM]] = {
    "logistic_regression": LogisticRegression,
    "dlrm": DLRM,
    "deepfm": DeepFM,
}
