"""Adagrad over what the last forward pass used: slices of a supernet or the parameters of any model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nasrec.errors import InputError
from nasrec.model.weights import ActiveSlice, Weights


@runtime_checkable
class SparseTables(Protocol):
    """Embedding tables that keep their gradient to themselves and update only the rows it touches."""

    def grad_sq_norm(self) -> float:
        """Squared norm of the gradient, rows that occur twice added up first."""
        ...

    def adagrad_step(self, lr: float, eps: float, scale: float) -> None:
        """Update with the gradient times `scale`, and forget it."""
        ...

    def clear_pending(self) -> None:
        """Forget the gradient."""
        ...


def active_slices(model: nn.Module) -> Iterator[ActiveSlice]:
    """The dense tensors that the last forward pass of `model` used, with their accumulators and dotted names."""
    for prefix, module in model.named_modules():
        if isinstance(module, Weights):
            for active in module.active():
                name = f"{prefix}.{active.name}" if prefix else active.name
                yield ActiveSlice(name, active.weight, active.accumulator)


@torch.no_grad()
def adagrad_step(
    model: nn.Module, *, lr: float, eps: float = 1e-2, clip_norm: float | None = 5.0, embeddings: bool = True
) -> float:
    """One Adagrad step (Duchi et al. 2011) of every `Weights` in `model` and, if wanted, of its `embeddings`.

    All gradients together are clipped to the norm `clip_norm` (None: not), as torch's `clip_grad_norm_` does; then
    sum += g², w -= lr g / (sqrt(sum) + eps). Gradients are cleared. Returns the norm before clipping; when it is not
    finite, the weights stay as they are.
    """
    tables = getattr(model, "embeddings", None) if embeddings else None
    moved = [active for active in active_slices(model) if active.weight.grad is not None]
    grads: list[Tensor] = [active.weight.grad for active in moved if active.weight.grad is not None]
    _check_owned(model, {id(active.weight) for active in moved})
    norms = [torch.linalg.vector_norm(grad) for grad in grads]
    square = float(torch.stack(norms).double().square().sum()) if norms else 0.0
    if isinstance(tables, SparseTables):
        square += tables.grad_sq_norm()
    norm = math.sqrt(square)
    if math.isfinite(norm):
        scale = 1.0 if clip_norm is None else min(1.0, clip_norm / (norm + 1e-6))
        for active, grad in zip(moved, grads, strict=True):
            scaled = grad if scale == 1.0 else grad.mul_(scale)
            active.accumulator.addcmul_(scaled, scaled)
            active.weight.addcdiv_(scaled, active.accumulator.sqrt().add_(eps), value=-lr)
        if isinstance(tables, SparseTables):
            tables.adagrad_step(lr, eps, scale)
    elif isinstance(tables, SparseTables):
        tables.clear_pending()
    for active in moved:
        active.weight.grad = None
    return norm


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of `model` that inference needs: without the optimiser's accumulators."""
    return {name: value for name, value in model.state_dict().items() if not _is_accumulator(name)}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load what `weights_of` gave; accumulators keep their values. Raises InputError naming what does not fit."""
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"weights do not fit the model: {reason}") from None
    wrong = [name for name in missing if not _is_accumulator(name)] + list(unexpected)
    if wrong:
        raise InputError(f"weights do not fit the model: {len(wrong)} names differ, first {wrong[0]!r}")


def _check_owned(model: nn.Module, owned: set[int]) -> None:
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and id(parameter) not in owned:
            raise TypeError(f"parameter {name!r} has a gradient but no accumulator: it must belong to a Weights")


def _is_accumulator(name: str) -> bool:
    return any(part.startswith("adagrad") for part in name.split("."))
