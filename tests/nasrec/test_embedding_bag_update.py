"""The gradient of embedding tables and the step on rows: by hand, against float64, and the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_machine import on_every_machine, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.kernels.embedding_bag_update import OPTIMIZERS

EPS = float(np.finfo(np.float32).eps)


@st.composite
def cases(draw):
    """Rows of tables, ids, offsets, weights, gradient and pooling: many repeats or few, bags empty or long."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.lists(st.sampled_from([1, 2, 7, 3000]), min_size=1, max_size=4))
    dim, batch = draw(st.sampled_from([1, 3, 8, 16, 20, 64, 144])), draw(st.sampled_from([0, 1, 2, 50, 150]))
    if draw(st.booleans()):
        ids, offsets = np.stack([rng.integers(0, count, batch) for count in rows], 1), None
    else:
        sizes = rng.integers(0, draw(st.integers(1, 60)), len(rows) * batch)
        per_table = sizes.reshape(len(rows), batch).sum(1)
        ids = np.concatenate([rng.integers(0, count, size) for count, size in zip(rows, per_table, strict=True)])
        offsets = np.concatenate([[0], np.cumsum(sizes)])
    pooling = draw(st.sampled_from(["sum", "mean", "weighted"]))
    weights = rng.uniform(-1, 1, ids.shape).astype(np.float32) if pooling == "weighted" else None
    grad = rng.standard_normal((batch, len(rows), dim)).astype(np.float32)
    return rows, ids, offsets, grad, {"weights": weights, "pooling": "sum" if weights is not None else pooling}


@settings(max_examples=60, deadline=None)
@given(cases())
def test_coalesce(case) -> None:
    rows, ids, offsets, grad, how = case
    exact = kernels.embedding_bag_coalesce(
        rows, ids, offsets, grad.astype(np.float64), implementation="reference", **how
    )
    results = on_every_machine(lambda: kernels.embedding_bag_coalesce(rows, ids, offsets, grad, **how))
    norms = on_every_machine(lambda: kernels.embedding_bag_square_norm(rows, ids, offsets, grad, **how))
    assert {result.square for result in results} == set(norms)
    assert len(set(norms)) == 1
    error, square = 0.0, 0.0
    for table in range(len(rows)):
        touched, values = exact.of_table(table)
        same_bits([result.of_table(table)[1] for result in results])
        for result in results:
            np.testing.assert_array_equal(result.of_table(table)[0], touched)
        # a row's sum of n terms below 6 in size, each rounded once, has an error below n * (n + 1) * 6 * eps / 2
        most = 1 if len(ids) == 0 else int(np.bincount(ids.ravel()).max())
        bound = 3 * EPS * most * (most + 1)
        np.testing.assert_allclose(results[0].of_table(table)[1], values, rtol=0, atol=bound)
        error += 2 * bound * np.abs(values).sum() + bound**2 * values.size
        square += float(np.square(values).sum())
    assert abs(results[0].square - square) <= error
    assert exact.square == pytest.approx(square)


@pytest.mark.parametrize("dim", [3, 8, 20, 24])
def test_an_infinite_weight_makes_no_nan(dim: int) -> None:
    """Not out of the registers' lanes beyond a row's end either."""
    weights = np.array([[np.inf], [1]], np.float32)
    how = {"weights": weights, "pooling": "sum"}
    ids, grad = np.array([[1], [2]]), np.ones((2, 1, dim), np.float32)
    for found in on_every_machine(lambda: kernels.embedding_bag_coalesce([4], ids, None, grad, **how)):
        assert found.square == np.inf and (found.of_table(0)[1] == weights).all()


def start(rows: list[int], dim: int, optimizer: str, kind: type = np.float32) -> tuple[list, list | None]:
    """Tables of ones and states of a quarter."""
    tables = [np.ones((count, dim), kind) for count in rows]
    if optimizer == "sgd":
        return tables, None
    return tables, [np.full((count, dim) if optimizer == "adagrad" else count, 0.25, kind) for count in rows]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_update_is_coalesce_and_step(optimizer: str, case) -> None:
    rows, ids, offsets, grad, how = case
    options = {"optimizer": optimizer, "lr": 0.1, "eps": 0.01}

    def in_one() -> np.ndarray:
        tables, states = start(rows, grad.shape[2], optimizer)
        for scale in (1.0, 0.5):
            kernels.embedding_bag_update(tables, states, ids, offsets, grad, scale=scale, **options, **how)
        return np.concatenate([array.ravel() for array in tables + (states or [])])

    def in_two(kind: type = np.float32, implementation: str = "kernel") -> np.ndarray:
        tables, states = start(rows, grad.shape[2], optimizer, kind)
        for scale in (1.0, 0.5):
            gradients = kernels.embedding_bag_coalesce(
                rows, ids, offsets, grad.astype(kind), implementation=implementation, **how
            )
            kernels.embedding_bag_step(tables, states, gradients, scale=scale, implementation=implementation, **options)
        return np.concatenate([array.ravel() for array in tables + (states or [])])

    got = same_bits(on_every_machine(in_one) + on_every_machine(in_two))
    # sums of up to some thousand lookups; where they cancel, their error counts against the size of the terms
    most = 1 if len(ids) == 0 else int(np.bincount(ids.ravel()).max())
    np.testing.assert_allclose(got, in_two(np.float64, "reference"), rtol=1e-5 * most, atol=1e-6 * most)


@pytest.mark.parametrize(
    ("optimizer", "state", "row", "sums"),
    [
        # the row's gradient is (1, 2) + (2, 2) = (3, 4), halved by scale: (1.5, 2)
        ("sgd", None, [8.5, 8.0], None),
        ("adagrad", [[4.0, 5.0]], [10 - 1.5 / (2.5 + 0.5), 10 - 2 / (3 + 0.5)], [[6.25, 9.0]]),
        # mean square (2.25 + 4) / 2 = 3.125, and 3.125 + 5.875 = 9
        ("row_wise_adagrad", [5.875], [10 - 1.5 / 3.5, 10 - 2 / 3.5], [9.0]),
    ],
)
def test_a_step_by_hand(optimizer: str, state, row: list[float], sums) -> None:
    table = np.full((3, 2), 10, np.float32)
    states = None if state is None else [np.repeat(np.array(state, np.float32), 3, axis=0)]
    grad = np.array([[[1, 2]], [[2, 2]]], np.float32)
    kernels.embedding_bag_update(
        [table], states, np.array([[1], [1]]), None, grad, optimizer=optimizer, lr=1.0, eps=0.5, scale=0.5
    )
    np.testing.assert_allclose(table, [[10, 10], row, [10, 10]], rtol=1e-6)
    if states is not None:
        np.testing.assert_allclose(states[0][1], sums[0], rtol=1e-6)
        np.testing.assert_array_equal(states[0][[0, 2]], np.repeat(np.array(state, np.float32), 2, axis=0))


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_equal_to_torch_with_dense_gradients(optimizer: str) -> None:
    rng = np.random.default_rng(3)
    dense = torch.from_numpy(rng.standard_normal((40, 24)).astype(np.float32)).requires_grad_()
    table = dense.detach().numpy().copy()
    state = None if optimizer == "sgd" else [np.zeros_like(table)]
    theirs = torch.optim.SGD([dense], lr=0.1) if optimizer == "sgd" else torch.optim.Adagrad([dense], lr=0.1, eps=1e-8)
    for _ in range(3):
        ids, grad = rng.integers(0, 40, (30, 1)), rng.standard_normal((30, 1, 24)).astype(np.float32)
        kernels.embedding_bag_update([table], state, ids, None, grad, optimizer=optimizer, lr=0.1, eps=1e-8)
        theirs.zero_grad()
        torch.nn.functional.embedding(torch.from_numpy(ids), dense).backward(torch.from_numpy(grad))
        theirs.step()
    np.testing.assert_allclose(table, dense.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["uniform", "skewed", "one id", "two ids", "below the cut"])
def test_a_table_with_nearly_all_lookups(kind: str) -> None:
    """It is cut into ranges of ids; rows at the cuts, hot rows and cuts that fall together change nothing."""
    rng = np.random.default_rng(4)
    many = 8191 if kind == "below the cut" else 60_000
    draw = {
        "uniform": rng.integers(0, 5000, many),
        "skewed": (5000 * rng.random(many) ** 8).astype(np.int64),
        "one id": np.full(many, 7),
        "two ids": rng.integers(0, 2, many) * 4999,
        "below the cut": rng.integers(0, 5000, many),
    }
    batch, rows = 100, [3, 5000, 900]
    sizes = np.concatenate([np.ones(batch), np.diff(np.linspace(0, many, batch + 1).astype(int)), np.full(batch, 9)])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ids = np.concatenate([rng.integers(0, 3, batch), draw[kind], rng.integers(0, 900, 9 * batch)])
    grad = rng.integers(-4, 5, (batch, 3, 6)).astype(np.float32)  # whole numbers: every sum is exact

    def run() -> np.ndarray:
        result = kernels.embedding_bag_coalesce(rows, ids, offsets, grad, pooling="sum")
        norm = kernels.embedding_bag_square_norm(rows, ids, offsets, grad, pooling="sum")
        tables, _ = start(rows, 6, "sgd")
        kernels.embedding_bag_update(tables, None, ids, offsets, grad, optimizer="sgd", lr=-1.0, pooling="sum")
        dense = [np.ones_like(table) for table in tables]
        for t, table in enumerate(dense):
            touched, values = result.of_table(t)
            assert (np.diff(touched) > 0).all()
            table[touched] += values
        same_bits([np.concatenate(dense), np.concatenate(tables)])
        return np.append(np.concatenate(tables).ravel(), [result.square, norm])

    got = same_bits(on_every_machine(run))
    expected = [np.ones((count, 6)) for count in rows]
    sample = np.repeat(np.tile(np.arange(batch), 3), sizes.astype(int))
    table = np.repeat(np.arange(3), sizes.reshape(3, batch).sum(1).astype(int))
    for t in range(3):
        np.add.at(expected[t], ids[table == t], grad[sample[table == t], t].astype(np.float64))
    np.testing.assert_array_equal(got[:-2], np.concatenate(expected).ravel())
    assert got[-1] == got[-2] == np.square(np.concatenate(expected) - 1).sum()


def test_a_table_of_fifty_million_rows() -> None:
    """Memory that no lookup touches is never looked at: these tables are larger than what would be given."""
    count = 50_000_000
    tables, states = [np.zeros((count, 4), np.float32)], [np.zeros(count, np.float32)]
    ids = np.array([[count - 1], [0], [count // 2], [count - 1]])
    grad = np.ones((4, 1, 4), np.float32)
    for _ in range(50):  # work that grew with the table would take minutes
        kernels.embedding_bag_update(tables, states, ids, None, grad, optimizer="row_wise_adagrad", lr=0.1)
    assert states[0][[0, 1, count // 2, count - 2, count - 1]].tolist() == [50, 0, 50, 0, 200]
    assert (tables[0][[1, count // 2 - 1, count // 2 + 1, count - 2]] == 0).all()


def test_ids_far_beyond_the_radix_digits() -> None:
    """Rows up to 2^32 - 1, few lookups and many; the tables themselves are not needed."""
    rng = np.random.default_rng(1)
    for lookups in (20, 5000):
        ids = rng.choice([0, 5, 2**11, 2**22 - 1, 2**31, 2**32 - 1], (lookups, 1))
        grad = np.ones((lookups, 1, 1), np.float32)
        result = kernels.embedding_bag_coalesce([2**32], ids, None, grad, pooling="sum")
        rows, counts = np.unique(ids, return_counts=True)
        np.testing.assert_array_equal(result.of_table(0)[0], rows)
        np.testing.assert_array_equal(result.of_table(0)[1][:, 0], counts)


def test_strided_and_read_only_inputs() -> None:
    rng = np.random.default_rng(2)
    ids, weights = rng.integers(0, 9, (7, 2)), rng.standard_normal((7, 2)).astype(np.float32)
    grad = rng.standard_normal((7, 2, 5)).astype(np.float32)
    expected = kernels.embedding_bag_coalesce([9, 9], ids, None, grad, weights=weights, pooling="sum")
    others = [np.asfortranarray(ids), np.repeat(grad, 2, axis=2)[..., ::2], np.asfortranarray(weights)]
    for array in others:
        array.flags.writeable = False
    got = kernels.embedding_bag_coalesce([9, 9], others[0], None, others[1], weights=others[2], pooling="sum")
    for table in range(2):
        same_bits([got.of_table(table)[1], expected.of_table(table)[1]])


@pytest.mark.parametrize("bad", [-1, 3, 2**63 - 1, -(2**63)])
def test_id_out_of_range_names_the_place_and_changes_nothing(bad: int) -> None:
    ids, grad = np.zeros((4, 2), np.int64), np.ones((4, 2, 2), np.float32)
    ids[2, 1] = bad
    message = rf"table 1, position 2: id {bad} is not in 0\.\.2"
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag_coalesce([5, 3], ids, None, grad)
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag_square_norm([5, 3], ids, None, grad)
    tables, states = start([5, 3], 2, "adagrad")
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag_update(tables, states, ids, None, grad, optimizer="adagrad", lr=1.0)
    assert all((table == 1).all() for table in tables)
    assert all((state == 0.25).all() for state in states or [])


def test_a_step_that_is_refused_changes_nothing() -> None:
    tables, states = [np.ones((3, 2), np.float32)], [np.zeros((3, 2), np.float32)]
    ids, grad = np.array([[0], [2]]), np.ones((2, 1, 2), np.float32)
    good = kernels.embedding_bag_coalesce([3], ids, None, grad)
    bad = kernels.RowGradients(good.starts, good.counts, np.array([0, 3]), good.values, 1.0)
    options = {"optimizer": "adagrad", "lr": 1.0}
    with pytest.raises(IndexError, match=r"table 0, position 1: id 3 is not in 0\.\.2"):
        kernels.embedding_bag_step(tables, states, bad, **options)
    wrong = [
        ({"optimizer": "adam"}, tables, states, r"optimizer: 'adam', allowed: 'adagrad', 'row_wise_adagrad', 'sgd'"),
        ({}, tables, tables, "same memory"),
        ({}, tables, None, "states: None"),
        ({}, tables, [], "states: 0 arrays for 1 tables"),
        ({"optimizer": "sgd"}, tables, states, "states: given"),
        ({"optimizer": "row_wise_adagrad"}, tables, states, r"states\[0\]: shape \(3, 2\), expected \(3\)"),
        ({}, [np.ones((3, 4), np.float32)], states, r"tables\[0\]: shape \(3, 4\), expected \(3, 2\)"),
    ]
    for change, some_tables, some_states, message in wrong:
        with pytest.raises(ValueError, match=message):
            kernels.embedding_bag_step(some_tables, some_states, good, **{**options, **change})
        with pytest.raises(ValueError, match=message):
            kernels.embedding_bag_update(some_tables, some_states, ids, None, grad, **{**options, **change})
    pool = np.ones((5, 2), np.float32)
    with pytest.raises(ValueError, match=r"tables\[1\]: the same memory"):
        both, of_both = np.array([[0, 0]]), np.ones((1, 2, 2), np.float32)
        kernels.embedding_bag_update([pool[:3], pool[2:]], None, both, None, of_both, optimizer="sgd", lr=1.0)
    with pytest.raises(ValueError, match="weights: only with pooling 'sum'"):
        kernels.embedding_bag_coalesce([3], ids, None, grad, weights=np.ones((2, 1), np.float32))
    assert (tables[0] == 1).all()
    assert (states[0] == 0).all()
    assert (pool == 1).all()
    tables[0].flags.writeable = False
    with pytest.raises(ValueError, match=r"tables\[0\]: read-only"):
        kernels.embedding_bag_step(tables, states, good, **options)
    with pytest.raises(TypeError, match="changed in place"):
        kernels.embedding_bag_step([np.ones((2, 3), np.float32).T], states, good, **options)
