"""Look-up of many tables as an operator of torch: definition, gradients, precisions, registration, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

from nasrec.model.embedding_op import embedding_bag

OPS = torch.ops.nasrec
ROWS, DIM, BATCH = (5, 1, 9), 6, 4
KINDS = ("ids", "bags")
POOLINGS = ("mean", "sum", "weighted")
# mantissas of 24, 53, 11 and 8 bits
DTYPES = {torch.float32: 2.0**-24, torch.float64: 2.0**-53, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


class Lookup:
    """Tables, ids and weights, drawn the same way each time, and the look-up as a product with a matrix of counts."""

    def __init__(self, kind: str, pooling: str, dtype: torch.dtype = torch.float32, *, grad: bool = True) -> None:
        generator = torch.Generator().manual_seed(3)
        result = torch.float64 if dtype == torch.float64 else torch.float32
        self.tables = [torch.randn(n, DIM, generator=generator).to(dtype).requires_grad_(grad) for n in ROWS]
        sizes = torch.ones(len(ROWS) * BATCH, dtype=torch.int64)
        if kind == "bags":  # empty ones among them, at the beginning and at the end too
            sizes = torch.tensor([0, 3, 2, 1, 0, 0, 2, 0, 4, 1, 1, 0])
        of_table = torch.repeat_interleave(torch.arange(len(ROWS)), sizes.view(len(ROWS), BATCH).sum(1))
        flat = (torch.rand(len(of_table), generator=generator) * torch.tensor(ROWS)[of_table]).long()
        weights = torch.randn(len(flat), generator=generator, dtype=result)
        self.offsets = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
        self._flat, self._of_table, self._of_bag = flat, of_table, torch.repeat_interleave(sizes)
        self._sizes, self.pooling = sizes, "sum" if pooling == "weighted" else pooling
        if kind == "ids":
            self.ids, self.offsets_or_none = flat.view(len(ROWS), BATCH).t(), None
            weights = weights.view(len(ROWS), BATCH).t()
        else:
            self.ids, self.offsets_or_none = flat, self.offsets
        self.weights = weights.detach().requires_grad_(grad) if pooling == "weighted" else None

    def arguments(self) -> tuple[list[Tensor], Tensor, Tensor | None, Tensor | None, str]:
        """For the operator."""
        return self.tables, self.ids, self.offsets_or_none, self.weights, self.pooling

    def leaves(self) -> list[Tensor]:
        """All that can have a gradient."""
        return [*self.tables, *([] if self.weights is None else [self.weights])]

    def call(self, *leaves: Tensor) -> Tensor:
        """The function, of other tables and weights."""
        weights = leaves[len(ROWS)] if self.weights is not None else None
        return embedding_bag(leaves[: len(ROWS)], self.ids, self.offsets_or_none, weights=weights, pooling=self.pooling)

    def product(self, *leaves: Tensor) -> Tensor:
        """The same as one dense product per table: nothing in common with the code under test."""
        factors = torch.ones(len(self._flat), dtype=torch.float64)
        if self.weights is not None:
            factors = leaves[-1].t().reshape(-1) if self.offsets_or_none is None else leaves[-1]
        if self.pooling == "mean":
            factors = factors / self._sizes[self._of_bag]
        pooled = []
        for table, rows in enumerate(ROWS):
            counts = torch.zeros(len(ROWS) * BATCH, rows, dtype=torch.float64)
            mine = self._of_table == table
            counts = counts.index_put((self._of_bag[mine], self._flat[mine]), factors[mine], accumulate=True)
            pooled.append(counts[table * BATCH : (table + 1) * BATCH] @ leaves[table])
        return torch.stack(pooled, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_definition_and_gradients(kind: str, pooling: str, dtype: torch.dtype) -> None:
    """Within eight roundings: of the sums for the result, of a row's own precision for its gradient."""
    lookup = Lookup(kind, pooling, dtype)
    leaves = lookup.leaves()
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    result_dtype = torch.float64 if dtype == torch.float64 else torch.float32
    expected = lookup.product(*exact)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(4)).to(result_dtype)
    expected_grads = torch.autograd.grad(expected, exact, grad.double())
    sizes = [leaf.detach().abs().requires_grad_() for leaf in exact]
    bound = lookup.product(*sizes)
    slopes = torch.autograd.grad(bound, sizes, grad.double().abs())
    got = lookup.call(*leaves)
    assert (got.shape, got.dtype) == ((BATCH, len(ROWS), DIM), result_dtype)
    assert ((got.double() - expected).abs() <= 8 * DTYPES[result_dtype] * bound).all()
    for leaf, mine, true, slope in zip(
        leaves, torch.autograd.grad(got, leaves, grad), expected_grads, slopes, strict=True
    ):
        assert (mine.shape, mine.dtype) == (leaf.shape, leaf.dtype)
        assert ((mine.double() - true).abs() <= 8 * DTYPES[leaf.dtype] * slope).all()
    with torch.no_grad():
        assert torch.equal(lookup.call(*leaves), got)
    assert not lookup.call(*(leaf.detach() for leaf in leaves)).requires_grad


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_in_float64(kind: str, pooling: str) -> None:
    lookup = Lookup(kind, pooling, torch.float64)
    assert torch.autograd.gradcheck(lookup.call, lookup.leaves())


@pytest.mark.parametrize(
    ("kind", "pooling", "dtype"),
    [(kind, pooling, torch.float32) for kind in KINDS for pooling in POOLINGS]
    + [("bags", "mean", torch.float64), ("ids", "weighted", torch.float64), ("bags", "weighted", torch.bfloat16)],
    ids=str,
)
def test_registration(kind: str, pooling: str, dtype: torch.dtype) -> None:
    lookup = Lookup(kind, pooling, dtype)
    torch.library.opcheck(OPS.embedding_bag.default, lookup.arguments())
    *arguments, pooling_ = Lookup(kind, pooling, dtype, grad=False).arguments()
    grad = torch.ones(BATCH, len(ROWS), DIM, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    torch.library.opcheck(OPS.embedding_bag_backward.default, (*arguments, grad, pooling_))
    if pooling == "weighted":
        torch.library.opcheck(OPS.embedding_bag_weights_backward.default, (*arguments, grad))


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    lookup = Lookup("bags", "weighted", grad=False)
    for leaf in lookup.leaves():
        others = [other.detach().requires_grad_(other is leaf) for other in lookup.leaves()]
        lookup.call(*others).sum().backward()
        assert [other.grad is not None for other in others] == [other is leaf for other in lookup.leaves()]


def test_tables_that_are_not_contiguous() -> None:
    lookup = Lookup("bags", "mean")
    apart = [table.detach().t().contiguous().t().requires_grad_() for table in lookup.tables]
    assert not apart[0].is_contiguous()
    torch.library.opcheck(OPS.embedding_bag.default, (apart, *lookup.arguments()[1:]))
    assert torch.equal(lookup.call(*apart), lookup.call(*lookup.tables))


def test_an_empty_batch() -> None:
    tables = [table.detach().requires_grad_() for table in Lookup("ids", "mean").tables]
    for ids, offsets in ((torch.zeros(0, len(ROWS)).long(), None), (torch.zeros(0).long(), torch.zeros(1).long())):
        for dtype in (torch.float32, torch.float64):
            got = embedding_bag([table.to(dtype) for table in tables], ids, offsets)
            assert got.shape == (0, len(ROWS), DIM)
            got.sum().backward()
            assert not any(table.grad.any() for table in tables)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_bad_arguments_are_named(dtype: torch.dtype) -> None:
    lookup = Lookup("ids", "mean", dtype)
    ids = lookup.ids.clone()
    ids[2, 1] = 1
    with pytest.raises(IndexError, match=r"table 1, position 2: id 1 is not in 0\.\.0"):
        embedding_bag(lookup.tables, ids)
    with pytest.raises(ValueError, match="pooling: 'max', allowed: 'sum' or 'mean'"):
        embedding_bag(lookup.tables, ids, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights: only with pooling 'sum'"):
        embedding_bag(lookup.tables, ids, weights=torch.ones(ids.shape))
    with pytest.raises(ValueError, match="tables: an empty list"):
        embedding_bag([], ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("offsets", "said"),
    [
        ([0, 2, 2, 4, 6], r"offsets\[4\]: 6, expected the number of ids, 7"),
        ([1, 2, 2, 4, 7], r"offsets\[0\]: 1, expected 0"),
        ([0, 2, 2, 4, 7, 7], r"offsets: 6 numbers, expected tables \* batch \+ 1 with 2 tables"),
        ([0, 2, 2, 4, 9], r"offsets\[4\]: 9, expected 4\.\.7"),
        ([0, -1, 2, 4, 7], r"offsets\[1\]: -1, expected 0\.\.7"),
        ([0, 3, 2, 4, 7], r"offsets\[2\]: 2, expected 3\.\.7"),
        ([], r"offsets: 0 numbers, expected tables \* batch \+ 1 with 2 tables"),
    ],
)
def test_bad_offsets_are_named(dtype: torch.dtype, offsets: list[int], said: str) -> None:
    tables, ids = [torch.ones(3, 2, dtype=dtype)] * 2, torch.zeros(7, dtype=torch.int64)
    with pytest.raises(ValueError, match=said):
        embedding_bag(tables, ids, torch.tensor(offsets, dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_ids_and_offsets_of_another_kind_are_named(dtype: torch.dtype) -> None:
    tables, ids = [torch.ones(3, 2, dtype=dtype)] * 2, torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(TypeError, match="ids: dtype int32, expected int64"):
        embedding_bag(tables, ids.int())
    with pytest.raises(TypeError, match="offsets: dtype int32, expected int64"):
        embedding_bag(tables, ids[0], torch.tensor([0, 1, 2], dtype=torch.int32))
    with pytest.raises(ValueError, match=r"ids: shape \(2, 1\), expected \(2, 2\)"):
        embedding_bag(tables, ids[:, :1])
    with pytest.raises(ValueError, match="expected 1 dimensions"):
        embedding_bag(tables, ids, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_derivative_in_forward_mode_is_refused(dtype: torch.dtype) -> None:
    table, ids = torch.ones(3, 2, dtype=dtype), torch.zeros(2, 1, dtype=torch.int64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(table, torch.ones_like(table))
        with pytest.raises(NotImplementedError, match="embedding_bag: no derivative in forward mode"):
            embedding_bag([dual], ids)
        assert torch.equal(embedding_bag([table], ids), torch.ones(2, 1, 2, dtype=dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_fake_tensors_have_the_shape(kind: str) -> None:
    tables, ids, offsets, _, pooling = Lookup(kind, "mean").arguments()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = embedding_bag(
            [mode.from_tensor(table) for table in tables], mode.from_tensor(ids),
            None if offsets is None else mode.from_tensor(offsets), pooling=pooling,
        )  # fmt: skip
    assert (fake.shape, fake.dtype) == ((BATCH, len(ROWS), DIM), torch.float32)
