"""Several processes train one model together: `torchrun` starts them, gloo joins CPUs, NCCL joins GPUs.

Each has the whole model. Every batch is cut into one share for each process, in order; gradients, the ranges of
quantised inputs and the loss are those of the whole batch, so that all take the same step as a single process would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as processes
from torch import Tensor, nn

from nasrec.errors import InputError
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.linear import QuantLinear
from nasrec.model.optimizer import active_slices

if TYPE_CHECKING:
    from nasrec.data.batch import Batch
    from nasrec.data.dataset import Dataset

Found = TypeVar("Found")

BUCKET_BYTES = 1 << 25  # gradients are added up in buckets of this size, or alone if they are larger
PATIENCE = timedelta(hours=1)  # how long the others wait while the leader writes a checkpoint


@dataclass(frozen=True)
class Team:
    """The processes that train together: this one is number `rank` of `size`. Of one alone, all is as it was.

    What is exchanged lies on one device: that of the model, or the CPU.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def batches(self, dataset: Dataset, size: int, *, seed: int | None, start: int = 0) -> Iterator[Batch]:
        """The batches of `dataset`, each cut to this process's share."""
        if self.size == 1:
            return dataset.batches(size, seed=seed, start=start)
        return dataset.batches(size, seed=seed, start=start, share=(self.rank, self.size))

    def sum(self, value: float) -> float:
        """The sum of everybody's `value`."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        processes.all_reduce(total)
        return float(total)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the sum of everybody's."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                processes.all_reduce(bucket[0])
                continue
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            processes.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Everybody's tensor, in order; they may differ in their first dimension."""
        if self.size == 1:
            return [tensor]
        length = torch.tensor([len(tensor)], device=tensor.device)
        lengths = [torch.zeros_like(length) for _ in range(self.size)]
        processes.all_gather(lengths, length)
        counts = [int(count) for count in lengths]
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        found = [torch.empty_like(padded) for _ in counts]
        processes.all_gather(found, padded)
        return [part[:count] for part, count in zip(found, counts, strict=True)]

    def widest(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The least `low` and the greatest `high` of all."""
        if self.size == 1:
            return low, high
        both = torch.stack([-low, high])
        processes.all_reduce(both, processes.ReduceOp.MAX)
        return -both[0], both[1]

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Let every tensor have the values that the leader's has."""
        if self.size == 1:
            return
        for tensor in tensors:
            values = tensor.detach().contiguous()
            processes.broadcast(values, 0)
            if values.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(values)

    def told(self, find: Callable[[], Found]) -> Found:
        """What `find` gives the leader, which alone calls it, and can be pickled; its InputError is everybody's."""
        if self.size == 1:
            return find()
        box: list[Any] = [None, None]
        if self.leads:
            try:
                box[0] = find()
            except InputError as error:
                box[1] = str(error)
        processes.broadcast_object_list(box, 0, device=torch.device("cpu"))
        if box[1] is not None:
            raise InputError(box[1])
        found: Found = box[0]
        return found


ALONE = Team()


def team() -> Team:
    """Those that this process has joined; else itself alone."""
    if not (processes.is_available() and processes.is_initialized()):
        return ALONE
    return Team(processes.get_rank(), processes.get_world_size())


@contextmanager
def joined_team(device: str = "auto") -> Iterator[Team]:
    """Join the processes that `torchrun` started with this one while the block runs; without it, stay alone.

    On machines with GPUs (and `device` "auto" or "cuda") each takes the GPU of its number. Raises InputError where
    there are fewer GPUs than processes.
    """
    if not launched_together():
        yield ALONE
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        place = int(os.environ.get("LOCAL_RANK", "0"))
        if device not in ("auto", "cuda"):
            raise InputError(f"device is {device!r}: with several processes each takes its own: allowed are auto, cuda")
        if place >= torch.cuda.device_count():
            raise InputError(f"process {place} of this machine has no GPU: it has {torch.cuda.device_count()}")
        torch.cuda.set_device(place)
    processes.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield team()
    finally:
        processes.destroy_process_group()


def launched_together() -> bool:
    """Whether `torchrun` (or who sets its variables) started this process with others."""
    return "MASTER_ADDR" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def ranges_of_all(model: nn.Module, team: Team) -> Iterator[None]:
    """While the block runs, quantised layers in training take the range of the whole batch's inputs, not of a share."""
    layers = [module for module in model.modules() if isinstance(module, QuantLinear)] if team.size > 1 else []
    for layer in layers:
        layer.agree = team.widest
    try:
        yield
    finally:
        for layer in layers:
            layer.agree = None


@torch.no_grad()
def share_gradients(model: nn.Module, team: Team) -> None:
    """After `backward` of a loss that is this process's part of a sum: give everybody the gradient of the sum.

    Dense gradients are added up. Of embeddings, look-ups and the gradients of their results are put one after the
    other in the order of the processes, which is that of the batch: tables then change as in a single process.
    Everybody must have run the same architecture.
    """
    if team.size == 1:
        return
    team.add_up([active.weight.grad for active in active_slices(model) if active.weight.grad is not None])
    for module in model.modules():
        if isinstance(module, EmbeddingTables):
            module.exchange(team.gather)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in groups of one type that fill at most a bucket, where a tensor alone does not."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        bytes_ = tensor.numel() * tensor.element_size()
        if bucket and (size + bytes_ > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += bytes_
    if bucket:
        yield bucket
