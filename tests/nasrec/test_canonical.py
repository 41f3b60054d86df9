"""The canonical form: equal for two genotypes exactly when they are one network, as the model itself computes them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrec.arch import FLOAT, NASREC_SPARSE_OPS, Arch, BlockChoice, Precision
from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from nasrec.liveness import canonical, live_blocks, network
from nasrec.model.layout import layout_of_shape
from nasrec.model.shape import shapes_of
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import EXTENDED, FULL, SMALL, Space

PLAIN = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=False)
FEATURES = Features(5, tuple(Table(f"C{index}", 50) for index in range(4)))
BITS = {"weight_bits": (4, 8, 32), "input_bits": (8, 32)}
FLAT = ("deep.linear", "bilinear.left", "bilinear.right")  # their columns: dense inputs, then the numbers of rows
# Widths at which mergers have no weights (16 and 128), and one of each kind at which they do.
SPACE = replace(EXTENDED, name="tiny", blocks=4, dense_widths=(8, 16, 128), sparse_widths=(4, 6), **BITS)


def blocks(*choices: BlockChoice) -> Arch:
    return Arch(tuple(choices))


def batch(rows: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    dense = torch.rand(rows, FEATURES.dense, generator=generator, dtype=torch.float64)
    return dense, torch.randint(50, (rows, 4), generator=generator)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(SPACE, FEATURES, generator=torch.Generator().manual_seed(0)).double()


@torch.no_grad()
def logits(supernet: Supernet, arch: Arch) -> Tensor:
    return supernet(arch, *batch())


def operations(arch: Arch) -> dict[str, Any]:
    """What a chip runs, by name; an operation's sources in no order, for a sum may name them in either."""
    ops = workload_of(arch, FEATURES).ops
    return {op.name: (replace(op, after=()), frozenset(op.after)) for op in ops}


def changed_anywhere(arch: Arch, space: Space, rng: np.random.Generator, strategy: str) -> Arch:
    """`arch` with one gene of one block, or the bits of the head, drawn anew."""
    fresh = space.sample(rng, strategy)
    index = int(rng.integers(space.blocks + 1))
    if index == space.blocks:
        return replace(arch, head=fresh.head)
    names = [field.name for field in fields(BlockChoice)]
    name = names[int(rng.integers(len(names)))]
    block = replace(arch.blocks[index], **{name: getattr(fresh.blocks[index], name)})
    return Arch((*arch.blocks[:index], block, *arch.blocks[index + 1 :]), arch.head)


def with_swapped_sum(arch: Arch, rng: np.random.Generator) -> Arch:
    index = int(rng.integers(len(arch.blocks)))
    block = arch.blocks[index]
    block = replace(block, left=block.right, right=block.left)
    return Arch((*arch.blocks[:index], block, *arch.blocks[index + 1 :]), arch.head)


@pytest.mark.parametrize("chains", [10, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("strategy", ["single-operator", "any-path"])
def test_forms_are_equal_exactly_where_logits_are(strategy: str, skips: bool, chains: int, supernet: Supernet) -> None:
    """Chains of single changes: what leaves the form leaves what the supernet computes; without skips, nothing else."""
    rng = np.random.default_rng(0)
    space = SPACE if skips else replace(SPACE, sparse_ops=NASREC_SPARSE_OPS)
    same = 0
    for _ in range(chains):
        arch = space.sample(rng, strategy)
        before, form = logits(supernet, arch), canonical(arch, dense=FEATURES.dense)
        for step in range(16):
            other = with_swapped_sum(arch, rng) if step % 8 == 7 else changed_anywhere(arch, space, rng, strategy)
            after, other_form = logits(supernet, other), canonical(other, dense=FEATURES.dense)
            equal = torch.equal(before, after)
            # A skip may cut off rows, or pass on what another one passes on: the form does not see that nobody reads.
            assert (other_form == form) == equal or (skips and equal), (arch, other)
            same += other != arch and other_form == form
            arch, before, form = other, after, other_form
    assert same > chains, "the test wants genes that nobody reads"


def test_the_form_is_the_same_network_and_its_own_form(supernet: Supernet) -> None:
    rng = np.random.default_rng(1)
    for strategy in ("single-operator", "any-path"):
        for _ in range(30):
            arch = SPACE.sample(rng, strategy)
            form, inside = canonical(arch), canonical(arch, SPACE)
            assert canonical(form) == form
            assert canonical(inside, SPACE) == inside
            assert canonical(inside) == form
            assert operations(form) == operations(arch) == operations(inside)
            assert torch.equal(logits(supernet, inside), logits(supernet, arch))


def test_a_form_with_a_space_is_in_the_space() -> None:
    rng = np.random.default_rng(2)
    for space in (SMALL, FULL, EXTENDED, SPACE):
        for _ in range(20):
            form = canonical(space.sample(rng), space)
            space.check(form)
            bits = [getattr(block, name) for block in form.blocks for name in ("dsi_precision", "sparse_precision")]
            assert all(one.weight_bits in space.weight_bits and one.input_bits in space.input_bits for one in bits)


def test_dead_genes_by_hand() -> None:
    first, second = replace(PLAIN, dense_width=64), replace(PLAIN, dense_ops=("gating",), left=0, right=0)
    arch = blocks(first, second)
    other = blocks(replace(first, dense_ops=("dot",), fm=True, dense_width=32), replace(second, dense_inputs=(1,)))
    assert canonical(arch) == canonical(other)
    assert canonical(blocks(first, replace(second, left=1))) != canonical(arch)


def test_left_and_right_of_a_sum_and_of_a_gate() -> None:
    for op, equal in (("sum", True), ("gating", False)):
        one = blocks(PLAIN, replace(PLAIN, dense_ops=(op,), left=0, right=1))
        two = blocks(PLAIN, replace(PLAIN, dense_ops=(op,), left=1, right=0))
        assert (canonical(one) == canonical(two)) == equal
    one = blocks(PLAIN, replace(PLAIN, dense_ops=("gating", "sum"), left=0, right=1))
    two = blocks(PLAIN, replace(PLAIN, dense_ops=("sum", "gating"), left=0, right=1))
    assert canonical(one) == canonical(two)
    assert canonical(one) != canonical(blocks(PLAIN, replace(one.blocks[1], left=1, right=0)))


@pytest.mark.parametrize(
    ("field", "width", "unread"),
    [
        ("dsi_precision", 128, True),
        ("dsi_precision", 64, False),
        ("fm_precision", 16, True),
        ("fm_precision", 8, False),
    ],
)
def test_bits_of_what_has_no_weights(field: str, width: int, unread: bool) -> None:
    block = replace(PLAIN, dense_width=width, dsi=True, fm=True)
    other = replace(block, **{field: Precision(4, 4)})
    assert (canonical(blocks(block)) == canonical(blocks(other))) == unread


def test_bits_of_a_skip() -> None:
    skip, both = (replace(PLAIN, sparse_ops=ops) for ops in (("skip",), ("efc", "skip")))
    coarse, coarse_both = (replace(block, sparse_precision=Precision(4, 4)) for block in (skip, both))
    assert canonical(blocks(skip)) == canonical(blocks(coarse))
    assert canonical(blocks(both)) != canonical(blocks(coarse_both))


def test_bits_of_a_sum_without_projection() -> None:
    summed = replace(PLAIN, dense_ops=("sum",), left=1, right=1)
    coarse = replace(summed, dense_precision=Precision(4, 4))
    assert canonical(blocks(PLAIN, summed)) == canonical(blocks(PLAIN, coarse))
    summed, coarse = replace(summed, left=0), replace(coarse, left=0)  # now it depends on the raw width
    one, two = blocks(PLAIN, summed), blocks(PLAIN, coarse)
    assert canonical(one) != canonical(two)
    assert canonical(one, dense=13) == canonical(two, dense=13)
    assert canonical(one, dense=17) != canonical(two, dense=17)


# Standalone networks


def moved(arch: Arch, rng: np.random.Generator) -> tuple[Arch, dict[int, int]]:
    """`arch` with blocks in another order that its connections allow, a dead block among them, and the new numbers."""
    reads = {
        number: {0, *block.dense_inputs, *block.sparse_inputs, block.left, block.right}
        for number, block in enumerate(arch.blocks, start=1)
    }
    places, order, last = {0: 0}, [], len(arch.blocks)
    gap = int(rng.integers(last))
    while len(places) <= last:
        if len(order) == gap:
            order.append(0)  # the dead block, which takes a number
        ready = [number for number in reads if number not in places and reads[number] <= set(places)]
        ready = [number for number in ready if number != last] or [last]
        number = ready[int(rng.integers(len(ready)))]
        order.append(number)
        places[number] = len(order)
    choices = []
    for number in order:
        if number == 0:
            choices.append(replace(PLAIN, dense_ops=("dot",), fm=True, dense_width=int(rng.integers(1, 9))))
            continue
        block = arch.blocks[number - 1]
        choices.append(
            replace(
                block,
                dense_inputs=tuple(sorted(places[source] for source in block.dense_inputs)),
                sparse_inputs=tuple(sorted(places[source] for source in block.sparse_inputs)),
                left=places[block.left],
                right=places[block.right],
            )
        )
    return Arch(tuple(choices), arch.head), places


def columns(model: Subnet, index: int, kind: str) -> dict[int, list[int]]:
    """The columns of each source in the weights of block `index` that read concatenated inputs."""
    shape = shapes_of(model.arch, FEATURES)[index]
    layout = layout_of_shape(shape)
    sources = getattr(shape.choice, f"{kind}_inputs")
    starts = getattr(layout, f"{kind}_starts")
    sizes = shape.dense_widths if kind == "dense" else [sum(rows) for rows in shape.sparse_rows]
    return {source: list(range(starts[source], starts[source] + sizes[source])) for source in sources}


def followed(source: Subnet, target: Subnet, old: int, new: int, places: dict[int, int], kind: str) -> list[int]:
    """Where the columns of block `new` of `target` are in block `old` of `source`."""
    back = {after: before for before, after in places.items()}
    found = columns(source, old, kind)
    return [column for place in columns(target, new, kind) for column in found[back[place]]]


@torch.no_grad()
def give_weights(source: Subnet, target: Subnet, places: dict[int, int]) -> None:
    """Copy the weights of `source` into `target`, whose blocks have the numbers `places`; columns follow sources."""
    found = dict(source.named_parameters())
    for name, parameter in target.named_parameters():
        parts = name.split(".")
        if parts[0] != "blocks":
            parameter.copy_(found[name])
            continue
        back = {new: old for old, new in places.items()}
        index = back[int(parts[1]) + 1] - 1
        weight = found[".".join(["blocks", str(index), *parts[2:]])]
        layer = ".".join(parts[2:4])
        if parts[4] == "weight" and layer in ("fc.linear", "dot.dense_projection"):
            weight = weight[:, followed(source, target, index, int(parts[1]), places, "dense")]
        elif parts[4] == "weight" and layer in FLAT:
            dense = followed(source, target, index, int(parts[1]), places, "dense")
            rows = followed(source, target, index, int(parts[1]), places, "sparse")
            weight = weight[:, [*dense, *(len(dense) + 16 * row + place for row in rows for place in range(16))]]
        elif parts[4] == "weight" and layer.endswith(("efc.linear", "projection")):
            weight = weight[:, followed(source, target, index, int(parts[1]), places, "sparse")]
        parameter.copy_(weight)


def test_a_network_is_one_in_any_order() -> None:
    rng = np.random.default_rng(3)
    space = replace(SPACE, blocks=6, weight_bits=(32,), input_bits=(32,))
    differ = 0
    for number in range(40):
        arch = canonical(space.sample(rng, ("single-operator", "any-path")[number % 2]))
        other, places = moved(arch, rng)
        assert network(other) == network(arch)
        assert network(network(arch)) == network(arch)
        differ += canonical(other).blocks[: len(arch.blocks)] != arch.blocks
        one = Subnet(arch, FEATURES, generator=torch.Generator().manual_seed(number)).double()
        two = Subnet(other, FEATURES, generator=torch.Generator().manual_seed(99)).double()
        give_weights(one, two, places)
        a, b = one(*batch()), two(*batch())
        assert torch.allclose(a, b, rtol=0, atol=1e-12 * float(a.detach().abs().max()))
    assert differ > 20


def test_the_shortest_genotype_has_no_dead_block_and_costs_the_same() -> None:
    rng = np.random.default_rng(4)
    shorter = 0
    for _ in range(40):
        arch = FULL.sample(rng)
        form = network(arch)
        assert all(live.alive for live in live_blocks(form))
        assert len(form.blocks) == sum(live.alive for live in live_blocks(arch))
        macs = [sorted(getattr(op, "macs", 0) for op in workload_of(one, FEATURES).ops) for one in (arch, form)]
        assert macs[0] == macs[1]
        shorter += len(form.blocks) < 7
    assert shorter > 20


def test_twins_that_a_later_block_tells_apart() -> None:
    """Blocks 1 and 2 are alike; one gives block 3 its dense, the other its sparse input: which, makes no difference."""
    one = blocks(PLAIN, PLAIN, replace(PLAIN, dense_inputs=(1,), sparse_inputs=(2,)))
    two = blocks(PLAIN, PLAIN, replace(PLAIN, dense_inputs=(2,), sparse_inputs=(1,)))
    both = blocks(PLAIN, PLAIN, replace(PLAIN, dense_inputs=(1,), sparse_inputs=(1,)))
    assert canonical(one) != canonical(two)
    assert network(one) == network(two)
    assert network(both) != network(one)
    assert len(network(both).blocks) == 2


def test_other_networks_have_other_forms() -> None:
    rng = np.random.default_rng(5)
    archs = [FULL.sample(rng) for _ in range(200)]
    assert len({network(arch) for arch in archs}) == len({canonical(arch) for arch in archs}) == 200
    assert network(archs[0].with_precision(Precision(4, 4))) != network(archs[0].with_precision(FLOAT))
