"""What the interaction benchmarks compute with: 27 features of normal numbers."""

from __future__ import annotations

import numpy as np
import torch

FEATURES = 27  # Criteo's 26 categories, and one vector for its integers
SHAPES = [("float32", batch, dim) for batch in (512, 4096) for dim in (16, 64, 128)] + [("bfloat16", 512, 64)]


def some(shape: tuple[int, ...], dtype: str, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Normal numbers for us (bfloat16 as its bits) and for torch, in the same memory."""
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
    if dtype == "float32":
        return values.numpy(), values
    values = values.to(torch.bfloat16)
    return values.view(torch.uint16).numpy(), values
