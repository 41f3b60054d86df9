"""Which implementation of a kernel a caller wants, and the kinds of arrays that kernels take."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Ids: TypeAlias = NDArray[np.int64]
Implementation: TypeAlias = Literal["kernel", "reference"]


def is_compiled(implementation: str) -> bool:
    """Whether "kernel" was asked for, not "reference"; ValueError for anything else."""
    if implementation not in ("kernel", "reference"):
        raise ValueError(f"implementation: {implementation!r}, allowed: 'kernel' or 'reference'")
    return implementation == "kernel"
