"""Run a trained model over a data set: one logit a row, in the data set's own order.

On a CPU, several small batches are computed at a time, each by its share of the threads: many operations of these
models are too small to gain from all of them. The numbers are those of one batch after the other, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasrec.data.dataset import share_of
from nasrec.data.in_order import in_order
from nasrec.distributed import ALONE, Team
from nasrec.errors import InputError
from nasrec.workers import worker_number

if TYPE_CHECKING:
    from nasrec.data.batch import Batch
    from nasrec.data.dataset import Dataset
    from nasrec.progress import Report

ROWS_AT_ONCE = 8192  # in all batches that are computed at a time: their activations share the memory

Result = TypeVar("Result")
Inputs = tuple[Tensor, Tensor, Tensor | None]
"""What a model's forward takes: dense [B, nd], ids [B, T] (or flat), offsets [T*B + 1] (or None)."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; raises InputError when it is not there.

    "auto" is cuda when there is one. The workers of a pool take the GPUs of a machine by turns.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        worker = worker_number()
        return torch.device("cuda") if worker is None else torch.device("cuda", worker % torch.cuda.device_count())
    kind, colon, number = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (colon and not (number.isascii() and number.isdecimal()))):
        raise InputError(f"device is {name!r}: allowed are auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {name!r}: this machine has no usable CUDA device (allowed: auto, cpu)")
    if colon and int(number) >= torch.cuda.device_count():  # torch itself would take cuda:300 for cuda:44
        last = torch.cuda.device_count() - 1
        raise InputError(f"device is {name!r}: this machine has cuda:0 to cuda:{last} (allowed too: auto, cpu, cuda)")
    return torch.device(f"cuda:{int(number)}" if colon else name)


def inputs_of(batch: Batch, device: torch.device) -> Inputs:
    """Return the batch's inputs as tensors on `device`, sharing memory with the batch on a CPU."""
    offsets = None if batch.offsets is None else torch.from_numpy(batch.offsets).to(device)
    return torch.from_numpy(batch.dense).to(device), torch.from_numpy(batch.ids).to(device), offsets


def predict(
    model: nn.Module,
    dataset: Dataset,
    batch_size: int = 4096,
    *,
    progress: Report | None = None,
    device: str = "auto",
    team: Team = ALONE,
) -> NDArray[np.float32]:
    """Return the logits [N] of all rows of `dataset` in order, computed in evaluation mode, without gradients.

    `model(dense, ids, offsets)` gives logits [B]; it is moved to `device` and left in the mode it was found in. The
    processes of a `team` compute a share each and all get the whole.
    """
    place = pick_device(device)
    model.to(place)
    own = np.empty(len(dataset), dtype=np.float32)
    done = 0

    def logits_of(batch: Batch) -> NDArray[np.float32]:
        if len(batch) == 0:
            return np.empty(0, dtype=np.float32)
        return np.asarray(model(*inputs_of(batch, place)).reshape(-1).float().cpu().numpy())

    with evaluating(model):
        batches = team.batches(dataset, batch_size, seed=None)
        for number, found in enumerate(each_batch(model, logits_of, batches, batch_size, place)):
            own[done : done + found.size] = found
            done += found.size
            if progress is not None:
                progress(min(len(dataset), (number + 1) * batch_size), len(dataset))
    if team == ALONE:
        return own
    parts = [part.numpy() for part in team.gather(torch.from_numpy(own[:done]))]
    logits, taken = np.empty_like(own), [0] * team.size
    for first in range(0, len(dataset), batch_size):
        rows = min(batch_size, len(dataset) - first)
        for number, part in enumerate(parts):
            span = share_of(rows, (number, team.size))
            begin, taken[number] = taken[number], taken[number] + span.stop - span.start
            logits[first + span.start : first + span.stop] = part[begin : taken[number]]
    return logits


def each_batch(
    model: nn.Module,
    compute: Callable[[Batch], Result],
    batches: Iterable[Batch],
    batch_size: int,
    device: torch.device,
) -> Iterator[Result]:
    """`compute`, which runs `model` on a batch, of each of `batches` in order, without gradients.

    On a CPU several at a time, of at most `ROWS_AT_ONCE` rows together, but for crossbars: they draw their noise, and
    choose the range of their converters, in the order of the batches.
    """

    @torch.no_grad()
    def work(batch: Batch) -> Result:
        return compute(batch)

    threads = torch.get_num_threads()
    at_once = max(1, min(threads, ROWS_AT_ONCE // batch_size))
    on_crossbars = any(getattr(module, "arithmetic", None) is not None for module in model.modules())
    if at_once == 1 or on_crossbars or device.type != "cpu":
        yield from map(work, batches)
        return
    try:
        yield from in_order(work, batches, at_once, start=lambda: torch.set_num_threads(threads // at_once))
    finally:
        torch.set_num_threads(threads)  # MKL's number is that of all threads


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in evaluation mode while the block runs, then back in the mode it was in."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
