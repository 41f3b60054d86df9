"""Workloads from torch modules, against layers counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec, Workload
from pimsim.importers import workload_from_torch


class Recommender(nn.Module):
    """Two tables, a bottom and a top layer."""

    def __init__(self) -> None:
        super().__init__()
        self.single = nn.Embedding(50, 8)
        self.bag = nn.EmbeddingBag(90, 8, mode="sum")
        self.bottom = nn.Linear(13, 8)
        self.top = nn.Linear(24, 1)

    def forward(self, dense: Tensor, ids: Tensor, bag: Tensor) -> Tensor:
        x = torch.relu(self.bottom(dense))
        joined = torch.cat([x, self.single(ids), self.bag(bag)], dim=1)
        return torch.sigmoid(self.top(joined))


class Written(nn.Module):
    """A function with the weights that it wants."""

    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


def ids(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.long)


def recommender(batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(batch, 13), ids(batch), ids(batch, 5)


def kinds(workload: Workload) -> list[str]:
    return [op.kind if isinstance(op, Elementwise) else op.op for op in workload.ops]


def test_a_recommender() -> None:
    workload = workload_from_torch(Recommender(), *recommender(), name="small", weight_bits=4, element_bits=16)
    assert workload.ops == (
        MatVec("bottom", 13, 8, 1, 4),
        Elementwise("relu", "relu", 8, after=("bottom",)),
        Gather("single", 50, 8, 1, 1, 16),
        Gather("bag", 90, 8, 1, 5, 16),
        MatVec("top", 24, 1, 1, 4, after=("relu", "single", "bag")),
        Elementwise("sigmoid", "sigmoid", 1, after=("top",)),
    )


def test_a_batch_is_divided() -> None:
    assert workload_from_torch(Recommender(), *recommender(6), batch=6) == workload_from_torch(
        Recommender(), *recommender())
    with pytest.raises(InputError, match=r"bottom: its 6 vectors are no multiple of batch=4"):
        workload_from_torch(Recommender(), *recommender(6), batch=4)


def test_bits_by_name_and_pattern() -> None:
    layers = {"bag": {"element_bits": 4}, "*o*": {"weight_bits": 2}, "top": {"weight_bits": 3, "output_bits": 12}}
    ops = {op.name: op for op in workload_from_torch(Recommender(), *recommender(), input_bits=6, layers=layers).ops}
    assert ops["bag"] == Gather("bag", 90, 8, 1, 5, 4)
    assert ops["single"].element_bits == 8
    assert ops["bottom"] == MatVec("bottom", 13, 8, 1, 2, 6)
    assert (ops["top"].weight_bits, ops["top"].output_bits) == (3, 12)
    assert ops["relu"].input_bits == 6


@pytest.mark.parametrize(("layers", "message"), [
    ({"botom": {"weight_bits": 4}}, "layers has 'weight_bits' for 'botom'"),
    ({"bag": {"weight_bits": 4}}, "layers has 'weight_bits' for 'bag'"),
    ({"bag": {"bits": 4}}, "layers, 'bag': unknown field 'bits', allowed: weight_bits"),
    ({"top": {"weight_bits": 0}}, "top: field 'weight_bits' is 0"),
])
def test_bits_that_concern_nothing_are_refused(layers: dict[str, dict[str, int]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        workload_from_torch(Recommender(), *recommender(), layers=layers)
    assert message in str(caught.value)


def test_a_convolution_is_one_vector_per_position() -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 10))
    workload = workload_from_torch(network, torch.zeros(1, 3, 8, 8))
    assert workload.ops[0] == MatVec("0", 27, 16, 64)
    assert [op.op for op in workload.ops] == ["matvec", "elementwise", "matvec"]
    assert workload.macs == 27 * 16 * 64 + 1024 * 10


def test_every_group_has_a_matrix_of_its_own() -> None:
    network = nn.Sequential(nn.Conv1d(6, 9, 2, stride=2, groups=3), nn.ReLU())
    workload = workload_from_torch(network, torch.zeros(1, 6, 10))
    groups = tuple(f"0.group{index}" for index in range(3))
    assert workload.ops == (*(MatVec(name, 4, 3, 5) for name in groups),
                            Elementwise("1.relu", "relu", 45, after=groups))


def test_a_transposed_convolution_adds_windows_up() -> None:
    workload = workload_from_torch(nn.ConvTranspose2d(4, 3, 2, stride=2), torch.zeros(1, 4, 5, 5))
    first, second = workload.ops
    assert (first.inputs, first.outputs, first.vectors) == (4, 3 * 4, 25)
    assert (second.kind, second.count) == ("add", 3 * 4 * 25)


def test_what_a_matrix_can_hold_is_free() -> None:
    """Normalisation behind a convolution is part of its weights; behind a sum, or where others read it, it is not."""
    layers = {"conv": nn.Conv2d(2, 5, 3, padding=1), "norm": nn.BatchNorm2d(5)}
    example = torch.zeros(1, 2, 4, 4)
    folded = Written(lambda m, x: m.norm(m.conv(x)), **layers)
    assert kinds(workload_from_torch(folded, example)) == ["matvec"]
    read_twice = Written(lambda m, x: m.norm(y := m.conv(x)) + y, **layers)
    assert kinds(workload_from_torch(read_twice, example)) == ["matvec", "rescale", "add"]
    after_relu = Written(lambda m, x: m.norm(m.conv(x).relu()), **layers)
    assert kinds(workload_from_torch(after_relu, example)) == ["matvec", "relu", "rescale"]


def test_factors_and_shifts() -> None:
    fc = nn.Linear(6, 4, bias=False)
    per_output = Written(lambda m, x: m.fc(x) * torch.arange(4.0) + 1.0, fc=fc)
    assert kinds(workload_from_torch(per_output, torch.zeros(1, 4, 6))) == ["matvec"]
    per_position = Written(lambda m, x: m.fc(x) * torch.arange(4.0)[:, None], fc=fc)
    assert kinds(workload_from_torch(per_position, torch.zeros(1, 4, 6))) == ["matvec", "multiply"]
    one_number = Written(lambda m, x: torch.relu(x) / 3.0)
    assert kinds(workload_from_torch(one_number, torch.zeros(1, 6))) == ["relu"]
    quotient = Written(lambda m, x: 3.0 / torch.relu(x))
    assert kinds(workload_from_torch(quotient, torch.zeros(1, 6))) == ["relu", "sigmoid"]


def test_what_goes_into_each_number() -> None:
    """Activations as large as the result, each once; not what is known beforehand, nor what is repeated."""
    def operands(function: Callable[..., Tensor], *inputs: Tensor) -> list[tuple[str, int, int]]:
        workload = workload_from_torch(Written(lambda m, *xs: function(*xs)), *inputs)
        return [(op.kind, op.count, op.operands) for op in workload.ops if isinstance(op, Elementwise)]

    x, y, one = torch.zeros(1, 6), torch.zeros(1, 6), torch.zeros(1, 1)
    assert operands(lambda x, y: x * y + x, x, y) == [("multiply", 6, 2), ("add", 6, 2)]
    assert operands(lambda x: x * x, x) == [("multiply", 6, 1)]
    assert operands(lambda x: x + torch.arange(6.0), x) == [("add", 6, 1)]
    assert operands(lambda x, one: x * one, x, one) == [("multiply", 6, 1)]
    assert operands(lambda x, y: x / y, x, y) == [("rescale", 6, 2)]
    assert operands(lambda x, y: torch.maximum(x, y), x, y) == [("max", 6, 2)]
    assert operands(functional.silu, x) == [("sigmoid", 6, 1), ("multiply", 6, 2)]
    assert operands(functional.glu, x) == [("sigmoid", 3, 1), ("multiply", 3, 2)]
    assert operands(lambda x: x.softmax(1), x) == [("softmax", 6, 1)]
    assert operands(lambda x: x.max(1).values, x) == [("max", 1, 6)]
    assert operands(lambda x: x.reshape(1, 2, 3).mean(1), x) == [("add", 3, 2)]
    assert operands(lambda x: functional.avg_pool1d(x, 2), torch.zeros(1, 4, 6)) == [("add", 12, 2)]


def test_a_reduction_in_a_batch() -> None:
    own = workload_from_torch(Written(lambda m, x: x.sum(1)), torch.zeros(4, 6), batch=4)
    assert own.ops == (Elementwise("sum", "add", 1, operands=6),)
    of_all = workload_from_torch(Written(lambda m, x: x.sum(0)), torch.zeros(4, 6), batch=4)
    assert of_all.ops == (Elementwise("sum", "add", 6),)  # an inference's share


def test_weights_used_twice_are_stored_once() -> None:
    network = Written(lambda m, x, y: m.fc(torch.relu(m.fc(x))) + m.fc(y), fc=nn.Linear(4, 4))
    workload = workload_from_torch(network, torch.zeros(1, 4), torch.zeros(1, 2, 4))
    assert workload.ops == (
        MatVec("fc", 4, 4, 1 + 1 + 2), Elementwise("relu", "relu", 4, after=("fc",)),
        Elementwise("add", "add", 8, after=("fc", "relu")))
    assert workload_from_torch(Written(lambda m, i, j: m.table(i) + m.table(j).sum(1), table=nn.Embedding(9, 3)),
                               ids(1), ids(1, 4)).ops[0] == Gather("table", 9, 3, 2, 2.5)


def test_rows_summed_straight_away_are_bags() -> None:
    table = nn.Embedding(30, 4)
    summed = workload_from_torch(Written(lambda m, x: m.table(x).sum(1), table=table), ids(1, 7))
    assert summed.ops == (Gather("table", 30, 4, 1, 7.0),)
    within = workload_from_torch(Written(lambda m, x: m.table(x).sum(-1), table=table), ids(1, 7))
    assert kinds(within) == ["gather", "add"]
    also_read = workload_from_torch(Written(lambda m, x: (y := m.table(x)) + y.mean(1, keepdim=True), table=table),
                                    ids(1, 7))
    assert also_read.ops[0] == Gather("table", 30, 4, 7, 1.0)
    weighted = Written(lambda m, x, w: m.bag(x, per_sample_weights=w), bag=nn.EmbeddingBag(30, 4, mode="sum"))
    assert kinds(workload_from_torch(weighted, ids(1, 7), torch.ones(1, 7))) == ["gather", "multiply", "add"]


def test_products_of_activations() -> None:
    def fn(_: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("bnd,bmd->bnm", x, y) @ torch.softmax(y, -1)

    x, y = torch.zeros(1, 5, 3), torch.zeros(1, 7, 3)
    first, softmax, second = workload_from_torch(Written(fn), x, y).ops
    assert (first.rows, first.inner, first.columns, first.count) == (5, 3, 7, 1)
    assert (second.rows, second.inner, second.columns) == (5, 7, 3)
    assert second.after == (first.name, softmax.name)


def test_a_stored_matrix_on_the_left() -> None:
    mix = Written(lambda m, x: m.fc.weight @ x, fc=nn.Linear(5, 8))
    workload = workload_from_torch(mix, torch.zeros(1, 5, 3))
    assert workload.ops == (MatVec("fc", 5, 8, 3),)


@pytest.mark.parametrize("training", [True, False])
def test_attention(training: bool) -> None:
    """Self-attention of 6 positions with 2 heads of 4 numbers, then 6 positions against 3 others."""
    def fn(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x = m.own(x, x, x, need_weights=False)[0]
        return m.cross(x, y, y)[0]

    layers = {name: nn.MultiheadAttention(8, 2, batch_first=True) for name in ("own", "cross")}
    network = Written(fn, **layers).train(training)
    workload = workload_from_torch(network, torch.zeros(1, 6, 8), torch.zeros(1, 3, 8))
    assert network.training == layers["own"].training == training
    assert [(op.inputs, op.outputs, op.vectors) for op in workload.ops if isinstance(op, MatVec)] == [
        (8, 24, 6), (8, 8, 6), (8, 8, 6), (8, 16, 3), (8, 8, 6)]  # torch keeps keys and values of one source together
    assert [(op.rows, op.inner, op.columns, op.count) for op in workload.ops if isinstance(op, MatMul)] == [
        (6, 4, 6, 2), (6, 6, 4, 2), (6, 4, 3, 2), (6, 3, 4, 2)]
    assert [op.count for op in workload.ops if isinstance(op, Elementwise)] == [2 * 6 * 6, 2 * 6 * 3]
    assert workload.ops[0].name == "own.in_proj"


def test_a_mask_is_added() -> None:
    attend = Written(lambda _, q: functional.scaled_dot_product_attention(q, q, q, is_causal=True))
    assert kinds(workload_from_torch(attend, torch.zeros(1, 2, 6, 4))) == ["matmul", "add", "softmax", "matmul"]


def test_recurrent_layers_by_hand() -> None:
    network = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
    workload = workload_from_torch(network, torch.zeros(1, 7, 6))
    matrices = [op for op in workload.ops if isinstance(op, MatVec)]
    assert [(op.inputs, op.outputs, op.vectors) for op in matrices] == [
        (6, 20, 7), (5, 20, 7), (6, 20, 7), (5, 20, 7), (10, 20, 7), (5, 20, 7), (10, 20, 7), (5, 20, 7)]
    second = next(op for op in matrices if op.inputs == 10)
    assert len(second.after) == 2, "both directions of the first layer"
    gru = workload_from_torch(nn.GRU(6, 5), torch.zeros(7, 6))
    assert gru.macs == 7 * (6 + 5) * 15


def test_results_that_are_thrown_away_cost_nothing() -> None:
    def fn(m: nn.Module, x: Tensor) -> Tensor:
        m.unused(x)
        return m.fc(x)

    workload = workload_from_torch(Written(fn, fc=nn.Linear(4, 4), unused=nn.Linear(4, 9)), torch.zeros(1, 4))
    assert workload.ops == (MatVec("fc", 4, 4),)


class Branch(nn.Module):
    """Cannot be exported."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(("module", "message"), [
    (nn.Sequential(nn.Linear(4, 4), Written(lambda _, x: torch.linalg.inv(x))),
     "1.linalg_inv: no cost is known for operator linalg_inv.default (File \""),
    (Written(lambda _, x: torch.einsum("ij,jk,kl->il", x, x, x)), "no cost is known for operator einsum"),
    (nn.LSTM(4, 4, proj_size=2), "lstm with a projection of its hidden state, allowed: proj_size=0"),
    (Branch(), "torch: torch cannot export this module with these examples: Could not guard on data-dependent"),
])
def test_unknown_operators_are_named_and_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(InputError) as caught:
        workload_from_torch(module, torch.zeros(4, 4))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if isinstance(module, Branch):
        assert "test_importers.py\", line" in str(caught.value)


def test_unknown_operators_can_be_charged() -> None:
    module = nn.Sequential(nn.Linear(4, 4), Written(lambda _, x: torch.linalg.inv(x)))
    workload = workload_from_torch(module, torch.zeros(4, 4), unknown="vector_unit")
    assert workload.ops[1] == Elementwise("1.linalg_inv", "copy", 16, after=("0",))
    with pytest.raises(InputError, match="unknown is 'guess', allowed: refuse, vector_unit"):
        workload_from_torch(module, torch.zeros(4, 4), unknown="guess")
