"""Weights that can be cut: a layer owns them at full size and works with the slice an architecture uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ActiveSlice:
    """A tensor being trained and its Adagrad accumulator, both views of the layer's own storage."""

    name: str
    weight: Tensor
    accumulator: Tensor


class Weights(nn.Module):
    """Parameters, each with its Adagrad accumulator in a buffer `adagrad_<name>`.

    Exact weights (`shared=False`) are ordinary parameters and always used whole. Of shared ones, `take` hands out
    slices: leaf tensors that are views of the parameter. Autograd then never sees the parameter itself, whose
    gradient would be as large as the whole supernet; the optimiser updates weight and accumulator through the views.
    """

    def __init__(self, *, shared: bool) -> None:
        """Start without parameters; `own` adds them."""
        super().__init__()
        self.shared = shared
        self._taken: dict[str, list[tuple[Tensor, Tensor]]] = {}

    if TYPE_CHECKING:  # nn.Module leaves the type of a call open; every layer here gives a tensor

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            """Run `forward`."""
            ...

    def own(self, name: str, value: Tensor) -> None:
        """Add the parameter `name` with a zero accumulator."""
        self.register_parameter(name, nn.Parameter(value, requires_grad=not self.shared))
        self.register_buffer(f"adagrad_{name}", torch.zeros(value.shape, dtype=value.dtype, device=value.device))

    def take(self, name: str, rows: int | None = None, columns: Sequence[slice] | None = None) -> Tensor:
        """The first `rows` rows and the `columns` of parameter `name`, joined; all of them where None.

        An exact layer ignores the cut: it has been built at the chosen size.
        """
        parameter: Tensor = self.get_parameter(name)
        if not self.shared:
            return parameter
        accumulator = self.get_buffer(f"adagrad_{name}")
        pairs = []
        for cut in columns if columns is not None else (None,):
            index = (slice(rows),) if cut is None else (slice(rows), cut)
            leaf = parameter.data[index]
            leaf.requires_grad_(torch.is_grad_enabled())
            pairs.append((leaf, accumulator[index]))
        self._taken[name] = pairs
        return pairs[0][0] if len(pairs) == 1 else torch.cat([leaf for leaf, _ in pairs], dim=1)

    def release(self) -> None:
        """Forget the slices of the last forward pass."""
        self._taken.clear()

    def active(self) -> Iterator[ActiveSlice]:
        """What the last forward pass used: the slices of shared weights, or every exact parameter."""
        if self.shared:
            for name, pairs in self._taken.items():
                for number, (leaf, accumulator) in enumerate(pairs):
                    yield ActiveSlice(f"{name}[{number}]", leaf, accumulator)
        else:
            for name, parameter in self.named_parameters(recurse=False):
                yield ActiveSlice(name, parameter, self.get_buffer(f"adagrad_{name}"))

    @torch.no_grad()
    def copy_taken(self, source: Weights) -> None:
        """Copy into these exact parameters the slices that `source` handed out in its last forward pass."""
        for name, parameter in self.named_parameters(recurse=False):
            column = 0
            for leaf, _ in source._taken[name]:
                if parameter.dim() == 1:
                    parameter.copy_(leaf)
                    break
                parameter[:, column : column + leaf.shape[1]] = leaf
                column += leaf.shape[1]
