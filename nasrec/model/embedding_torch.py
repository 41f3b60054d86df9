"""The embedding tables' arithmetic in torch's own operators: any device, any precision, and easy to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

Pending = tuple[Tensor, Tensor | None, Tensor]  # ids, offsets, gradient of the result


@dataclass(frozen=True)
class RowGradients:
    """Per table the rows touched (ascending) and their gradients; `square` is the squared norm of them all."""

    rows: list[Tensor]
    values: list[Tensor]
    square: float

    def of_table(self, table: int) -> tuple[Tensor, Tensor]:
        """The rows of one table and their gradients."""
        return self.rows[table], self.values[table]


def flat_bags(ids: Tensor, offsets: Tensor | None) -> tuple[Tensor, Tensor]:
    """`[B, T]` ids as the flat list, table by table, and its offsets; flat ids as they are."""
    if offsets is not None:
        return ids, offsets
    return ids.t().reshape(-1), torch.arange(ids.numel() + 1, device=ids.device)


def bags_of_tables(ids: Tensor, offsets: Tensor | None, rows: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Per table its ids and the sizes of its bags; errors as the kernels have them (`nasrec.kernels.embedding_bag`)."""
    _check_bags(ids, offsets, len(rows))
    flat, places = flat_bags(ids, offsets)
    batch = (len(places) - 1) // len(rows)
    tables = []
    for table, count in enumerate(rows):
        edges = places[table * batch : (table + 1) * batch + 1]
        own = flat[int(edges[0]) : int(edges[-1])]
        bad = ((own < 0) | (own >= count)).nonzero()
        if len(bad):
            position = int(bad[0]) + (0 if offsets is None else int(edges[0]))
            raise IndexError(f"table {table}, position {position}: id {int(own[bad[0]])} is not in 0..{count - 1}")
        tables.append((own, edges.diff()))
    return tables


def _check_bags(ids: Tensor, offsets: Tensor | None, tables: int) -> None:
    for name, given, dimensions in (("ids", ids, 2 if offsets is None else 1), ("offsets", offsets, 1)):
        if given is not None and given.dtype != torch.int64:
            raise TypeError(f"{name}: dtype {str(given.dtype).removeprefix('torch.')}, expected int64")
        if given is not None and given.dim() != dimensions:
            raise ValueError(f"{name}: shape {tuple(given.shape)}, expected {dimensions} dimensions")
    if offsets is None:
        if ids.shape[1] != tables:
            raise ValueError(f"ids: shape {tuple(ids.shape)}, expected {(ids.shape[0], tables)}")
        return
    if len(offsets) == 0 or (len(offsets) - 1) % tables:
        raise ValueError(f"offsets: {len(offsets)} numbers, expected tables * batch + 1 with {tables} tables")
    if int(offsets[0]) != 0:
        raise ValueError(f"offsets[0]: {int(offsets[0])}, expected 0")
    bad = ((offsets.diff() < 0) | (offsets[1:] > len(ids))).nonzero()
    if len(bad):
        place = int(bad[0]) + 1
        allowed = f"{int(offsets[place - 1])}..{len(ids)}"
        raise ValueError(f"offsets[{place}]: {int(offsets[place])}, expected {allowed}")
    if int(offsets[-1]) != len(ids):
        last = len(offsets) - 1
        raise ValueError(f"offsets[{last}]: {int(offsets[-1])}, expected the number of ids, {len(ids)}")


def look_up(tables: Sequence[Tensor], ids: Tensor, offsets: Tensor | None, pooling: str) -> Tensor:
    """Pooled rows `[B, T, dim]`."""
    pooled = []
    for table, (own, sizes) in zip(tables, bags_of_tables(ids, offsets, [len(t) for t in tables]), strict=True):
        starts = sizes.cumsum(0) - sizes
        pooled.append(embedding_bag(own, table.detach(), starts, mode=pooling))
    return torch.stack(pooled, 1)


def coalesce(rows: Sequence[int], ids: Tensor, offsets: Tensor | None, grad: Tensor, pooling: str) -> RowGradients:
    """Gradients of the rows touched, from `grad` `[B, T, dim]`."""
    touched, values = [], []
    for table, (own, sizes) in enumerate(bags_of_tables(ids, offsets, rows)):
        parts = grad[:, table] / (sizes.clamp(min=1)[:, None] if pooling == "mean" else 1)
        unique, place = torch.unique(own, return_inverse=True)
        total = grad.new_zeros(len(unique), grad.shape[2])
        touched.append(unique)
        values.append(total.index_add_(0, place, parts.repeat_interleave(sizes, 0)))
    square = sum(float(value.double().square().sum()) for value in values)
    return RowGradients(touched, values, square)


def adagrad(
    tables: Sequence[Tensor], states: Sequence[Tensor], gradients: RowGradients, lr: float, eps: float, scale: float
) -> None:
    """One Adagrad step in place on the touched rows; row-wise where a state has one number a row."""
    with torch.no_grad():
        for index, (table, state) in enumerate(zip(tables, states, strict=True)):
            rows, values = gradients.of_table(index)
            scaled = scale * values
            row_wise = state.dim() == 1
            state[rows] += scaled.square().mean(1) if row_wise else scaled.square()
            root = state[rows].sqrt() + eps
            table[rows] -= lr * scaled / (root[:, None] if row_wise else root)


def joined(pending: Sequence[Pending], tables: int) -> Pending:
    """Several lookups as one, their samples one after the other."""
    if len(pending) == 1:
        return pending[0]
    grad = torch.cat([grad for _, _, grad in pending])
    if all(offsets is None for _, offsets, _ in pending):
        return torch.cat([ids for ids, _, _ in pending]), None, grad
    flat = [flat_bags(ids, offsets) for ids, offsets, _ in pending]
    own, sizes = [], []
    for table in range(tables):
        for ids, offsets in flat:
            batch = (len(offsets) - 1) // tables
            edges = offsets[table * batch : (table + 1) * batch + 1]
            own.append(ids[int(edges[0]) : int(edges[-1])])
            sizes.append(edges.diff())
    ends = torch.cat(sizes).cumsum(0)
    return torch.cat(own), torch.cat([ends.new_zeros(1), ends]), grad
