from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def threads() -> int: ...
def set_threads(count: int) -> None: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
def embedding_bag(
    tables: Sequence[object],
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64] | None,
    weights: object,
    mean: bool,
    out: NDArray[np.float32] | None,
) -> NDArray[np.float32]: ...
def embedding_bag_codes(
    codes: Sequence[NDArray[np.uint8]],
    scale_bias: Sequence[NDArray[np.float32]],
    bits: int,
    dim: int,
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64] | None,
    weights: object,
    mean: bool,
    out: NDArray[np.float32] | None,
) -> NDArray[np.float32]: ...
def embedding_bag_coalesce(
    rows: Sequence[int],
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64] | None,
    grad: NDArray[np.float32],
    mean: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], float]: ...
def embedding_bag_adagrad(
    tables: Sequence[NDArray[np.float32]],
    states: Sequence[NDArray[np.float32]],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    lr: float,
    eps: float,
    scale: float,
) -> None: ...
def dot_interaction(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def dot_interaction_backward(x: NDArray[np.float32], grad: NDArray[np.float32]) -> NDArray[np.float32]: ...
def fm_interaction(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def fm_interaction_backward(x: NDArray[np.float32], grad: NDArray[np.float32]) -> NDArray[np.float32]: ...
def attention(qkv: NDArray[np.float32], heads: int) -> NDArray[np.float32]: ...
def attention_backward(qkv: NDArray[np.float32], grad: NDArray[np.float32], heads: int) -> NDArray[np.float32]: ...
