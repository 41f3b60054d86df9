"""Batches computed at a time: the numbers and the order of one after the other, and the threads given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows
from torch import Tensor, nn

from nasrec import workers
from nasrec.errors import InputError
from nasrec.model.subnet import Subnet
from nasrec.predict import ROWS_AT_ONCE, each_batch, pick_device, predict
from nasrec.space import Space

CPU = torch.device("cpu")
SPACE = Space("tiny", blocks=3, dense_widths=(8, 16), sparse_widths=(4, 6))
ROWS, _ = first_order_rows(700)


@pytest.fixture(autouse=True, params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class Meeting(nn.Module):
    """A model that waits until so many batches are computed at a time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(count, timeout=20)
        self.names: set[str] = set()
        self.threads: set[int] = set()

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None) -> Tensor:
        assert not torch.is_grad_enabled()
        self.barrier.wait()
        self.names.add(threading.current_thread().name)
        self.threads.add(torch.get_num_threads())
        return dense[:, 0] + 10 * ids[:, 1]


def test_logits_are_those_of_the_whole_in_order(threads: int) -> None:
    for seed in range(4):
        arch = SPACE.sample(np.random.default_rng(seed), "any-path")
        model = Subnet(arch, FEATURES, generator=torch.Generator().manual_seed(seed)).double().eval()
        with torch.no_grad():
            whole = model(torch.from_numpy(ROWS.dense).double(), torch.from_numpy(ROWS.ids)).float().numpy()
        doubled = Rows(ROWS.dense.astype(np.float64), ROWS.ids, ROWS.labels)
        found = predict(model.train(), doubled, 64)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, whole, rtol=1e-6)
        assert model.training and torch.get_num_threads() == threads


def test_as_many_batches_at_a_time_as_there_are_threads(threads: int) -> None:
    model = Meeting(threads)
    found = predict(model, ROWS.take(np.arange(640)), 80)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, ROWS.dense[:640, 0] + 10 * ROWS.ids[:640, 1], rtol=1e-6)
    assert len(model.names) == threads
    assert model.threads == {1}
    assert torch.get_num_threads() == threads


def test_large_batches_share_the_memory(threads: int) -> None:
    model, size = Meeting(min(2, threads)), ROWS_AT_ONCE // 2
    rows = ROWS.take(np.arange(4 * size) % len(ROWS))
    found = predict(model, rows, size)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, rows.dense[:, 0] + 10 * rows.ids[:, 1], rtol=1e-6)
    assert len(model.names) == min(2, threads)
    assert model.threads == {max(1, threads // 2)}


def test_an_error_in_a_batch_is_raised_and_the_threads_come_back(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(each_batch(nn.Identity(), lambda batch: 1 // (len(batch) - 60), ROWS.batches(64, seed=None), 64, CPU))  # type: ignore[arg-type]
    assert torch.get_num_threads() == threads


def test_crossbars_take_batches_in_turn(threads: int) -> None:
    model = nn.Identity()
    model.arithmetic = object()  # type: ignore[assignment]
    here = threading.current_thread()
    seen = list(each_batch(model, lambda _: threading.current_thread(), ROWS.batches(64, seed=None), 64, CPU))  # type: ignore[arg-type]
    assert len(seen) == 11 and set(seen) == {here}


@pytest.mark.parametrize("name", ["meta", "mps", "xpu", "cpu:1", "", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1:1"])
def test_other_devices_are_refused(name: str) -> None:
    """Some of them torch knows, but nothing here is made for them."""
    with pytest.raises(InputError, match=f"^device is {name!r}: allowed are auto, cpu, cuda or cuda:N$"):
        pick_device(name)


def test_a_device_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == CPU
    for name in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match=f"device is {name!r}: this machine has no usable CUDA device"):
            pick_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device().type == pick_device("cuda").type == "cuda"
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    assert pick_device().index is None, "as torch or torchrun has it"
    for number, place in ((0, 0), (1, 1), (2, 0)):
        monkeypatch.setattr(workers, "_number", number)
        assert pick_device() == torch.device("cuda", place), "workers take the GPUs by turns"
    for name in ("cuda:2", "cuda:99", "cuda:257"):  # a byte holds the number in torch, where 257 is 1
        with pytest.raises(InputError, match=f"device is {name!r}: this machine has cuda:0 to cuda:1 "):
            pick_device(name)
