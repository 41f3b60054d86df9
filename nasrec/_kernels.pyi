from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_FloatsOrBits = TypeVar("_FloatsOrBits", NDArray[np.floating[Any]], NDArray[np.uint16])

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
    weights: NDArray[np.float32] | None,
    grad: NDArray[np.float32],
    mean: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], float]: ...
def embedding_bag_square_norm(
    rows: Sequence[int],
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    grad: NDArray[np.float32],
    mean: bool,
) -> float: ...
def embedding_bag_step(
    tables: Sequence[NDArray[np.float32]],
    states: Sequence[NDArray[np.float32]] | None,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    optimizer: int,
    lr: float,
    eps: float,
    scale: float,
) -> None: ...
def embedding_bag_update(
    tables: Sequence[NDArray[np.float32]],
    states: Sequence[NDArray[np.float32]] | None,
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    grad: NDArray[np.float32],
    mean: bool,
    optimizer: int,
    lr: float,
    eps: float,
    scale: float,
) -> None: ...
def dot_interaction(x: _FloatsOrBits, diagonal: bool = False) -> _FloatsOrBits: ...
def dot_interaction_backward(x: _FloatsOrBits, grad: _FloatsOrBits, diagonal: bool = False) -> _FloatsOrBits: ...
def fm_interaction(x: _FloatsOrBits) -> _FloatsOrBits: ...
def fm_interaction_backward(x: _FloatsOrBits, grad: _FloatsOrBits) -> _FloatsOrBits: ...
def layer_norm(
    x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], eps: float
) -> NDArray[np.float32]: ...
def layer_norm_backward(
    x: NDArray[np.float32], weight: NDArray[np.float32], grad: NDArray[np.float32], eps: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def low_rank_cross(
    x0: NDArray[np.float32],
    x: NDArray[np.float32],
    down: NDArray[np.float32],
    up: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> NDArray[np.float32]: ...
def low_rank_cross_backward(
    x0: NDArray[np.float32],
    x: NDArray[np.float32],
    down: NDArray[np.float32],
    up: NDArray[np.float32],
    bias: NDArray[np.float32],
    grad: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...
def attention(qkv: NDArray[np.float32], heads: int) -> NDArray[np.float32]: ...
def attention_backward(qkv: NDArray[np.float32], grad: NDArray[np.float32], heads: int) -> NDArray[np.float32]: ...
def transformer_layer(
    x: NDArray[np.float32],
    qkv_weight: NDArray[np.float32],
    qkv_bias: NDArray[np.float32],
    out_weight: NDArray[np.float32],
    out_bias: NDArray[np.float32],
    norm1_weight: NDArray[np.float32],
    norm1_bias: NDArray[np.float32],
    fc1_weight: NDArray[np.float32],
    fc1_bias: NDArray[np.float32],
    fc2_weight: NDArray[np.float32],
    fc2_bias: NDArray[np.float32],
    norm2_weight: NDArray[np.float32],
    norm2_bias: NDArray[np.float32],
    heads: int,
    eps: float,
) -> NDArray[np.float32]: ...
def intern_keys(
    keys: NDArray[np.uint64], slot_keys: NDArray[np.uint64], slot_ids: NDArray[np.int32], used: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
def parse_digits(
    text: NDArray[np.uint8], separator: int, hexadecimal: NDArray[np.uint8], rows: int
) -> tuple[NDArray[np.float64], NDArray[np.uint32], NDArray[np.bool_]] | None: ...
