"""Run a trained model over a data set: one logit a row, in the data set's own order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasrec.errors import InputError

if TYPE_CHECKING:
    from nasrec.data.batch import Batch
    from nasrec.data.dataset import Dataset
    from nasrec.progress import Report

Inputs = tuple[Tensor, Tensor, Tensor | None]
"""What a model's forward takes: dense [B, nd], ids [B, T] (or flat), offsets [T*B + 1] (or None)."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; "auto" is cuda when there is one. Raises InputError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device is {name!r}: allowed are auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {name!r}: this machine has no usable CUDA device (allowed: auto, cpu)")
    return device


def inputs_of(batch: Batch, device: torch.device) -> Inputs:
    """Return the batch's inputs as tensors on `device`, sharing memory with the batch on a CPU."""
    offsets = None if batch.offsets is None else torch.from_numpy(batch.offsets).to(device)
    return torch.from_numpy(batch.dense).to(device), torch.from_numpy(batch.ids).to(device), offsets


def predict(
    model: nn.Module, dataset: Dataset, batch_size: int = 4096, *, progress: Report | None = None, device: str = "auto"
) -> NDArray[np.float32]:
    """Return the logits [N] of all rows of `dataset` in order, computed in evaluation mode, without gradients.

    `model(dense, ids, offsets)` gives logits [B]; it is moved to `device` and left in the mode it was found in.
    """
    place = pick_device(device)
    model.to(place)
    logits = np.empty(len(dataset), dtype=np.float32)
    done = 0
    with evaluating(model), torch.no_grad():
        for batch in dataset.batches(batch_size, seed=None):
            found = model(*inputs_of(batch, place)).reshape(-1).float().cpu().numpy()
            logits[done : done + found.size] = found
            done += found.size
            if progress is not None:
                progress(done, len(dataset))
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in evaluation mode while the block runs, then back in the mode it was in."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
