"""Mean MACs of a network that each strategy or path warm-up draws: `python -m benchmarks.sampled_macs` (some minutes).

Criteo's inputs, live parts, the spaces Small and Full; with the standard error of the mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from nasrec.arch import Arch
from nasrec.data.features import Features, Table
from nasrec.hardware import workload_of
from nasrec.sampling import step_arch
from nasrec.space import FULL, SAMPLING, SMALL, Space
from nasrec.train_options import PATH_WARMUPS, TrainOptions

CRITEO = Features(13, tuple(Table(f"C{index}", 1000) for index in range(26)))  # rows of a table cost no MACs


def macs_of(arch: Arch) -> int:
    """Multiply-accumulates of one sample."""
    return sum(getattr(op, "macs", 0) for op in workload_of(arch, CRITEO).ops)


def of_strategy(name: str, draws: int) -> Callable[[Space], list[int]]:
    """MACs of draws by a strategy."""
    return lambda space: [macs_of(space.sample(np.random.default_rng([0, draw]), name)) for draw in range(draws)]


def of_warmup(name: str, draws: int) -> Callable[[Space], list[int]]:
    """MACs of all steps of a warm-up of so many."""
    options = TrainOptions(full_path_steps=draws, path_warmup=name, seed=0)
    return lambda space: [macs_of(step_arch(space, options, step)) for step in range(draws)]


def main(draws: Annotated[int, typer.Option(help="of each kind, or steps of a warm-up", min=2)] = 1000) -> None:
    """Print a line of a table for each strategy and each warm-up."""
    kinds = [(f"strategy {name}", of_strategy(name, draws)) for name in SAMPLING]
    kinds += [(f"warm-up {name}", of_warmup(name, draws)) for name in PATH_WARMUPS]
    for title, drawn in kinds:
        cells = []
        for space in (SMALL, FULL):
            macs = np.array(drawn(space)) / 1e6
            cells.append(f"{macs.mean():.2f} ± {macs.std(ddof=1) / np.sqrt(draws):.2f} M")
        sys.stdout.write(f"{title}: {', '.join(cells)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
