"""Models under torch.compile and torch.export: no graph break, the same numbers as in eager mode, any batch."""

from __future__ import annotations

import copy
import io
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch.export import Dim

from nasrec.data.features import Features, Table
from nasrec.model.baselines import DLRM, DeepFM
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.embedding_op import embedding_bag
from nasrec.model.interaction import attention, dot_interaction, fm_interaction, low_rank_cross
from nasrec.model.supernet import Supernet
from nasrec.space import Space

FEATURES = Features(3, tuple(Table(f"c{index}", 10 + index) for index in range(5)))
DIM = 16


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """No test finds graphs of another."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def batch_of(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    ids = [torch.randint(0, table.rows, (rows,), generator=generator) for table in FEATURES.tables]
    return torch.rand(rows, FEATURES.dense, generator=generator), torch.stack(ids, 1)


def bags_of(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    sizes = torch.randint(0, 4, (len(FEATURES.tables), rows), generator=generator)
    ids = [
        torch.randint(0, table.rows, (int(count),), generator=generator)
        for table, count in zip(FEATURES.tables, sizes.sum(1), strict=True)
    ]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.flatten().cumsum(0)])
    return torch.rand(rows, FEATURES.dense, generator=generator), torch.cat(ids), offsets


class Everything(nn.Module):
    """Every operator once, of tables that are ordinary parameters."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = {"down": (3, DIM), "up": (DIM, 3), "bias": (DIM,), "qkv": (3 * DIM, DIM)}
        self.tables = nn.ParameterList([torch.randn(t.rows, DIM, generator=generator) for t in FEATURES.tables])
        self.factors = nn.ParameterDict({name: torch.randn(s, generator=generator) / 4 for name, s in shapes.items()})

    def forward(self, ids: Tensor) -> Tensor:
        rows = embedding_bag(list(self.tables), ids)
        mixed = attention(rows @ self.factors["qkv"].t(), 4)
        first = fm_interaction(mixed.transpose(1, 2).contiguous().transpose(1, 2))
        crossed = low_rank_cross(first, mixed[:, 0], self.factors["down"], self.factors["up"], self.factors["bias"])
        pairs = torch.cat([dot_interaction(rows), dot_interaction(mixed, diagonal=True)], 1)
        return crossed.sum(1) + pairs.sum(1)


def operators(graph: torch.fx.Graph) -> set[str]:
    return {str(node.target).split(".")[1] for node in graph.nodes if str(node.target).startswith("nasrec.")}


def test_compiled_training_of_every_operator() -> None:
    """One graph for all batches; the operators compute what they compute in eager mode, bit for bit."""
    compiles = []

    def backend(graph: torch.fx.GraphModule, example: list[Tensor]) -> Callable[..., object]:
        compiles.append(operators(graph.graph))
        return torch._dynamo.lookup_backend("aot_eager")(graph, example)

    model = Everything()
    traced = copy.deepcopy(model)
    compiled = torch.compile(traced, fullgraph=True, backend=backend, dynamic=True)
    for rows in (4, 9):
        _, ids = batch_of(rows)
        got, expected = compiled(ids), model(ids)
        assert torch.equal(got, expected)
        got.square().sum().backward()
        expected.square().sum().backward()
        for (name, mine), theirs in zip(traced.named_parameters(), model.parameters(), strict=True):
            assert torch.equal(mine.grad, theirs.grad), name
    assert compiles == [{"embedding_bag", "attention", "fm_interaction", "low_rank_cross", "dot_interaction"}]


def test_the_gradient_is_in_the_graph_too() -> None:
    """What autograd adds to a graph of the training step are the operators named `..._backward`."""
    found = set()

    def see(graph: torch.fx.GraphModule, example: list[Tensor]) -> Callable[..., object]:
        found.update(operators(graph.graph))
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=see, bw_compiler=see)
    torch.compile(Everything(), fullgraph=True, backend=backend)(batch_of(4)[1]).sum().backward()
    names = {"embedding_bag", "attention", "fm_interaction", "low_rank_cross", "dot_interaction"}
    assert found == names | {f"{name}_backward" for name in names}


@pytest.mark.parametrize(("model", "kind"), [(DLRM, "bags"), (DeepFM, "ids")])
def test_compiled_steps_equal_eager_ones(model: type[DLRM] | type[DeepFM], kind: str) -> None:
    """Also of tables whose gradient never is a tensor of autograd's: it waits in the module, as in eager mode."""
    eager = model(FEATURES, generator=torch.Generator().manual_seed(0))
    traced = copy.deepcopy(eager)
    compiled = torch.compile(traced, fullgraph=True, backend="aot_eager", dynamic=True)
    for rows in (4, 7, 6):
        batch = batch_of(rows) if kind == "ids" else bags_of(rows)
        for one in (eager, compiled):
            nn.functional.softplus(one(*batch)).sum().backward()
        assert traced.embeddings.grad_sq_norm() == eager.embeddings.grad_sq_norm() > 0
        assert traced.adagrad_step(lr=0.1) == eager.adagrad_step(lr=0.1)
        for (name, mine), theirs in zip(traced.state_dict().items(), eager.state_dict().values(), strict=True):
            assert torch.equal(mine, theirs), name


def test_every_lookup_of_a_compiled_step_counts() -> None:
    """Twice the same ids with the same gradient: a graph must not take the two for one."""
    tables = EmbeddingTables([table.rows for table in FEATURES.tables], DIM)
    other = copy.deepcopy(tables)
    _, ids = batch_of(5)

    def loss(one: EmbeddingTables, two: EmbeddingTables) -> Tensor:
        return (one(ids) + one(ids) + two(ids)).sum()

    torch.compile(loss, fullgraph=True, backend="aot_eager")(tables, other).backward()
    for table, alone in zip(tables.dense_grads(), other.dense_grads(), strict=True):
        assert torch.equal(table, 2 * alone)
        assert float(alone.sum()) > 0


def test_a_compiled_step_of_an_extracted_net() -> None:
    """With quantised layers."""
    space = Space("two", blocks=2, dense_widths=(16, 32), sparse_widths=(16,), weight_bits=(8,), input_bits=(4,))
    supernet = Supernet(space, FEATURES, generator=torch.Generator().manual_seed(0))
    eager = supernet.extract(space.sample(np.random.default_rng(1)))
    traced = copy.deepcopy(eager)
    for one in (eager, torch.compile(traced, fullgraph=True, backend="aot_eager")):
        nn.functional.softplus(one(*batch_of(6))).sum().backward()
    assert traced.adagrad_step(lr=0.1) == eager.adagrad_step(lr=0.1) > 0
    for (name, mine), theirs in zip(traced.state_dict().items(), eager.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


@pytest.mark.parametrize("kind", ["ids", "bags"])
def test_an_exported_model_takes_any_batch(kind: str) -> None:
    """Exported with one batch, saved, loaded and run with others."""
    model = DLRM(FEATURES, generator=torch.Generator().manual_seed(0)).eval()
    batch = Dim("batch")
    draw = batch_of if kind == "ids" else bags_of
    sizes = ({0: batch}, {0: batch}) if kind == "ids" else ({0: batch}, {0: Dim("ids")}, {0: 5 * batch + 1})
    program = torch.export.export(model, draw(6), dynamic_shapes=sizes)
    assert operators(program.graph) == {"embedding_bag", "dot_interaction"}
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    run = torch.export.load(file).module()
    for rows in (2, 6, 19):
        torch.testing.assert_close(run(*draw(rows)), model(*draw(rows)), rtol=1e-6, atol=1e-7)


def test_an_id_beyond_its_table_is_named_in_a_compiled_model() -> None:
    model = DLRM(FEATURES).eval()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    dense, ids = batch_of(4)
    ids[3, 2] = 12
    with pytest.raises(IndexError, match=r"table 2, position 3: id 12 is not in 0\.\.11"):
        compiled(dense, ids)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler")
def test_training_with_the_default_compiler() -> None:
    """Inductor fuses what is around the operators and uses memory again; sums round differently."""
    eager = DLRM(FEATURES, generator=torch.Generator().manual_seed(0))
    traced = copy.deepcopy(eager)
    compiled = torch.compile(traced, fullgraph=True, dynamic=True)
    for rows in (4, 7, 6):
        for one in (eager, compiled):
            nn.functional.softplus(one(*batch_of(rows))).sum().backward()
        for mine, theirs in zip(traced.embeddings.dense_grads(), eager.embeddings.dense_grads(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
        assert traced.adagrad_step(lr=0.1) == pytest.approx(eager.adagrad_step(lr=0.1), rel=1e-4)
