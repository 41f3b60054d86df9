"""ZigZag (zigzag-dse) on the stored matrices of a workload, as its own in-memory computing example has them."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from pimsim import MatVec, Workload


def zigzag_seconds(workload: Workload, mappings: int) -> tuple[float, int, int]:
    """CPU seconds for one design with a search over `mappings` spatial mappings a layer; layers done, and refused.

    Its analog SRAM array "aimc" and default mapping; each matrix as a convolution of width 1, which is what it takes.
    It fails on a layer that needs no loop in time: such layers are not counted in the seconds.
    """
    import zigzag
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.CRITICAL)
    inputs = Path(zigzag.__file__).parent / "inputs"
    seconds, done, refused = 0.0, 0, 0
    for op in workload.ops:
        if not isinstance(op, MatVec):
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            start = time.process_time()
            try:
                get_hardware_performance_zigzag(
                    [_layer(op)], str(inputs / "hardware/aimc.yaml"), str(inputs / "mapping/default_imc.yaml"),
                    opt="energy", dump_folder=folder, lpf_limit=6 if mappings > 1 else 1,
                    nb_spatial_mappings_generated=mappings, in_memory_compute=True, loma_show_progress_bar=False)
            except (ValueError, KeyError):
                refused += 1
                continue
            seconds, done = seconds + time.process_time() - start, done + 1
    logging.disable(logging.NOTSET)
    return seconds, done, refused


def _layer(op: MatVec) -> dict[str, Any]:
    return {
        "id": 0, "name": "layer", "operator_type": "Conv", "operand_source": {"I": 0, "W": 0},
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
        "loop_dims": ["B", "K", "G", "OX", "OY", "C", "FX", "FY"],
        "loop_sizes": [1, op.outputs, 1, 1, op.vectors, op.inputs, 1, 1],
        "pr_loop_dims": ["IX", "IY"], "pr_loop_sizes": [1, op.vectors], "padding": [[0, 0], [0, 0]],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8}}
