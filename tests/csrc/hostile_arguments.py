"""Right arguments for every function of the extension modules, small and of all shapes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = list[Any]

SIZES = [0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33]


def floats(r: random.Random, *shape: int) -> np.ndarray:
    return filler(r).uniform(-1, 1, shape).astype(np.float32)


def filler(r: random.Random) -> np.random.Generator:
    return np.random.default_rng(r.getrandbits(16))


def bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def interaction(r: random.Random) -> Arguments:
    x = floats(r, r.choice([*SIZES, 70]), r.choice(SIZES), r.choice(SIZES))
    return [x if r.randrange(2) else bfloat16(x)]


def like(r: random.Random, x: np.ndarray, *shape: int) -> np.ndarray:
    """Numbers of the kind of x."""
    values = floats(r, *shape)
    return values if x.dtype == np.float32 else bfloat16(values)


def dot_interaction(r: random.Random) -> Arguments:
    return [*interaction(r), bool(r.randrange(2))]


def dot_interaction_backward(r: random.Random) -> Arguments:
    x, diagonal = dot_interaction(r)
    features = x.shape[1] + diagonal
    return [x, like(r, x, x.shape[0], features * (features - 1) // 2), diagonal]


def fm_interaction_backward(r: random.Random) -> Arguments:
    (x,) = interaction(r)
    return [x, like(r, x, x.shape[0], x.shape[2])]


def intern_keys(r: random.Random) -> Arguments:
    slots = r.choice([1, 2, 16, 64, 1024])
    table = [np.zeros(slots, np.uint64), np.zeros(slots, np.int32)]
    return [filler(r).integers(0, 40, r.choice(SIZES), np.uint64), *table, r.choice([0, 1, 7])]


def layer_norm(r: random.Random) -> Arguments:
    dim = r.choice([*SIZES, 70])
    return [floats(r, r.choice(SIZES), dim), floats(r, dim), floats(r, dim), r.choice([1e-5, 1e-3, 1.0])]


def layer_norm_backward(r: random.Random) -> Arguments:
    x, weight, _, eps = layer_norm(r)
    return [x, weight, floats(r, *x.shape), eps]


def low_rank_cross(r: random.Random) -> Arguments:
    batch, dim, rank = r.choice([*SIZES, 70]), r.choice(SIZES), r.choice(SIZES)
    sizes = [(batch, dim), (batch, dim), (rank, dim), (dim, rank), (dim,)]
    return [floats(r, *shape) for shape in sizes]


def low_rank_cross_backward(r: random.Random) -> Arguments:
    arguments = low_rank_cross(r)
    return [*arguments, floats(r, *arguments[0].shape)]


def parse_digits(r: random.Random) -> Arguments:
    kinds, rows = [r.randrange(2) for _ in range(r.choice([1, 2, 3, 9]))], r.choice(SIZES)
    line = "\t".join(r.choice(["ff", "0", "", "12345678"] if kind else ["-1", "0", "", "99"]) for kind in kinds)
    text = np.frombuffer(f"{line}\n".encode() * rows, np.uint8)
    return [text, ord("\t"), np.array(kinds, np.uint8), rows]


def attention(r: random.Random) -> Arguments:
    heads = r.choice([1, 2, 3, 8])
    return [floats(r, r.choice(SIZES), r.choice(SIZES), 3 * heads * r.choice([1, 2, 3, 5])), heads]


def attention_backward(r: random.Random) -> Arguments:
    qkv, heads = attention(r)
    return [qkv, floats(r, *qkv.shape[:2], qkv.shape[2] // 3), heads]


def transformer_layer(r: random.Random) -> Arguments:
    heads, hidden = r.choice([1, 2, 3, 8]), r.choice(SIZES)
    width = heads * r.choice([1, 2, 3, 5])
    shapes = [(3 * width, width), (width, width), (width,), (hidden, width), (width, hidden), (width,)]
    weights = [part for shape in shapes for part in (floats(r, *shape), floats(r, shape[0]))]
    return [floats(r, r.choice(SIZES), width, r.choice(SIZES)), *weights, heads, r.choice([1e-5, 1e-3, 1.0])]


def lookups(r: random.Random) -> tuple[list[int], np.ndarray, np.ndarray | None, int]:
    """Rows of each table, ids, offsets, batch."""
    rows = [r.choice([1, 2, 5, 100]) for _ in range(r.choice([1, 1, 2, 3]))]
    batch = r.choice([*SIZES, 130])
    if r.randrange(3) == 0:
        ids = [filler(r).integers(0, size, batch) for size in rows]
        return rows, np.stack(ids, axis=1).astype(np.int64), None, batch
    counts = filler(r).integers(0, r.choice([1, 2, 9]), len(rows) * batch)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ends = offsets[[(t + 1) * batch for t in range(len(rows))]] - offsets[[t * batch for t in range(len(rows))]]
    parts = [filler(r).integers(0, size, count) for size, count in zip(rows, ends, strict=True)]
    return rows, np.concatenate(parts).astype(np.int64), offsets, batch


def weights_for(r: random.Random, ids: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """Weights of the lookups, or none, and whether bags are averaged."""
    mean = bool(r.randrange(2))
    return (None if mean or r.randrange(2) else floats(r, *ids.shape)), mean


def embedding_bag(r: random.Random) -> Arguments:
    rows, ids, offsets, batch = lookups(r)
    dim, dtype = r.choice(SIZES), r.choice([np.float32, np.float16, np.uint16])
    tables = [floats(r, size, dim) for size in rows]
    tables = [bfloat16(table) if dtype == np.uint16 else table.astype(dtype) for table in tables]
    out = floats(r, batch, len(rows), dim) if r.randrange(2) else None
    return [tables, ids, offsets, *weights_for(r, ids), out]


def embedding_bag_codes(r: random.Random) -> Arguments:
    rows, ids, offsets, batch = lookups(r)
    dim, bits = r.choice(SIZES), r.choice([8, 4])
    width = -(-dim // 16) * 16 * bits // 8
    codes = [filler(r).integers(0, 256, (size, width)).astype(np.uint8) for size in rows]
    out = floats(r, batch, len(rows), dim) if r.randrange(2) else None
    return [codes, [floats(r, size, 2) for size in rows], bits, dim, ids, offsets, *weights_for(r, ids), out]


def embedding_bag_coalesce(r: random.Random) -> Arguments:
    rows, ids, offsets, batch = lookups(r)
    weights, mean = weights_for(r, ids)
    return [rows, ids, offsets, weights, floats(r, batch, len(rows), r.choice(SIZES)), mean]


def optimizer(r: random.Random, sizes: list[int], dim: int) -> tuple[list[np.ndarray], list[np.ndarray] | None, int]:
    """Tables, states and the number of the optimiser: 0 Adagrad, 1 row-wise Adagrad, 2 gradient descent."""
    number = r.randrange(3)
    tables = [floats(r, size, dim) for size in sizes]
    states = [np.abs(floats(r, size)) if number else np.abs(floats(r, size, dim)) for size in sizes]
    return tables, (None if number == 2 else states), number


def embedding_bag_step(r: random.Random) -> Arguments:
    dim = r.choice(SIZES)
    sizes = [r.choice([1, 2, 5, 100]) for _ in range(r.choice([1, 1, 2, 3]))]
    touched = [sorted(filler(r).choice(size, r.randrange(size + 1), replace=False)) for size in sizes]
    room = [len(rows) + r.randrange(3) for rows in touched]
    starts = np.cumsum([0, *room]).astype(np.int64)
    places = np.full(starts[-1], -1, np.int64)
    for start, rows in zip(starts, touched, strict=False):
        places[start : start + len(rows)] = rows
    counts = np.array([len(rows) for rows in touched], np.int64)
    tables, states, number = optimizer(r, sizes, dim)
    return [tables, states, starts, counts, places, floats(r, len(places), dim), number, 0.1, 1e-10, 1.0]


def embedding_bag_update(r: random.Random) -> Arguments:
    rows, ids, offsets, batch = lookups(r)
    weights, mean = weights_for(r, ids)
    dim = r.choice(SIZES)
    tables, states, number = optimizer(r, rows, dim)
    grad = floats(r, batch, len(rows), dim)
    return [tables, states, ids, offsets, weights, grad, mean, number, 0.1, 1e-10, 1.0]


def converter(r: random.Random) -> Arguments:
    """ADC bits, step, offset, bits of a fraction, noise."""
    noise = (r.getrandbits(64), r.randrange(9), r.randrange(32768), r.choice([-1, 0, 5]), r.randrange(15))
    return [r.randrange(1, 31), r.choice([1, 2, 3, 1000]), r.choice([0, 0, 3, -5]), 0, r.choice([None, noise])]


def crossbar_mac(r: random.Random) -> Arguments:
    inputs, outputs = r.choice([1, 5, 64, 65, 200]), r.choice([1, 7, 8, 9])
    block_rows, slices, cell_bits = r.choice([5, 64, 100, 300]), r.choice([1, 2, 4]), r.choice([1, 2, 3, 5])
    words = 1 << (-(-block_rows // 64) - 1).bit_length()
    groups, blocks = -(-outputs // 8), -(-inputs // block_rows)
    generator = filler(r)
    return [
        generator.integers(0, 2**64, (groups, blocks, slices, cell_bits, words, 8), np.uint64),
        -generator.integers(0, 2, (groups, blocks, slices, 8)).astype(np.int64),
        generator.integers(-1000, 1000, (groups, blocks, 8)).astype(np.int64),
        (np.arange(slices) * cell_bits).astype(np.int32),
        inputs,
        outputs,
        block_rows,
        generator.integers(0, 2**16, (r.choice(SIZES), inputs)).astype(np.uint16),
        r.randrange(1, 17),
        bool(r.randrange(2)),
        r.randrange(1, 9),
        *converter(r)[: r.choice([2, 3, 4, 5])],
    ]


def levels(r: random.Random, bits: int) -> np.ndarray:
    shape = (r.choice([1, 2, 4]), r.choice([1, 5, 64, 65, 200]), r.choice([1, 7, 8, 9]))
    return filler(r).integers(0, 2**bits, shape).astype(np.uint16)


def crossbar_pack(r: random.Random) -> Arguments:
    bits = r.choice([1, 2, 5, 16])
    return [levels(r, bits), r.choice([5, 64, 100, 300]), bits]


def crossbar_tables(r: random.Random) -> Arguments:
    """Levels, rows of a block, tables in a list or 0, bits of an index, of a phase, planes, bits of the lower plane."""
    bits, dac_bits, planes = r.choice([1, 2, 3]), r.choice([1, 2, 4]), r.choice([1, 2])
    listed = r.choice([0, 2 ** (bits * (4 // dac_bits))])
    return [levels(r, bits), r.choice([5, 64, 100, 300]), listed, 4, dac_bits, planes, r.choice([1, 3, 6])]


def crossbar_lookup(r: random.Random) -> Arguments:
    """Tables and numbers of any content."""
    inputs, outputs, block_rows, slices = r.choice([1, 5, 64, 65, 200]), r.choice([1, 8, 9]), r.choice([5, 64, 100]), 2
    dac_bits, planes, listed = r.choice([1, 2, 4]), r.choice([1, 2]), r.choice([0, 16, 256, 4096])
    groups, blocks = -(-outputs // 8), -(-inputs // block_rows)
    steps = groups * blocks * 8 * slices * -(-min(inputs, block_rows) // (4 // dac_bits))
    generator = filler(r)
    return [
        generator.integers(0, 256, (listed or steps) * planes * 16 + (2**16 if listed else 0)).astype(np.uint8),
        generator.integers(0, 2**16, steps if listed else 0).astype(np.uint16),
        -generator.integers(0, 2, (groups, blocks, slices, 8)).astype(np.int64),
        generator.integers(-1000, 1000, (groups, blocks, 8)).astype(np.int64),
        np.array([0, 2], np.int32),
        inputs,
        outputs,
        block_rows,
        generator.integers(0, 2**16, (r.choice([*SIZES, 130]), inputs)).astype(np.uint16),
        r.randrange(1, 17),
        bool(r.randrange(2)),
        dac_bits,
        *converter(r),
        listed,
        4,
        planes,
        r.choice([1, 3, 6]),
        r.choice([1, 5, 255]),
        planes == 1 and bool(r.randrange(2)),
    ]


MAKERS: dict[str, Callable[[random.Random], Arguments]] = {
    "nasrec.attention": attention,
    "nasrec.attention_backward": attention_backward,
    "nasrec.dot_interaction": dot_interaction,
    "nasrec.dot_interaction_backward": dot_interaction_backward,
    "nasrec.embedding_bag": embedding_bag,
    "nasrec.embedding_bag_codes": embedding_bag_codes,
    "nasrec.embedding_bag_coalesce": embedding_bag_coalesce,
    "nasrec.embedding_bag_square_norm": embedding_bag_coalesce,
    "nasrec.embedding_bag_step": embedding_bag_step,
    "nasrec.embedding_bag_update": embedding_bag_update,
    "nasrec.fm_interaction": interaction,
    "nasrec.fm_interaction_backward": fm_interaction_backward,
    "nasrec.intern_keys": intern_keys,
    "nasrec.layer_norm": layer_norm,
    "nasrec.layer_norm_backward": layer_norm_backward,
    "nasrec.low_rank_cross": low_rank_cross,
    "nasrec.low_rank_cross_backward": low_rank_cross_backward,
    "nasrec.parse_digits": parse_digits,
    "nasrec.set_isa": lambda r: ["portable"],  # the one that every machine has
    "nasrec.set_threads": lambda r: [r.choice([0, 1, 2, 1024, 1025])],
    "nasrec.transformer_layer": transformer_layer,
    "pimsim.crossbar_lookup": crossbar_lookup,
    "pimsim.crossbar_mac": crossbar_mac,
    "pimsim.crossbar_pack": crossbar_pack,
    "pimsim.crossbar_tables": crossbar_tables,
    "pimsim.set_isa": lambda r: ["portable"],
    "pimsim.set_threads": lambda r: [r.choice([0, 1, 2, 1024, 1025])],
}
