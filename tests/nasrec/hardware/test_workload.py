"""Operations of architectures, small ones by hand; those of published architectures are counted in test_counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from nasrec.arch import Arch, BlockChoice, Candidate, ChipChoice, Precision
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.hardware import (
    baseline_workload,
    chip_of,
    chip_to_toml,
    choice_from_toml,
    cost_of,
    measure,
    workload_of,
)
from nasrec.model.baselines import BASELINES
from nasrec.model.linear import QuantLinear
from nasrec.model.subnet import Subnet
from nasrec.space import EXTENDED, FULL, SMALL
from pimsim import Elementwise, Gather, MatMul, MatVec

PLAIN = BlockChoice(("fc",), ("efc",), (0,), (0,), 0, 0, 16, 16, dsi=False, fm=False)
FEATURES = Features(13, tuple(Table(f"C{i}", 100 + i) for i in range(26)))


def test_one_block_by_hand() -> None:
    block = replace(PLAIN, dense_width=32, sparse_width=16, dsi=True, fm=True)
    ops = {op.name: op for op in workload_of(Arch((block,)), FEATURES).ops}
    assert ops["blocks.0.fc.linear"].macs == 13 * 32
    assert ops["blocks.0.efc.linear"].macs == 26 * 16 * 16
    assert ops["blocks.0.dsi.linear"].macs == 32 * 128
    assert ops["blocks.0.fm.linear"].macs == 16 * 32
    assert ops["head"].macs == 32 + (16 + 8) * 16
    assert sum(isinstance(op, Gather) for op in ops.values()) == 26
    total = 13 * 32 + 26 * 16 * 16 + 32 * 128 + 16 * 32 + 32 + 24 * 16
    assert sum(op.macs for op in ops.values()) == total


def test_projections_that_change_no_width_are_left_out() -> None:
    # Width 128: k = 16 rows, 17 * 16 / 2 = 136 pairs; the merger needs no projection at 128.
    dot = replace(PLAIN, dense_ops=("dot",), dense_width=128, dsi=True)
    ops = {op.name: op for op in workload_of(Arch((dot,)), FEATURES).ops}
    assert ops["blocks.0.dot.pairs"].needed_macs == 136 * 16
    assert ops["blocks.0.dot.output"].macs == 136 * 128
    assert "blocks.0.dsi.linear" not in ops
    sums = replace(PLAIN, dense_ops=("sum",), dense_width=16, fm=True)
    second = replace(PLAIN, dense_ops=("sum",), dense_width=16, left=1, right=1)
    names = [op.name for op in workload_of(Arch((sums, second)), FEATURES).ops]
    assert "blocks.0.sum.output" in names  # 13 to 16
    assert "blocks.1.sum.output" not in names  # 16 to 16
    assert "blocks.0.fm.linear" not in names


def test_operators_on_single_numbers_of_rows_by_hand() -> None:
    # 13 dense numbers beside 26 rows of 16; FM reads the rows of the tables themselves.
    block = replace(PLAIN, dense_ops=("deep", "bilinear"), dense_width=8, sparse_ops=("skip",), sparse_width=26)
    block = replace(block, fm=True)
    ops = {op.name: op for op in workload_of(Arch((block,)), FEATURES).ops}
    assert ops["blocks.0.deep.linear"].macs == (13 + 26 * 16) * 8
    assert [ops[f"blocks.0.bilinear.{side}"].macs for side in ("left", "right")] == [(13 + 26 * 16) * 8] * 2
    assert ops["blocks.0.bilinear.multiply"].count == 8
    assert ops["blocks.0.fm.square"].after == tuple(f"tables.C{i}" for i in range(26))
    assert sum(op.macs for op in ops.values()) == 3 * (13 + 26 * 16) * 8 + 16 * 8 + 8 + 26 * 16
    skips = Arch((block, replace(block, dense_ops=("fc",), sparse_inputs=(0, 1))))
    added = {op.name: op for op in workload_of(skips, FEATURES).ops}["blocks.1.skip.add"]
    assert (added.kind, added.count) == ("add", 26 * 16)


def test_tables_whose_rows_a_skip_cuts_off_are_not_there() -> None:
    cut = replace(PLAIN, sparse_ops=("skip",), sparse_width=3)

    def tables(*blocks: BlockChoice) -> list[str]:
        return [op.name for op in workload_of(Arch(blocks), FEATURES).ops if isinstance(op, Gather)]

    assert tables(cut) == ["tables.C0", "tables.C1", "tables.C2"]
    assert tables(replace(cut, sparse_width=5), replace(cut, sparse_inputs=(1,))) == tables(cut)
    assert len(tables(cut, replace(cut, sparse_inputs=(0, 1), sparse_width=4))) == 4
    assert len(tables(replace(cut, dense_ops=("deep",)))) == 26  # deep reads all of them


def test_sums_and_products_read_all_that_they_put_together() -> None:
    """Of each result: three branches, two factors, two rows of 16 numbers; a scale and a bias are held, not read."""
    first = replace(PLAIN, dense_ops=("fc", "gating", "sum"), sparse_ops=("attention",), fm=True)
    second = replace(PLAIN, sparse_ops=("skip",), dense_inputs=(1,), sparse_inputs=(0, 1), dense_ops=("bilinear",))
    ops = workload_of(Arch((first, second)), FEATURES).ops
    found = {op.name: (op.count, op.operands) for op in ops if isinstance(op, Elementwise) and op.operands > 1}
    assert found == {
        "blocks.0.gating.multiply": (13, 2),
        "blocks.0.sum.add": (13, 2),
        "blocks.0.dense.add": (16, 3),
        "blocks.0.attention.residual": (16 * 16, 2),
        "blocks.0.attention.fc_residual": (16 * 16, 2),
        "blocks.0.fm.square": (16, 16),
        "blocks.0.fm.add": (16, 2),
        "blocks.1.bilinear.multiply": (16, 2),
        "blocks.1.skip.add": (16 * 16, 2),
    }


def test_dead_blocks_cost_nothing() -> None:
    alone = workload_of(Arch((PLAIN,)), FEATURES)
    with_dead = workload_of(Arch((PLAIN, PLAIN)), FEATURES)
    assert sum(op.macs for op in with_dead.ops) == sum(op.macs for op in alone.ops)
    assert not any(op.name.startswith("blocks.0") for op in with_dead.ops)


@pytest.mark.parametrize("space", [SMALL, FULL, EXTENDED], ids=lambda space: space.name)
def test_every_layer_of_the_model_is_costed_under_its_name_and_shape(space) -> None:
    rng = np.random.default_rng(0)
    space = replace(space, blocks=3, dense_widths=(16, 32, 128), weight_bits=(4, 8), input_bits=(4, 8))
    for _ in range(25):
        arch = space.sample(rng)
        model = Subnet(arch, FEATURES)
        built = {
            name: (layer.inputs, layer.outputs, layer.precision)
            for name, layer in model.named_modules()
            if isinstance(layer, QuantLinear)
        }
        costed = {
            op.name: (op.inputs, op.outputs, Precision(op.weight_bits, op.input_bits))
            for op in workload_of(arch, FEATURES).ops
            if isinstance(op, MatVec)
        }
        assert costed == built


def test_operations_come_after_what_they_need() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        seen: set[str] = set()
        for op in workload_of(EXTENDED.sample(rng), FEATURES).ops:
            assert set(op.after) <= seen, op.name
            seen.add(op.name)


def test_copies_buy_latency_with_area() -> None:
    block = replace(PLAIN, sparse_width=32)
    one = cost_of(measure(Candidate(Arch((block, PLAIN)), ChipChoice(copies=1)), FEATURES))
    many = cost_of(measure(Candidate(Arch((block, PLAIN)), ChipChoice(copies=16)), FEATURES))
    assert many.latency_s < one.latency_s
    assert many.crossbars > one.crossbars


def test_fewer_bits_cost_less_energy() -> None:
    arch = FULL.sample(np.random.default_rng(2))
    costs = [
        cost_of(measure(Candidate(arch.with_precision(Precision(bits, bits)), ChipChoice()), FEATURES)).energy_j
        for bits in (8, 4)
    ]
    assert costs[1] < costs[0]


def test_baselines_have_every_layer_and_table() -> None:
    for name, build in BASELINES.items():
        model = build(FEATURES)
        workload = baseline_workload(
            name,
            model.layer_shapes(),
            model.interaction,
            model.interaction_rows,
            FEATURES,
            length=model.embeddings.dim,
        )
        kinds = [type(op) for op in workload.ops]
        assert kinds.count(Gather) == 26
        assert kinds.count(MatVec) == len(model.layer_shapes())
        assert kinds.count(MatMul) == (name == "dlrm")
        assert kinds.count(Elementwise) >= 1
        ops = {op.name: op for op in workload.ops}
        tables = {op.name for op in workload.ops if isinstance(op, Gather)}
        if name == "dlrm":  # it has no weights of single values: the head's output is the logit
            assert workload.ops[-1].name == "head.rescale"
            assert set(ops["pairs"].after) == {*tables, "bottom.2.relu"}
            assert set(ops["top.0"].after) == {"pairs", "bottom.2.relu"}
        else:
            logit = ops["logit"]
            assert isinstance(logit, Elementwise) and logit is workload.ops[-1] and logit.count == 1
            terms = {"deepfm": {"head.rescale", "dense_first_order.rescale", "fm"}}.get(name, {"head.rescale"})
            assert set(logit.after) == tables | terms
            assert logit.operands == len(tables | terms) and logit.steps == logit.operands - 1
        if name == "deepfm":
            assert set(ops["fm"].after) == {*tables, "dense_row.rescale"}
            assert ops["fm"].operands == 27 * 16  # latent numbers of 26 tables and of the dense inputs' row
            assert set(ops["deep.0"].after) == tables
        if name == "logistic_regression":
            assert ops["head"].after == (), "it reads the dense inputs"
        relus = [op.name for op in workload.ops if isinstance(op, Elementwise) and op.kind == "relu"]
        assert len(relus) == sum(isinstance(module, nn.ReLU) for module in model.modules())
        assert len(relus) == {"logistic_regression": 0, "dlrm": 5, "deepfm": 3}[name]  # hidden layers, dlrm's bottom


def test_a_chip_file_gives_its_genes_back_and_another_chip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "chip.toml"
    choice = ChipChoice(rows=64, columns=32, columns_per_adc=128, copies=4)
    file.write_text(chip_to_toml(choice))
    again = choice_from_toml(file)
    assert chip_of(again) == chip_of(choice) and again.copies == 4
    sized = 'preset = "isaac"\ntiles = "sized"\n'
    for other in ('preset = "puma"', 'preset = "isaac"', sized + '[readout]\nencoding = "differential"\nflip = false'):
        file.write_text(other)
        with pytest.raises(InputError, match=r"chip\.toml: describes a chip that a search cannot have chosen, allowed"):
            choice_from_toml(file)
