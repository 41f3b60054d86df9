"""The weight-sharing supernet: every architecture of a space, as slices of one set of weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM, Arch
from nasrec.data.features import Features
from nasrec.model.block import Block
from nasrec.model.build import Build
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.layout import layout_of_space
from nasrec.model.network import Network
from nasrec.model.optimizer import active_slices
from nasrec.model.shape import shapes_of
from nasrec.model.subnet import Subnet
from nasrec.model.weights import ActiveSlice, Weights
from nasrec.space import Space


class Supernet(Network):
    """All of `space` on data with these `features`.

    An architecture uses the first rows (its widths) and the columns of its chosen inputs of each shared matrix, and
    LayerNorm runs over the chosen width: `supernet(arch, ...)` and `supernet.extract(arch)(...)` are one function.
    Only live operators are computed. Train with `loss.backward()` and `adagrad_step`, not with a torch optimiser:
    the shared parameters themselves never get a gradient, the slices of the last forward pass do.
    """

    def __init__(
        self,
        space: Space,
        features: Features,
        *,
        layernorm: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        """Xavier-uniform dense weights, Xavier-normal embeddings."""
        super().__init__()
        self.space = space
        self.features = features
        self.layernorm = layernorm
        build = Build(layernorm, shared=True, generator=generator)
        layouts = [layout_of_space(space, features, index) for index in range(space.blocks)]
        self.embeddings = EmbeddingTables([table.rows for table in features.tables], EMBEDDING_DIM, generator=generator)
        self.blocks = nn.ModuleList(Block(space.dense_ops + space.sparse_ops, layout, build) for layout in layouts)
        self.last = layouts[-1]
        self.head = build.linear(self.last.head_columns, 1, bias=True)

    def forward(self, arch: Arch, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B] of `arch` on dense [B, nd] and ids [B, tables], or on flat ids with `offsets` [tables * B + 1].

        Raises InputError where the space does not allow `arch`.
        """
        return self._logits(arch, dense, self._embed(ids, offsets))

    def active(self) -> list[ActiveSlice]:
        """The slices of the last forward pass: dotted name, weight view with its gradient, accumulator view."""
        return list(active_slices(self))

    @torch.no_grad()
    def extract(self, arch: Arch, *, share_embeddings: bool = True) -> Subnet:
        """A standalone model with copies of the slices of `arch`; its tables are the supernet's own, or copies.

        Where tables are shared, whoever trains the subnet's embeddings trains the supernet's.
        """
        tables = self.embeddings if share_embeddings else copy.deepcopy(self.embeddings)
        subnet = Subnet(arch, self.features, layernorm=self.layernorm, embeddings=tables, blank=True)
        weight = self.head.get_parameter("weight")
        for module in (*subnet.blocks, subnet.head):
            module.to(device=weight.device, dtype=weight.dtype)
        # Which slices an architecture uses is written once, in the forward pass: run it on one row and copy them.
        self._logits(
            arch,
            weight.new_zeros(1, self.features.dense),
            weight.new_zeros(1, len(self.features.tables), EMBEDDING_DIM),
        )
        for name, module in subnet.named_modules():
            if isinstance(module, Weights):
                source = self.get_submodule(name)
                if isinstance(source, Weights):
                    module.copy_taken(source)
        self._release()
        subnet.train(self.training)
        return subnet

    def _logits(self, arch: Arch, dense: Tensor, sparse: Tensor) -> Tensor:
        self.space.check(arch)
        self._release()
        shapes = shapes_of(arch, self.features)
        features = self._features(shapes, dense, sparse)
        return self.head(features, 1, self.last.head_slices(shapes[-1]), arch.head).squeeze(1)

    def _release(self) -> None:
        for module in self.modules():
            if isinstance(module, Weights):
                module.release()
