"""The compiled kernels of nasrec: NumPy arrays in, NumPy arrays out, no torch.

Every function takes `implementation`: "kernel" is the compiled one (its kinds of numbers are stated), "reference" its
definition in NumPy, which works in the precision of its input. Kernels give the same bits for any number of threads
and, where a function does not say otherwise, on any instruction set. Arrays that are not contiguous are copied; another
kind of number than the stated one is refused (TypeError).
"""

from nasrec._kernels import isa, set_isa, set_threads, threads
from nasrec.kernels.attention import attention, attention_backward
from nasrec.kernels.dot_interaction import dot_interaction, dot_interaction_backward
from nasrec.kernels.embedding_bag import Pooling, Table, embedding_bag
from nasrec.kernels.embedding_bag_update import (
    Optimizer,
    RowGradients,
    embedding_bag_coalesce,
    embedding_bag_square_norm,
    embedding_bag_step,
    embedding_bag_update,
)
from nasrec.kernels.fm_interaction import fm_interaction, fm_interaction_backward
from nasrec.kernels.implementation import Implementation
from nasrec.kernels.intern_keys import MISSING_KEY, intern_keys
from nasrec.kernels.layer_norm import layer_norm, layer_norm_backward
from nasrec.kernels.low_rank_cross import low_rank_cross, low_rank_cross_backward
from nasrec.kernels.parse_digits import parse_digits
from nasrec.kernels.quantized_rows import QuantizedRows, quantize_rows
from nasrec.kernels.transformer_layer import TransformerWeights, transformer_layer

__all__ = [
    "MISSING_KEY", "Implementation", "Optimizer", "Pooling", "QuantizedRows", "RowGradients", "Table",
    "TransformerWeights", "attention", "attention_backward", "dot_interaction", "dot_interaction_backward",
    "embedding_bag", "embedding_bag_coalesce", "embedding_bag_square_norm", "embedding_bag_step",
    "embedding_bag_update", "fm_interaction", "fm_interaction_backward", "intern_keys", "isa", "layer_norm",
    "layer_norm_backward", "low_rank_cross", "low_rank_cross_backward", "parse_digits", "quantize_rows", "set_isa",
    "set_threads", "threads", "transformer_layer",
]  # fmt: skip
