"""The arithmetic of a supernet that masks: every chosen operator at full width, zeros for inputs that are not chosen.

What the official NASRec code computes in a training step, written from its description and measured beside our slices:
masks multiply outputs, all tables and whole matrices have dense gradients, and torch's Adagrad steps on all of them.
Nothing is skipped because nobody reads it. With `standalone` it is the model of one architecture at its exact sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.arch import Arch, BlockChoice
from nasrec.data.features import Features
from nasrec.model.shape import shapes_of
from nasrec.space import Space, dot_rows

DIM, DSI_ROWS, HEADS = 16, 8, 8


class Project(nn.Module):
    """A linear map, then LayerNorm where the model has it."""

    def __init__(self, inputs: int, outputs: int, layernorm: bool, bias: bool | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not layernorm if bias is None else bias)
        self.norm = nn.LayerNorm(outputs) if layernorm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[..., outputs]."""
        y: Tensor = self.norm(self.linear(x))
        return y


class Gating(nn.Module):
    """The gate's own square matrix reads the whole pair."""

    def __init__(self, pair: int, width: int, layernorm: bool) -> None:
        super().__init__()
        self.left = nn.Linear(pair, pair)
        self.out = Project(pair, width, layernorm, bias=True) if pair != width else None
        self.norm = nn.LayerNorm(width) if layernorm and pair == width else nn.Identity()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """[B, width]."""
        x = torch.sigmoid(self.left(left)) * right
        y: Tensor = self.norm(x) if self.out is None else self.out(x)
        return y


class Dot(nn.Module):
    """Products of all pairs of rows, picked from the full matrix."""

    def __init__(self, dense: int, sparse: int, width: int, layernorm: bool) -> None:
        super().__init__()
        rows = dot_rows(width)
        pairs = rows * (rows + 1) // 2
        self.dense = Project(dense, DIM, layernorm) if dense != DIM else nn.Identity()
        self.sparse = Project(sparse, rows, layernorm) if sparse != rows else nn.Identity()
        self.out = Project(pairs, width, layernorm) if pairs != width else nn.Identity()

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """[B, width]."""
        rows = torch.cat([self.dense(dense).unsqueeze(1), self.sparse(sparse.transpose(1, 2)).transpose(1, 2)], 1)
        products = torch.bmm(rows, rows.transpose(1, 2))
        i, j = torch.tril_indices(rows.shape[1], rows.shape[1], -1)
        y: Tensor = self.out(products[:, i, j])
        return y


class Attention(nn.Module):
    """A transformer layer over all rows, masked or not."""

    def __init__(self, sparse: int, width: int, layernorm: bool) -> None:
        super().__init__()
        self.project = Project(sparse, width, layernorm)
        self.attend = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(DIM), nn.LayerNorm(DIM)])
        self.first, self.second = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)

    def forward(self, sparse: Tensor, mask: Tensor | None) -> Tensor:
        """[B, rows, 16]."""
        rows = self.project(sparse.transpose(1, 2))
        rows = (rows if mask is None else rows * mask).transpose(1, 2)
        rows = self.norms[0](rows + self.attend(rows, rows, rows, need_weights=False)[0])
        y: Tensor = self.norms[1](rows + self.second(self.first(rows).relu()))
        return y


class Block(nn.Module):
    """Operators for inputs of `dense` numbers, `sparse` rows and a pair `pair` wide."""

    def __init__(
        self, ops: Sequence[str], dense: int, sparse: int, pair: int, width: int, rows: int, layernorm: bool,
        masked: bool, mergers: tuple[bool, bool] = (True, True),
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.rows, self.masked = width, rows, masked
        made: dict[str, nn.Module] = {}
        for op in ops:
            match op:
                case "fc":
                    made[op] = Project(dense, width, layernorm)
                case "dot":
                    made[op] = Dot(dense, sparse, width, layernorm)
                case "gating":
                    made[op] = Gating(pair, width, layernorm)
                case "sum":
                    made[op] = Project(pair, width, layernorm) if pair != width else nn.Identity()
                case "efc":
                    made[op] = Project(sparse, rows, layernorm)
                case "attention":
                    made[op] = Attention(sparse, rows, layernorm)
        self.ops = nn.ModuleDict(made)
        self.dsi = (
            Project(width, DSI_ROWS * DIM, layernorm) if mergers[0] and width != DSI_ROWS * DIM else nn.Identity()
        )
        self.fm = Project(DIM, width, layernorm) if mergers[1] and width != DIM else nn.Identity()

    def forward(
        self, choice: BlockChoice, dense: Tensor, sparse: Tensor, left: Tensor, right: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The dense and the sparse output, at full size where masked."""
        size = len(dense)
        wide = (torch.arange(self.width) < choice.dense_width).float() if self.masked else None
        high = (torch.arange(self.rows) < choice.sparse_width).float() if self.masked else None
        flat, rows = [], []
        for name, op in self.ops.items():
            chosen = name in (*choice.dense_ops, *choice.sparse_ops)
            if name in ("efc", "attention"):
                if not chosen:
                    rows.append(torch.zeros(size, self.rows, DIM))
                elif name == "efc":
                    rows.append(_mask(op(sparse.transpose(1, 2)).relu(), high).transpose(1, 2))
                else:
                    rows.append(_mask(op(sparse, high).transpose(1, 2), high).transpose(1, 2))
            elif not chosen:
                flat.append(torch.zeros(size, self.width))
            else:
                arguments = {"fc": (dense,), "dot": (dense, sparse), "gating": (left, right), "sum": (left + right,)}
                out = op(*arguments[name])
                flat.append(_mask(out.relu() if name == "fc" else out, wide))
        y, z = torch.stack(flat, -1).sum(-1), torch.stack(rows, -1).sum(-1)
        appended = self.dsi(y).view(size, DSI_ROWS, DIM) if choice.dsi else torch.zeros(size, DSI_ROWS, DIM)
        if choice.fm:
            y = y + _mask(self.fm(z.sum(1) ** 2 - (z**2).sum(1)), wide)
        return y, torch.cat([z, appended], 1) if self.masked or choice.dsi else z


class MaskedSupernet(nn.Module):
    """All of `space` at full size; with `standalone`, that architecture alone at its exact size."""

    def __init__(self, space: Space, features: Features, standalone: Arch | None = None) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(table.rows, DIM) for table in features.tables)
        self.masked, blocks = standalone is None, []
        width, rows = max(space.dense_widths), max(space.sparse_widths)
        for index in range(space.blocks):
            if standalone is None:
                dense = features.dense + width * index
                sparse = len(features.tables) + (rows + DSI_ROWS) * index
                ops = space.dense_ops + space.sparse_ops
                blocks.append(Block(ops, dense, sparse, dense, width, rows, layernorm=True, masked=True))
            else:
                shape, choice = _all_live(standalone, features)[index], standalone.blocks[index]
                blocks.append(
                    Block((*choice.dense_ops, *choice.sparse_ops), shape[0], shape[1], shape[2], choice.dense_width,
                          choice.sparse_width, layernorm=False, masked=False, mergers=(choice.dsi, choice.fm))
                )  # fmt: skip
        self.blocks = nn.ModuleList(blocks)
        if standalone is not None:
            last = standalone.blocks[-1]
            width, rows = last.dense_width, last.sparse_width - (0 if last.dsi else DSI_ROWS)
        self.head = nn.Linear(width + (rows + DSI_ROWS) * DIM, 1)

    def forward(self, arch: Arch, dense: Tensor, ids: Tensor, *, whole: bool = False) -> Tensor:
        """Logits [B]; `whole` feeds gating and sum everything, as the warm-up on the full path does."""
        flat = [dense]
        rows = [torch.stack([table(ids[:, index]) for index, table in enumerate(self.tables)], 1)]
        for choice, block in zip(arch.blocks, self.blocks, strict=True):
            every = tuple(range(len(flat)))
            left, right = (every, every) if whole else ((choice.left,), (choice.right,))
            pair = self._pick(flat, left, 1), self._pick(flat, right, 1)
            pair_width = max(pair[0].shape[1], pair[1].shape[1])
            padded = [nn.functional.pad(one, (0, pair_width - one.shape[1])) for one in pair]
            y, z = block(
                choice, self._pick(flat, choice.dense_inputs, 1), self._pick(rows, choice.sparse_inputs, 1), *padded
            )
            flat.append(y)
            rows.append(z)
        logits: Tensor = self.head(torch.cat([flat[-1], rows[-1].flatten(1)], 1))
        return logits.squeeze(1)

    def _pick(self, sources: Sequence[Tensor], chosen: Sequence[int], dim: int) -> Tensor:
        if self.masked:
            return torch.cat([x if k in chosen else torch.zeros_like(x) for k, x in enumerate(sources)], dim)
        return torch.cat([sources[k] for k in chosen], dim)

    @property
    def dense_parameters(self) -> int:
        """Numbers outside the tables."""
        return sum(math.prod(p.shape) for name, p in self.named_parameters() if not name.startswith("tables"))


class DenseTrainer:
    """A step as the official loop does it: backward, clip everything, torch's Adagrad."""

    def __init__(self, model: MaskedSupernet) -> None:
        self.model = model
        self.optimizer = torch.optim.Adagrad(model.parameters(), lr=0.12, eps=1e-2)

    def step(self, arch: Arch, dense: Tensor, ids: Tensor, labels: Tensor, *, whole: bool = False) -> float:
        """The loss before the step."""
        self.optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(self.model(arch, dense, ids, whole=whole), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()


def _mask(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _all_live(arch: Arch, features: Features) -> list[tuple[int, int, int]]:
    """Of each block the numbers, the rows and the pair width that it reads, dead blocks and DSI rows included."""
    widths, rows, found = [features.dense], [len(features.tables)], []
    for shape in shapes_of(arch, features):
        choice = shape.choice
        dense = sum(widths[source] for source in choice.dense_inputs)
        sparse = sum(rows[source] for source in choice.sparse_inputs)
        found.append((dense, sparse, max(widths[choice.left], widths[choice.right])))
        widths.append(choice.dense_width)
        rows.append(choice.sparse_width + (DSI_ROWS if choice.dsi else 0))
    return found
