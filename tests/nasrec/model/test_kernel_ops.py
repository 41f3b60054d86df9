"""Interactions as operators of torch: registration, gradients, precision, and the same call in eager mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from nasrec import kernels
from nasrec.model.interaction import attention, dot_interaction, fm_interaction, low_rank_cross
from nasrec.model.norm import layer_norm

OPS = torch.ops.nasrec
UNIT = 2.0**-24  # rounding of float32; of bfloat16 2^-9
HEADS = 2


@dataclass(frozen=True)
class Case:
    """An operator, the function that calls it, and how far rounding may move its result and its gradients.

    Bounds are Higham's (2002, section 3.1): `terms` roundings, each of one unit of the sum of absolute values, which
    `size` gives for the result and `slopes` for each gradient, from absolute values of the inputs and of `grad`.
    """

    function: Callable[..., Tensor]
    operator: Any
    shapes: Callable[[int], list[tuple[int, ...]]]
    constants: tuple[Any, ...]
    reference: Callable[..., Any]
    terms: int
    size: Callable[..., Tensor]
    slopes: Callable[..., tuple[Tensor, ...]]

    def inputs(self, batch: int = 5, dtype: torch.dtype = torch.float32, *, grad: bool = True) -> list[Tensor]:
        generator = torch.Generator().manual_seed(batch)
        drawn = [torch.randn(shape, generator=generator) for shape in self.shapes(batch)]
        return [x.to(dtype).requires_grad_(grad) for x in drawn]


def pair_matrix(grad: Tensor, features: int, diagonal: bool) -> Tensor:
    row, column = np.tril_indices(features, 0 if diagonal else -1)
    matrix = grad.new_zeros(len(grad), features, features)
    matrix[:, row, column] += grad
    matrix[:, column, row] += grad
    return matrix


def dot_reference(diagonal: bool) -> Callable[[Any], Any]:
    def products(x: Any) -> Any:
        row, column = np.tril_indices(x.shape[1], 0 if diagonal else -1)
        return np.einsum("bpd,bpd->bp", x[:, row], x[:, column])

    return products


def cross_reference(x0: Any, x: Any, down: Any, up: Any, bias: Any) -> Any:
    return x0 * (x @ down.T @ up.T + bias) + x


def cross_slopes(x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    hidden, mapped = x @ down.T, grad * x0
    inner = mapped @ up
    return grad * (hidden @ up.T + bias), grad + inner @ down, inner.T @ x, mapped.T @ hidden, mapped.sum(0)


def parts(qkv: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values `[B, heads, S, D / heads]`."""
    batch, rows, width = qkv.shape
    return tuple(qkv.view(batch, rows, 3, HEADS, width // 3 // HEADS).permute(2, 0, 3, 1, 4))


def attention_size(qkv: Tensor) -> Tensor:
    """The largest value: the probabilities add up to one."""
    return parts(qkv)[2].amax()


def attention_slopes(qkv: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Probabilities of 1 at most, for all of the products."""
    q, k, v = (part.amax() for part in parts(qkv))
    rows, dim = qkv.shape[1], qkv.shape[2] // 3 // HEADS
    return ((q + k) * v * grad.amax() * dim**0.5 * rows + grad.amax() * rows,)


def dot_case(diagonal: bool) -> Case:
    return Case(
        lambda x: dot_interaction(x, diagonal=diagonal), OPS.dot_interaction.default, lambda b: [(b, 6, 9)],
        (diagonal,), dot_reference(diagonal), 9, lambda x: torch.from_numpy(dot_reference(diagonal)(x.numpy())),
        lambda x, grad: (pair_matrix(grad, 6, diagonal) @ x,),
    )  # fmt: skip


def norm_reference(x: Any, weight: Any, bias: Any) -> Any:
    difference = x - x.mean(-1, keepdims=True)
    return difference / np.sqrt(np.square(difference).mean(-1, keepdims=True) + 1) * weight + bias


def norm_size(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The mean is off by roundings of the largest number, and so is every number; eps is 1, the scale at most 1."""
    return weight * (2 * x.amax() * (1 + x.shape[-1] ** 0.5) + x.shape[-1] ** 0.5) + bias


def norm_slopes(x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    root = x.shape[-1] ** 0.5
    moved = 2 * x.amax() * (1 + root) + root
    of_x = (grad.amax() * weight.amax()) * ((1 + 2 * x.amax()) * (2 + root) + (1 + root) * (1 + moved))
    return of_x.expand(x.shape), grad.sum((0, 1)) * (moved + root), grad.sum((0, 1))


CASES = {
    "dot_interaction": dot_case(diagonal=False),
    "dot_interaction_diagonal": dot_case(diagonal=True),
    "fm_interaction": Case(
        fm_interaction, OPS.fm_interaction.default, lambda b: [(b, 6, 9)], (),
        lambda x: kernels.fm_interaction(x, implementation="reference"), 16,
        lambda x: x.sum(1).square() + x.square().sum(1),
        lambda x, grad: (2 * grad[:, None] * (x.sum(1, keepdim=True) + x),),
    ),
    "low_rank_cross": Case(
        low_rank_cross, OPS.low_rank_cross.default, lambda b: [(b, 7), (b, 7), (3, 7), (7, 3), (7,)], (),
        cross_reference, 20, cross_reference, cross_slopes,
    ),
    "layer_norm": Case(
        lambda x, weight, bias: layer_norm(x, weight, bias, 1.0), OPS.layer_norm.default,
        lambda b: [(b, 4, 7), (7,), (7,)], (1.0,), norm_reference, 40, norm_size, norm_slopes,
    ),
    "attention": Case(
        lambda qkv: attention(qkv, HEADS), OPS.attention.default, lambda b: [(b, 5, 24)], (HEADS,),
        lambda qkv: kernels.attention(qkv, HEADS, implementation="reference"), 64, attention_size, attention_slopes,
    ),
}  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_registration(case: Case, dtype: torch.dtype) -> None:
    """Schema, fake implementation, autograd and tracing agree, for the operator and for its gradient."""
    inputs = case.inputs(dtype=dtype)
    torch.library.opcheck(case.operator, (*inputs, *case.constants))
    plain = [x.detach() for x in inputs]
    grad = torch.ones_like(case.operator(*plain, *case.constants))
    backward = getattr(OPS, case.operator.name().partition("::")[2] + "_backward").default
    torch.library.opcheck(backward, (*plain, grad, *case.constants))


@every_case
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_float64_is_the_definition(case: Case, batch: int) -> None:
    inputs = case.inputs(batch, torch.float64, grad=False)
    expected = torch.from_numpy(np.asarray(case.reference(*(x.numpy() for x in inputs))))
    for got in (case.function(*inputs), case.operator(*inputs, *case.constants)):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@every_case
def test_gradcheck_in_float64(case: Case) -> None:
    """Finite differences, of the function (autograd of torch's operators) and the operator (a written gradient)."""
    inputs = case.inputs(3, torch.float64)
    assert torch.autograd.gradcheck(case.function, inputs)
    assert torch.autograd.gradcheck(lambda *x: case.operator(*x, *case.constants), inputs)


@every_case
@pytest.mark.parametrize(("dtype", "unit"), [(torch.float32, UNIT), (torch.bfloat16, 2.0**-8)], ids=str)
def test_rounding_is_bounded(case: Case, dtype: torch.dtype, unit: float) -> None:
    """Result and gradients within `terms` roundings of those in float64; bfloat16's include those of its stages."""
    inputs = case.inputs(dtype=dtype)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    expected = case.function(*exact)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected_grads = torch.autograd.grad(expected, exact, grad.double())
    sizes = [x.detach().abs() for x in exact]
    slopes = case.slopes(*sizes, grad.double().abs())
    for how in (case.function, lambda *x: case.operator(*x, *case.constants)):
        got = how(*inputs)
        assert got.dtype == dtype
        assert ((got.double() - expected).abs() <= case.terms * unit * case.size(*sizes)).all()
        for got_grad, expected_grad, slope in zip(
            torch.autograd.grad(got, inputs, grad), expected_grads, slopes, strict=True
        ):
            assert got_grad.dtype == dtype
            assert ((got_grad.double() - expected_grad).abs() <= case.terms * unit * slope).all()


@every_case
def test_eager_and_operator_agree_bit_for_bit(case: Case) -> None:
    """With and without gradients, and where what comes in is not contiguous, in the forward pass or the other one."""
    inputs = case.inputs()
    apart = [stretched(x) for x in inputs]
    grad = torch.randn(case.function(*inputs).shape, generator=torch.Generator().manual_seed(2))
    expected = case.function(*inputs)
    grads = torch.autograd.grad(expected, inputs, grad, retain_graph=True)
    for given in (inputs, apart):
        for how in (case.function, lambda *x: case.operator(*x, *case.constants)):
            got = how(*given)
            assert torch.equal(got, expected)
            assert got.requires_grad
            assert all(map(torch.equal, torch.autograd.grad(got, given, stretched(grad), retain_graph=True), grads))
            with torch.no_grad():
                assert torch.equal(how(*given), expected)
                assert not how(*given).requires_grad
            assert not how(*(x.detach() for x in given)).requires_grad
    ones = torch.autograd.grad(expected, inputs, torch.ones_like(expected), retain_graph=True)
    assert all(map(torch.equal, torch.autograd.grad(expected.sum(), inputs), ones))


def stretched(x: Tensor) -> Tensor:
    """The same numbers, every second one in memory and the first dimension the innermost."""
    wide = torch.zeros(*x.shape[::-1], 2)
    wide[..., 0] = x.detach().permute(*range(x.dim() - 1, -1, -1))
    return wide[..., 0].permute(*range(x.dim() - 1, -1, -1)).detach().requires_grad_(x.requires_grad)


@every_case
def test_only_what_is_asked_for_gets_a_gradient(case: Case) -> None:
    for index in range(len(case.shapes(1))):
        inputs = case.inputs(grad=False)
        inputs[index].requires_grad_()
        case.function(*inputs).sum().backward()
        assert [x.grad is not None for x in inputs] == [place == index for place in range(len(inputs))]


@every_case
def test_modes_see_the_operator(case: Case) -> None:
    inputs = case.inputs()
    expected = case.function(*inputs)
    with FakeTensorMode() as mode:
        fake = case.function(*(mode.from_tensor(x) for x in inputs))
    assert (fake.shape, fake.dtype, fake.stride()) == (expected.shape, expected.dtype, expected.stride())
    traced = make_fx(case.function)(*inputs)
    assert [node.target for node in traced.graph.nodes if node.op == "call_function"] == [case.operator]
    other = case.inputs(7)
    assert torch.equal(make_fx(case.function, tracing_mode="symbolic")(*inputs)(*other), case.function(*other))


@every_case
def test_a_second_derivative_is_refused(case: Case) -> None:
    inputs = case.inputs()
    for how in (case.function, lambda *x: case.operator(*x, *case.constants)):
        for result in (how(*inputs).square().sum(), how(*inputs).sum()):  # of the second the kernel gets a constant
            (slope, *_) = torch.autograd.grad(result, inputs, create_graph=True)
            with pytest.raises(NotImplementedError, match="not differentiable again"):
                slope.sum().backward()


@every_case
def test_a_derivative_in_forward_mode_is_refused(case: Case) -> None:
    inputs = case.inputs(grad=False)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(inputs[0], torch.ones_like(inputs[0])), *inputs[1:]]
        with pytest.raises(NotImplementedError, match="forward mode"):
            case.function(*duals)
        assert torch.equal(case.function(*inputs), case.function(*(x.clone() for x in inputs)))


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match="3"):
        fm_interaction(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="expected a last dimension of 3 \\* 2 heads"):
        attention(torch.zeros(1, 2, 9), 2)
    with FakeTensorMode(), pytest.raises(ValueError, match="2 dimensions, expected 3"):
        fm_interaction(torch.zeros(2, 3))
    with FakeTensorMode(), pytest.raises(ValueError, match="last dimension 9, expected 3 \\* 2 heads"):
        attention(torch.zeros(1, 2, 9), 2)
