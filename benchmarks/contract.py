"""Which of the kernels' functions this build has: a case whose function is missing is skipped, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from nasrec import kernels


def needs(what: str | Callable[..., Any], *arguments: str) -> None:
    """Skip the test where `what` (by name: a function of nasrec.kernels), or one of its arguments, isn't there."""
    function = getattr(kernels, what, None) if isinstance(what, str) else what
    if not callable(function) or set(arguments) - set(inspect.signature(function).parameters):
        pytest.skip(f"{what}({', '.join(arguments)}) is not there")
