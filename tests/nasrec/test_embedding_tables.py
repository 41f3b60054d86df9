"""Embedding tables and interactions inside torch: gradients, optimiser, precision and state against plain torch."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from nasrec.memory import MIB
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.interaction import dot_interaction, fm_interaction

ROWS, DIM, BATCH = (50, 3, 1000), 8, 40


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_ids(seed: int) -> Tensor:
    return torch.stack([torch.randint(0, rows, (BATCH,), generator=generator(seed + rows)) for rows in ROWS], 1)


def some_bags(seed: int) -> tuple[Tensor, Tensor]:
    sizes = torch.randint(0, 6, (len(ROWS) * BATCH,), generator=generator(seed))
    per_table = sizes.view(len(ROWS), BATCH).sum(1).tolist()
    ids = [
        torch.randint(0, rows, (count,), generator=generator(seed + rows))
        for rows, count in zip(ROWS, per_table, strict=True)
    ]
    return torch.cat(ids), torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])


LOOKUPS = {"ids": lambda seed: (some_ids(seed), None), "bags": some_bags}


def dense_lookup(tables: list[Tensor], ids: Tensor, offsets: Tensor | None, pooling: str) -> Tensor:
    """The same by one dense one-hot product per table: nothing in common with the code under test."""
    pooled = []
    for t, table in enumerate(tables):
        counts = torch.zeros(BATCH, len(table), dtype=table.dtype)
        for b in range(BATCH):
            bag = ids[b, t : t + 1] if offsets is None else ids[offsets[t * BATCH + b] : offsets[t * BATCH + b + 1]]
            for row in bag.tolist():
                counts[b, row] += 1 / (len(bag) if pooling == "mean" else 1)
        pooled.append(counts @ table)
    return torch.stack(pooled, 1)


@pytest.mark.parametrize("kind", LOOKUPS)
@pytest.mark.parametrize("pooling", ["sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lookup_and_gradient(kind: str, pooling: str, dtype: torch.dtype) -> None:
    module = EmbeddingTables(ROWS, DIM, pooling=pooling, generator=generator()).to(dtype)
    tables = [table.detach().double().requires_grad_() for table in module.tables]
    factor = torch.randn(BATCH, len(ROWS), DIM, generator=generator(9)).double()
    ids, offsets = LOOKUPS[kind](1)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    expected = dense_lookup(tables, ids, offsets, pooling)
    got = module(ids, offsets)
    assert got.dtype == dtype
    torch.testing.assert_close(got.detach().double(), expected.detach(), **tolerance)
    (expected * factor).sum().backward()
    (got * factor.to(dtype)).sum().backward()
    for grad, table in zip(module.dense_grads(), tables, strict=True):
        torch.testing.assert_close(grad.double(), table.grad, **tolerance)
    square = sum(float(table.grad.square().sum()) for table in tables)
    assert module.grad_sq_norm() == pytest.approx(square, rel=1e-5)
    assert all(table.grad is None for table in module.tables)


@pytest.mark.parametrize("kind", LOOKUPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_equal_torch_adagrad(kind: str, dtype: torch.dtype) -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator()).to(dtype)
    tables = [nn.Parameter(table.detach().clone()) for table in module.tables]
    optimizer = torch.optim.Adagrad(tables, lr=0.1, eps=1e-2)
    for step in range(6):
        ids, offsets = LOOKUPS[kind](step)
        for out in (module(ids, offsets), dense_lookup(tables, ids, offsets, "mean")):
            (out.square().sum() + out.sum()).backward()
        norm = float(nn.utils.clip_grad_norm_(tables, 5.0))
        assert module.grad_sq_norm() ** 0.5 == pytest.approx(norm, rel=1e-5)
        module.adagrad_step(lr=0.1, eps=1e-2, scale=min(1.0, 5.0 / (norm + 1e-6)))
        optimizer.step()
        optimizer.zero_grad()
        assert module.grad_sq_norm() == 0.0
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    for table, ours in zip(tables, module.tables, strict=True):
        torch.testing.assert_close(ours.detach(), table.detach(), **tolerance)
    for index, table in enumerate(tables):
        torch.testing.assert_close(
            module.state_dict()[f"adagrad.{index}"], optimizer.state[table]["sum"], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("kind", LOOKUPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_wise_steps_follow_their_formula(kind: str, dtype: torch.dtype) -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator()).to(dtype)
    module.start_optimizer("row_wise_adagrad")
    tables = [table.detach().double() for table in module.tables]
    sums = [torch.zeros(rows, dtype=torch.float64) for rows in ROWS]
    for step in range(4):
        (module(*LOOKUPS[kind](step)).square() * 3).sum().backward()
        for table, sum_, grad in zip(tables, sums, module.dense_grads(), strict=True):
            grad = 0.5 * grad.double()
            sum_ += grad.square().mean(1)
            table -= 0.1 * grad / (sum_.sqrt() + 1e-2)[:, None]
        module.adagrad_step(lr=0.1, eps=1e-2, scale=0.5)
    for index, (table, sum_) in enumerate(zip(tables, sums, strict=True)):
        torch.testing.assert_close(module.tables[index].double(), table, rtol=1e-4, atol=1e-5)
        assert module.state_dict()[f"adagrad.{index}"].shape == sum_.shape
        torch.testing.assert_close(module.state_dict()[f"adagrad.{index}"].double(), sum_, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="allowed: 'adagrad', 'row_wise_adagrad'"):
        module.start_optimizer("adam")  # type: ignore[arg-type]


@pytest.mark.parametrize("kinds", [("ids", "ids"), ("ids", "bags"), ("bags", "bags", "ids")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_lookups_add_up(kinds: tuple[str, ...], dtype: torch.dtype) -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator()).to(dtype)
    total = [torch.zeros_like(table) for table in module.tables]
    for seed, kind in enumerate(kinds):
        module(*LOOKUPS[kind](seed)).square().sum().backward()
        alone = copy.deepcopy(module)
        alone._pending = alone._pending[-1:]
        total = [sum_ + grad for sum_, grad in zip(total, alone.dense_grads(), strict=True)]
    for grad, expected in zip(module.dense_grads(), total, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-6)
    before = [table.clone() for table in module.tables]
    module.adagrad_step(lr=0.1, eps=1e-2, scale=0.5)
    for old, new, grad in zip(before, module.tables, total, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.05 * grad / (0.5 * grad.abs() + 1e-2), rtol=1e-5, atol=1e-6)


def test_nothing_is_left_pending_without_training() -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator())
    with torch.no_grad():
        assert not module(some_ids(0)).requires_grad
    assert not module.eval()(some_ids(0)).requires_grad
    module.train()(some_ids(0)).sum().backward()
    assert module.grad_sq_norm() > 0
    module.clear_pending()
    assert module.grad_sq_norm() == 0.0
    before = [table.clone() for table in module.tables]
    module.adagrad_step(lr=1.0, eps=0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, module.tables, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_id_beyond_its_table(dtype: torch.dtype) -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator()).to(dtype)
    ids = some_ids(0)
    ids[7, 1] = 3
    with pytest.raises(IndexError, match=r"table 1, position 7: id 3 is not in 0\.\.2"):
        module(ids)
    flat, offsets = some_bags(0)
    flat[-1] = -1
    with pytest.raises(IndexError, match=rf"table 2, position {len(flat) - 1}: id -1 is not in 0\.\.999"):
        module(flat, offsets)


def test_state_and_initial_values() -> None:
    module = EmbeddingTables((20000, 30), 16, generator=generator(3))
    assert list(module.state_dict()) == ["tables.0", "tables.1", "adagrad.0", "adagrad.1"]
    for table in module.tables:
        assert not table.requires_grad
        assert float(table.std()) == pytest.approx((2 / (table.shape[0] + 16)) ** 0.5, rel=0.15)  # Xavier normal
    again = EmbeddingTables((20000, 30), 16, generator=generator(3))
    assert torch.equal(again.tables[1], module.tables[1])
    again.load_state_dict(module.state_dict())
    assert EmbeddingTables((), 16)(torch.zeros(5, 0, dtype=torch.int64)).shape == (5, 0, 16)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantized(bits: int) -> None:
    module = EmbeddingTables(ROWS, DIM, generator=generator())
    copy_ = module.quantized(bits)
    for table, stored in zip(module.tables, copy_.tables, strict=True):
        step = float(table.abs().max()) / (2 ** (bits - 1) - 1)
        assert float((table - stored).abs().max()) <= step / 2 * 1.0001
        levels = (stored / step).round()
        torch.testing.assert_close(stored.detach(), levels * step)
        assert float(levels.abs().max()) == 2 ** (bits - 1) - 1
    assert not copy_.training
    with pytest.raises(ValueError, match="bits: 1, allowed: 2 to 16"):
        module.quantized(1)


@pytest.mark.parametrize("function", [dot_interaction, fm_interaction])
@pytest.mark.parametrize("shape", [(3, 1, 4), (5, 4, 3), (17, 27, 16)])
def test_interactions_equal_float64(function, shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=generator(), requires_grad=True)
    exact = x.detach().double().requires_grad_()
    got, expected = function(x), function(exact)
    torch.testing.assert_close(got.detach().double(), expected.detach(), rtol=0, atol=1e-4)
    factor = torch.randn(got.shape, generator=generator(1))
    (got * factor).sum().backward()
    (expected * factor.double()).sum().backward()
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=0, atol=1e-4)


@pytest.mark.parametrize("function", [dot_interaction, fm_interaction])
def test_gradcheck_of_the_float64_reference(function) -> None:
    x = torch.randn(3, 5, 4, dtype=torch.float64, generator=generator(), requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))


# In a process of its own: `malloc` of one that has run other tests has memory left over.
BUILD_TABLES = """
from nasrec.memory import peak_memory
from nasrec.model.embedding import EmbeddingTables
EmbeddingTables((2000, 5), 16)  # what the first tables load
with peak_memory() as nothing:
    pass
with peak_memory() as built:
    EmbeddingTables((1 << 20, 5), 16)
print(built.bytes - nothing.bytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="left out: reads /proc, which only Linux has")
def test_sums_of_large_tables_take_memory_once_they_are_trained() -> None:
    done = subprocess.run([sys.executable, "-c", BUILD_TABLES], capture_output=True, text=True, check=True)
    assert 60 * MIB < int(done.stdout) < 80 * MIB, "64 MiB of weights, as much again later"
    module = EmbeddingTables((1 << 20, 5), 16, generator=generator())
    sums = module.state_dict()["adagrad.0"]
    assert sums.shape == (1 << 20, 16) and sums.dtype == torch.float32 and sums.data_ptr() % 64 == 0
    assert not sums[::1000].any()
    module(torch.tensor([[7, 1], [(1 << 20) - 1, 1]])).sum().backward()
    module.adagrad_step(lr=0.1, eps=1e-2)
    assert set(sums.nonzero()[:, 0].tolist()) == {7, (1 << 20) - 1}
    again = copy.deepcopy(module)
    assert torch.equal(again.state_dict()["adagrad.0"], sums)
    again.adagrad.get_buffer("0").zero_()
    assert sums.any()
