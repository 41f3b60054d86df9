"""A candidate in words: its chip in one line, one line per live block."""

from __future__ import annotations

from nasrec.arch import FLOAT, Candidate, ChipChoice, Precision
from nasrec.liveness import live_blocks


def describe_chip(chip: ChipChoice) -> str:
    """The chip's genes in one line."""
    sharing = f"one ADC per {min(chip.columns_per_adc, chip.columns)} columns"
    copies = "" if chip.copies == 1 else f", {chip.copies} copies of reused weights"
    return (
        f"{chip.rows}×{chip.columns} crossbars, {chip.cell_bits}-bit cells, {chip.dac_bits}-bit DAC, "
        f"{chip.adc_bits}-bit ADC, {sharing}{copies}"
    )


def describe_model(candidate: Candidate) -> list[str]:
    """One line per block that has live parts: operators, widths, bits, inputs, mergers."""
    lines = []
    for number, (block, live) in enumerate(
        zip(candidate.arch.blocks, live_blocks(candidate.arch), strict=True), start=1
    ):
        parts = []
        if live.dense:
            parts.append(f"{'+'.join(block.dense_ops)} {block.dense_width}{_bits(block.dense_precision)}")
        if live.sparse:
            parts.append(f"{'+'.join(block.sparse_ops)} {block.sparse_width} rows{_bits(block.sparse_precision)}")
        parts += [name for name, running in (("DSI", live.dsi), ("FM", live.fm)) if running]
        if parts:
            lines.append(f"block {number}: " + ", ".join(parts))
    return lines


def _bits(precision: Precision) -> str:
    return "" if precision == FLOAT else f" (w{precision.weight_bits} i{precision.input_bits})"
