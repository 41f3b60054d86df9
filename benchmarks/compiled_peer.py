"""torch.compile as a peer: a user gets it by one line, and it fuses what plain torch does in several passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def compiled(function: Callable[..., Tensor], *arguments: Tensor) -> Callable[..., Tensor] | str:
    """`function` compiled for the shapes of `arguments`, forward and backward; the reason where it cannot be.

    It needs a C++ compiler and seconds, which are not counted.
    """
    torch._dynamo.reset()  # or the code for another number of threads is used again
    try:
        found: Any = torch.compile(function, dynamic=False)
        out = found(*arguments)
        if out.requires_grad:
            out.backward(torch.ones_like(out))
    except Exception as error:  # whatever the compiler throws
        return f"torch.compile: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
    for argument in arguments:
        argument.grad = None
    return found  # type: ignore[no-any-return]
