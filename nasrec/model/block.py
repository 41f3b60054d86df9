"""One choice block: operators on the dense and the sparse branch, then the two mergers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from nasrec.model.attention import Attention
from nasrec.model.bilinear import Bilinear
from nasrec.model.build import Build
from nasrec.model.deep import Deep
from nasrec.model.dot import Dot
from nasrec.model.dsi import Dsi
from nasrec.model.efc import Efc
from nasrec.model.fc import Fc
from nasrec.model.fm import Fm
from nasrec.model.gating import Gating
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import DSI_WIDTH, BlockShape
from nasrec.model.skip import Skip
from nasrec.model.sum import Sum


class _Operator(Protocol):
    def __call__(self, layout: Layout, build: Build, shape: BlockShape | None) -> nn.Module: ...


OPERATORS: dict[str, _Operator] = {
    "fc": Fc,
    "dot": Dot,
    "gating": Gating,
    "sum": Sum,
    "deep": Deep,
    "bilinear": Bilinear,
    "efc": Efc,
    "attention": Attention,
    "skip": Skip,
}


class Block(nn.Module):
    """The operators named in `ops` and the mergers `dsi` and `fm`, each a child of that name.

    `shape` is None in a supernet. `fm_into_dsi` reproduces a quirk of the official code: with both mergers on and a
    dense width of 128, FM is added in place to the numbers that DSI has just handed to the sparse output.
    """

    def __init__(
        self,
        ops: Iterable[str],
        layout: Layout,
        build: Build,
        shape: BlockShape | None = None,
        *,
        fm_into_dsi: bool = False,
    ) -> None:
        """Make only what an architecture of this shape runs; everything where `shape` is None."""
        super().__init__()
        self.fm_into_dsi = fm_into_dsi
        for op in ops:
            self.add_module(op, OPERATORS[op](layout, build, shape))
        if shape is None or shape.live.dsi:
            self.dsi = Dsi(layout, build, shape)
        if shape is None or self._runs_fm(shape):
            self.fm = Fm(layout, build, shape)

    def forward(self, shape: BlockShape, sources: Outputs) -> tuple[Tensor | None, Tensor | None]:
        """The dense output [B, dense_width] and the sparse one [B, 16, rows]; None for one that nobody reads."""
        live, choice = shape.live, shape.choice
        dense = self._sum(choice.dense_ops, shape, sources) if live.dense else None
        sparse = self._sum(choice.sparse_ops, shape, sources) if live.sparse else None
        appended = self.dsi(shape, dense) if live.dsi else None
        if self._runs_fm(shape):
            dense = dense + self.fm(shape, sparse)
            if self._in_place(shape):
                appended = self.dsi(shape, dense)
        if sparse is not None and appended is not None:
            sparse = torch.cat([sparse, appended], dim=2)
        return dense if live.dense_output else None, sparse if live.sparse_output else None

    def _sum(self, ops: Iterable[str], shape: BlockShape, sources: Outputs) -> Tensor:
        results: list[Tensor] = [self.get_submodule(op)(shape, sources) for op in ops]
        total = results[0]
        for result in results[1:]:
            total = total + result
        return total

    def _in_place(self, shape: BlockShape) -> bool:
        both = shape.live.dsi and shape.choice.fm
        return self.fm_into_dsi and both and shape.choice.dense_width == DSI_WIDTH

    def _runs_fm(self, shape: BlockShape) -> bool:
        return shape.live.fm or self._in_place(shape)
