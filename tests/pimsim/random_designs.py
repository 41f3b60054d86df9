"""Random workloads and chips, for the properties that every design must have."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pimsim import Chip, Elementwise, Gather, MatMul, MatVec, Workload, presets
from pimsim.workload import Op


@st.composite
def workloads(draw: Any, most: int = 7) -> Workload:
    """A graph of up to `most` operators of every kind, each after some of the earlier ones."""
    ops: list[Op] = []
    for i in range(draw(st.integers(1, most))):
        after = tuple(op.name for op in ops if draw(st.booleans()))
        kind = draw(st.sampled_from(["matvec", "matvec", "gather", "matmul", "elementwise"]))
        if kind == "matvec":
            ops.append(MatVec(
                f"op{i}", draw(st.integers(1, 500)), draw(st.integers(1, 200)), draw(st.sampled_from([1, 1, 2, 7, 40])),
                draw(st.integers(1, 16)), draw(st.integers(1, 16)), signed_inputs=draw(st.booleans()),
                input_density=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), after=after))
        elif kind == "gather":
            ops.append(Gather(
                f"op{i}", draw(st.integers(1, 50_000)), draw(st.integers(1, 200)), draw(st.integers(1, 3)),
                draw(st.sampled_from([0.5, 1.0, 2.5, 30.0])), zipf=draw(st.sampled_from([0.0, 0.8, 1.0])), after=after))
        elif kind == "matmul":
            size, inner = draw(st.integers(2, 30)), draw(st.integers(1, 40))
            ops.append(MatMul(f"op{i}", size, inner, size, symmetric=draw(st.booleans()), after=after))
        else:
            ops.append(Elementwise(f"op{i}", "relu", draw(st.integers(1, 3000)), 16, after=after))
    return Workload("random", tuple(ops))


@st.composite
def chips(draw: Any, presets_used: tuple[str, ...] = ("isaac", "puma"), *, sized: bool = True) -> Chip:
    """A chip that can be built, sized to its workload unless `sized` is false."""
    chip = presets.preset(draw(st.sampled_from(presets_used)))
    rows, columns = draw(st.sampled_from([32, 100, 128, 256])), draw(st.sampled_from([32, 64, 128]))
    differential = draw(st.booleans())
    options: dict[str, Any] = {
        "rows": rows, "columns": columns, "cell_bits": draw(st.integers(1, 4)), "dac_bits": draw(st.integers(1, 3)),
        "adc_bits": draw(st.sampled_from([None, 6, 8])), "columns_per_adc": draw(st.sampled_from([2, 8, 16])),
        "active_rows": draw(st.sampled_from([None, 9, 32])),
        "encoding": "differential" if differential else "offset", "flip": not differential and draw(st.booleans())}
    return (chip.with_tiles(None) if sized else chip).with_options(**options)
