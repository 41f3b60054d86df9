"""Kernels as operators of torch: `torch.ops.nasrec.<name>`, which torch.compile and torch.export see through.

Each has an implementation for every device and precision (the compiled kernel where it takes the input, torch's own
operators elsewhere), a fake one that gives shapes only (symbolic ones too), and a gradient that is an operator itself,
`<name>_backward`. Gradients can be taken once, backwards. Importing this module does nothing but open the namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.autograd import Function, forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

LIBRARY = torch.library.Library("nasrec", "FRAGMENT")  # type: ignore[no-untyped-call]


def define(schema: str, compute: Callable[..., Any], fake: Callable[..., Any]) -> OpOverload:
    """Register the operator of `schema`: `compute` on real tensors of any device, `fake` on tensors without data."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, compute, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"nasrec::{name}", fake, lib=LIBRARY)
    operator: OpOverload = getattr(torch.ops.nasrec, name).default
    return operator


def differentiate(
    operator: OpOverload,
    backward: Callable[..., Any],
    setup: Callable[[Any, Any, Any], None],
    *,
    once: Sequence[OpOverload],
) -> None:
    """Let autograd use `backward` for `operator`; it calls those of `once`, which have no gradient and say so."""
    torch.library.register_autograd(operator, backward, setup_context=setup, lib=LIBRARY)
    for last in once:
        torch.library.register_autograd(last, _refuse, lib=LIBRARY)


def is_traced(x: Tensor) -> bool:
    """Whether a tracer, a mode or a subclass of tensors wants to see operators, not what they compute."""
    return torch.compiler.is_compiling() or type(x) not in _PLAIN or is_in_torch_dispatch_mode()


class KernelOp:
    """A differentiable operator of tensors and constants, by its shortest way.

    Called in eager mode it goes straight to `forward`, through a torch.autograd.Function where a gradient is wanted:
    at small sizes the registered operator (`self.operator`), which tracers get, takes about half as long again.
    """

    def __init__(
        self,
        name: str,
        tensors: str,
        constants: str,
        forward: Callable[..., Tensor],
        backward: Callable[..., Any],
        fake: Callable[..., Tensor],
    ) -> None:
        """Register `name(tensors, constants) -> Tensor` and `name_backward(tensors, grad, constants)`.

        `tensors` are names, `constants` a piece of schema. `backward` gives the gradient of each tensor, as a tuple
        where there are several.
        """
        arguments = [f"Tensor {tensor}" for tensor in tensors.split()]
        tail = [constants] if constants else []
        count, nothing = len(arguments), [None] * len(tail)
        result = "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"
        self.operator = define(f"{name}({', '.join(arguments + tail)}) -> Tensor", forward, fake)

        def fake_backward(*inputs: Any) -> Any:
            grads = tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs[:count])
            return grads[0] if count == 1 else grads

        slope = define(f"{name}_backward({', '.join([*arguments, 'Tensor grad', *tail])}) -> {result}",
                       backward, fake_backward)  # fmt: skip

        def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.save_for_backward(*inputs[:count])
            ctx.constants = inputs[count:]

        def gradients(ctx: Any, grad: Tensor, function: Callable[..., Any]) -> tuple[Any, ...]:
            found = function(*ctx.saved_tensors, grad, *ctx.constants)
            return (found, *nothing) if count == 1 else (*found, *nothing)

        differentiate(self.operator, lambda ctx, grad: gradients(ctx, grad, slope), setup, once=[slope])

        class Eager(Function):  # a separate setup_context would make each call twice as long
            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Tensor:
                setup(ctx, inputs, None)
                return forward(*inputs)

            @staticmethod
            def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
                # Under create_graph the registered operator, whose gradient says that there is none: the function
                # alone would leave it out, and torch.autograd.function.once_differentiable where grad is constant.
                return gradients(ctx, grad, slope if torch.is_grad_enabled() else backward)

        self._forward = forward
        self._apply: Callable[..., Tensor] = Eager.apply
        self._count = count

    def __call__(self, *inputs: Any) -> Tensor:
        """The result for tensors and constants, all by position."""
        if forward_ad._current_level >= 0:
            refuse_tangents(inputs[: self._count], str(self.operator))
        if is_traced(inputs[0]):
            result: Tensor = self.operator(*inputs)
            return result
        if torch.is_grad_enabled():
            for x in inputs[: self._count]:
                if x.requires_grad:
                    return self._apply(*inputs)
        return self._forward(*inputs)


def refuse_tangents(inputs: Sequence[Tensor], name: str) -> None:
    """NotImplementedError for a derivative in forward mode, which torch would take for 0.

    For calls from Python; the registered operators themselves cannot tell.
    """
    for x in inputs:
        if forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]
            raise NotImplementedError(f"{name}: no derivative in forward mode, it would be taken for 0")


def array(x: Tensor) -> np.ndarray[Any, Any]:
    """The tensor's numbers as NumPy sees them, not copied; bfloat16 as its bits."""
    return (x.detach() if x.dtype != torch.bfloat16 else x.detach().view(torch.uint16)).numpy()


def tensor(values: np.ndarray[Any, Any]) -> Tensor:
    """A kernel's result as a tensor, not copied; bits (uint16) as bfloat16."""
    x = torch.from_numpy(values)
    return x if x.dtype != torch.uint16 else x.view(torch.bfloat16)


_PLAIN = (Tensor, torch.nn.Parameter)


def _refuse(ctx: Any, *grads: Any) -> Any:
    raise NotImplementedError("a kernel's gradient is not differentiable again")
