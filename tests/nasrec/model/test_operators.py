"""Every operator and merger against its formula, written out with NumPy in float64."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from nasrec import kernels
from nasrec.arch import BlockChoice, Precision
from nasrec.liveness import LiveBlock
from nasrec.model.attention import Attention
from nasrec.model.block import OPERATORS, Block
from nasrec.model.build import Build
from nasrec.model.dsi import Dsi
from nasrec.model.fm import Fm
from nasrec.model.layout import layout_of_shape
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape
from nasrec.space import dot_rows

BATCH = 5
DENSE = (13, 24, 16)  # widths of the sources
ROWS = ((7, 0), (5, 8), (4, 0))


def shape_of(**changes: object) -> BlockShape:
    values: dict[str, object] = {
        "dense_ops": ("fc",),
        "sparse_ops": ("efc",),
        "dense_inputs": (0, 1),
        "sparse_inputs": (0, 1),
        "left": 0,
        "right": 1,
        "dense_width": 32,
        "sparse_width": 6,
        "dsi": True,
        "fm": True,
    }
    choice = BlockChoice(**{**values, **changes})  # type: ignore[arg-type]
    return BlockShape(choice, LiveBlock(True, True, True, True, choice.dsi, choice.fm), DENSE, ROWS)


def sources_of(seed: int = 0) -> tuple[Outputs, list[np.ndarray], list[np.ndarray]]:
    """Random outputs of three sources; the arrays are [B, width] and [B, rows, 16]."""
    rng = np.random.default_rng(seed)
    dense = [rng.standard_normal((BATCH, width)) for width in DENSE]
    sparse = [rng.standard_normal((BATCH, sum(rows), 16)) for rows in ROWS]
    outputs = Outputs(torch.from_numpy(dense[0]), torch.from_numpy(sparse[0]))
    for d, s in zip(dense[1:], sparse[1:], strict=True):
        outputs.append(torch.from_numpy(d), torch.from_numpy(s).transpose(1, 2))
    return outputs, dense, sparse


def make(kind: type, shape: BlockShape, *, layernorm: bool) -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    """A module with random weights, biases too, and those weights by name."""
    module = kind(layout_of_shape(shape), Build(layernorm), shape).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)
    return module, {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


def affine(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    if f"{name}.weight" not in w:
        return x
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def padded(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = max(a.shape[1], b.shape[1])
    return tuple(np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (a, b))  # type: ignore[return-value]


def check(module: torch.nn.Module, shape: BlockShape, sources: Outputs, expected: np.ndarray) -> None:
    result = module(shape, sources).detach().numpy()
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layernorm", [True, False])
def test_fc(layernorm: bool) -> None:
    shape, (sources, dense, _) = shape_of(), sources_of()
    module, w = make(OPERATORS["fc"], shape, layernorm=layernorm)
    x = np.concatenate([dense[0], dense[1]], axis=1)
    check(module, shape, sources, np.maximum(norm(affine(x, w, "linear"), w, "norm"), 0))


@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize("width", [32, 24])  # 24 is the wider of left and right: no projection
def test_sum(width: int, layernorm: bool) -> None:
    shape, (sources, dense, _) = shape_of(dense_width=width), sources_of()
    module, w = make(OPERATORS["sum"], shape, layernorm=layernorm)
    left, right = padded(dense[0], dense[1])
    assert ("output.weight" in w) == (width != 24)
    x = affine(left + right, w, "output") if width != 24 else left + right
    check(module, shape, sources, norm(x, w, "norm"))


@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize(("width", "left", "right"), [(32, 0, 1), (24, 0, 1), (32, 1, 2), (16, 2, 2)])
def test_gating(width: int, left: int, right: int, layernorm: bool) -> None:
    shape, (sources, dense, _) = shape_of(dense_width=width, left=left, right=right), sources_of()
    module, w = make(OPERATORS["gating"], shape, layernorm=layernorm)
    a, b = padded(dense[left], dense[right])
    x = b / (1 + np.exp(-affine(a, w, "left")))
    assert w["left.weight"].shape == (a.shape[1], a.shape[1])
    assert ("output.weight" in w) == (width != a.shape[1])
    x = affine(x, w, "output") if width != a.shape[1] else x
    check(module, shape, sources, norm(x, w, "norm"))


@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize(
    ("width", "dense_inputs", "sparse_inputs"),
    [(32, (0, 1), (0, 1)), (32, (2,), (0,)), (8, (0,), (2,)), (21, (2,), (0, 2))],
)  # then: dense input of 16; sparse input of k rows; pairs of the output's width
def test_dot(width: int, dense_inputs: tuple[int, ...], sparse_inputs: tuple[int, ...], layernorm: bool) -> None:
    shape = shape_of(dense_width=width, dense_inputs=dense_inputs, sparse_inputs=sparse_inputs)
    sources, dense, sparse = sources_of()
    module, w = make(OPERATORS["dot"], shape, layernorm=layernorm)
    k = round((2 * width) ** 0.5)
    x = np.concatenate([dense[source] for source in dense_inputs], axis=1)
    if x.shape[1] != 16:
        x = norm(affine(x, w, "dense_projection"), w, "dense_norm")
    y = np.concatenate([sparse[source] for source in sparse_inputs], axis=1)
    if y.shape[1] != k:
        y = norm(affine(y.swapaxes(1, 2), w, "sparse_projection"), w, "sparse_norm").swapaxes(1, 2)
    rows = np.concatenate([x[:, None], y], axis=1)
    pairs = [(i, j) for i in range(k + 1) for j in range(i)]
    z = np.stack([(rows[:, i] * rows[:, j]).sum(-1) for i, j in pairs], axis=1)
    if len(pairs) != width:
        z = affine(z, w, "output")
    check(module, shape, sources, norm(z, w, "output_norm"))


@pytest.mark.parametrize("layernorm", [True, False])
def test_deep_and_bilinear(layernorm: bool) -> None:
    shape, (sources, dense, sparse) = shape_of(dense_inputs=(1, 2), sparse_inputs=(0, 1)), sources_of()
    x = np.concatenate([dense[1], dense[2], *(rows.reshape(BATCH, -1) for rows in sparse[:2])], axis=1)
    assert x.shape[1] == 24 + 16 + (7 + 13) * 16
    module, w = make(OPERATORS["deep"], shape, layernorm=layernorm)
    check(module, shape, sources, np.maximum(norm(affine(x, w, "linear"), w, "norm"), 0))
    module, w = make(OPERATORS["bilinear"], shape, layernorm=layernorm)
    check(module, shape, sources, norm(affine(x, w, "left") * affine(x, w, "right"), w, "norm"))


def test_a_block_can_be_a_factorisation_machine() -> None:
    """Skip with FM on raw rows, beside a bilinear operator that gives nothing: Rendle's second-order term."""
    reads = {"dense_inputs": (0,), "sparse_inputs": (0,)}
    shape = shape_of(dense_ops=("bilinear",), sparse_ops=("skip",), dense_width=16, sparse_width=9, dsi=False, **reads)
    sources, _, sparse = sources_of()
    block = Block(("bilinear", "skip"), layout_of_shape(shape), Build(False), shape).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    pairs = sum(sparse[0][:, i] * sparse[0][:, j] for i, j in combinations(range(7), 2))
    np.testing.assert_allclose(block(shape, sources)[0].detach().numpy(), 2 * pairs, rtol=1e-12, atol=1e-12)


def test_the_first_pairs_are_those_of_the_first_rows() -> None:
    """What lets the supernet slice the pairs of a narrow dot product out of a wide one."""
    pairs = [(i, j) for i in range(10) for j in range(i)]
    assert set(pairs[:6]) == {(j, i) for i, j in combinations(range(4), 2)}


def test_dot_rows_of_all_widths() -> None:
    assert [dot_rows(d) for d in (16, 32, 64, 128, 256, 512, 768, 1024)] == [6, 8, 11, 16, 23, 32, 39, 45]


@pytest.mark.parametrize("layernorm", [True, False])
def test_efc(layernorm: bool) -> None:
    shape, (sources, _, sparse) = shape_of(), sources_of()
    module, w = make(OPERATORS["efc"], shape, layernorm=layernorm)
    x = np.concatenate([sparse[0], sparse[1]], axis=1).swapaxes(1, 2)
    check(module, shape, sources, np.maximum(norm(affine(x, w, "linear"), w, "norm"), 0))


@pytest.mark.parametrize(("width", "sparse_inputs"), [(6, (1,)), (6, (0,)), (13, (1,)), (9, (0, 1, 2))])
def test_skip(width: int, sparse_inputs: tuple[int, ...]) -> None:
    """Rows of 7, 13 and 4: cut, filled up, exactly as many as there are, and a sum of all three kinds."""
    shape, (sources, _, sparse) = shape_of(sparse_width=width, sparse_inputs=sparse_inputs), sources_of()
    module, w = make(OPERATORS["skip"], shape, layernorm=True)
    assert not w
    expected = np.zeros((BATCH, 16, width))
    for source in sparse_inputs:
        for row in range(min(width, sparse[source].shape[1])):
            expected[:, :, row] += sparse[source][:, row]
    check(module, shape, sources, expected)


@pytest.mark.parametrize("layernorm", [True, False])
def test_attention(layernorm: bool) -> None:
    shape, (sources, _, sparse) = shape_of(), sources_of()
    module, w = make(Attention, shape, layernorm=layernorm)
    x = np.concatenate([sparse[0], sparse[1]], axis=1).swapaxes(1, 2)
    x = norm(affine(x, w, "projection"), w, "projection_norm").swapaxes(1, 2)
    q, k, v = np.split(affine(x, w, "qkv"), 3, axis=2)
    heads = []
    for head in range(8):
        part = slice(2 * head, 2 * head + 2)
        scores = q[:, :, part] @ k[:, :, part].swapaxes(1, 2) / np.sqrt(2)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, :, part])
    x = norm(x + affine(np.concatenate(heads, axis=2), w, "attended"), w, "attended_norm")
    x = norm(x + affine(np.maximum(affine(x, w, "fc1"), 0), w, "fc2"), w, "fc_norm")
    check(module, shape, sources, x.swapaxes(1, 2))


def test_attention_is_one_kernel_where_only_its_result_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In evaluation, in float32 and unquantised: the numbers of its parts, to rounding."""
    calls: list[int] = []
    whole = kernels.transformer_layer

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return whole(*arguments)

    monkeypatch.setattr(kernels, "transformer_layer", counted)
    shape = shape_of(sparse_width=24)
    module = make(Attention, shape, layernorm=True)[0]

    def run(module: torch.nn.Module, shape: BlockShape, kind: torch.dtype) -> torch.Tensor:
        outputs, _, _ = sources_of()
        sources = Outputs(outputs.join_dense((0,)).to(kind), outputs.join_sparse((0,)).to(kind).transpose(1, 2))
        sources.append(None, outputs.join_sparse((1,)).to(kind))
        return module(shape, sources)

    exact = run(module, shape, torch.float64).detach()
    module.float()
    by_parts = run(module, shape, torch.float32)
    assert by_parts.requires_grad
    assert not calls
    with torch.no_grad():
        at_once = run(module, shape, torch.float32)
        assert len(calls) == 1
        run(module, shape_of(sparse_width=24, sparse_precision=Precision(8, 8)), torch.float32)  # inputs are quantised
        module.qkv.recording = True  # their ranges are asked for
        run(module, shape, torch.float32)
        module.qkv.recording = False
        torch.compile(lambda: run(module, shape, torch.float32), backend="eager")()  # a tracer sees operators
        run(module.double(), shape, torch.float64)
    assert len(calls) == 1
    assert at_once.is_contiguous()
    for got in (at_once, by_parts):
        torch.testing.assert_close(got.detach().double(), exact, rtol=0, atol=2e-5)


def test_attention_norms_start_at_017() -> None:
    shape = shape_of()
    module = Attention(layout_of_shape(shape), Build(layernorm=True), shape)
    for layer, start in ((module.attended_norm, 0.17), (module.fc_norm, 0.17), (module.projection_norm, 1.0)):
        assert torch.all(layer.weight == start)  # type: ignore[union-attr]


@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize("width", [24, 128])
def test_dsi(width: int, layernorm: bool) -> None:
    shape = shape_of(dense_width=width)
    module, w = make(Dsi, shape, layernorm=layernorm)
    x = np.random.default_rng(0).standard_normal((BATCH, width))
    y = norm(affine(x, w, "linear"), w, "norm") if width != 128 else x
    result = module(shape, torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(result.swapaxes(1, 2), y.reshape(BATCH, 8, 16), atol=1e-12)


@pytest.mark.parametrize("layernorm", [True, False])
@pytest.mark.parametrize("width", [24, 16])
def test_fm(width: int, layernorm: bool) -> None:
    shape = shape_of(dense_width=width)
    module, w = make(Fm, shape, layernorm=layernorm)
    x = np.random.default_rng(0).standard_normal((BATCH, 6, 16))
    y = 2 * sum(x[:, i] * x[:, j] for i in range(6) for j in range(i))
    y = norm(affine(y, w, "linear"), w, "norm") if width != 16 else y
    result = module(shape, torch.from_numpy(x).transpose(1, 2)).detach().numpy()
    np.testing.assert_allclose(result, y, atol=1e-10)


def test_block_merges_dsi_before_fm() -> None:
    shape, (sources, dense, sparse) = shape_of(dense_width=128), sources_of()

    def kind(layout, build, shape):
        return Block(("fc", "efc"), layout, build, shape)

    module, w = make(kind, shape, layernorm=False)  # type: ignore[arg-type]
    d = np.maximum(affine(np.concatenate(dense[:2], axis=1), w, "fc.linear"), 0)
    s = np.maximum(affine(np.concatenate(sparse[:2], axis=1).swapaxes(1, 2), w, "efc.linear"), 0)
    fm = affine(s.sum(-1) ** 2 - (s**2).sum(-1), w, "fm.linear")
    out_dense, out_sparse = module(shape, sources)
    np.testing.assert_allclose(out_dense.detach().numpy(), d + fm, atol=1e-10)
    expected = np.concatenate([s.swapaxes(1, 2), d.reshape(BATCH, 8, 16)], axis=1)
    np.testing.assert_allclose(out_sparse.detach().numpy().swapaxes(1, 2), expected, atol=1e-10)


def test_operators_that_read_the_same_sources_share_one_copy() -> None:
    """And those that read others, or another order, get their own numbers, never the copy kept for somebody else."""
    sources, dense, sparse = sources_of()
    pairs = ((sources.join_dense, dense), (sources.join_sparse, [x.swapaxes(1, 2) for x in sparse]))
    for join, arrays in pairs:
        assert join((0, 1)) is join([0, 1])
        for wanted in ((0, 1), (1, 0), (2,), (1, 0), (0, 1, 2)):
            expected = np.concatenate([arrays[source] for source in wanted], axis=-1)
            np.testing.assert_array_equal(join(wanted).numpy(), expected)
