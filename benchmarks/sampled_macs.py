"""Mean MACs of a network that each strategy or path warm-up draws: `python -m benchmarks.sampled_macs` (some minutes).

Criteo's inputs, live parts, the spaces Small and Full; with the standard error of the mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from benchmarks.networks import features
from nasrec.arch import Arch
from nasrec.hardware import workload_of
from nasrec.sampling import step_arch
from nasrec.space import FULL, SAMPLING, SMALL, Space
from nasrec.train_options import PATH_WARMUPS, TrainOptions

Draw = Callable[[Space, int], Arch]


def by_strategy(name: str) -> Draw:
    """How a strategy draws."""
    return lambda space, draw: space.sample(np.random.default_rng([0, draw]), name)


def by_warmup(name: str, steps: int) -> Draw:
    """How a warm-up of so many steps draws: each step once."""
    options = TrainOptions(full_path_steps=steps, path_warmup=name, seed=0)
    return lambda space, step: step_arch(space, options, step)


def main(draws: Annotated[int, typer.Option(help="of each kind, or steps of a warm-up", min=2)] = 1000) -> None:
    """Print a line of a table for each strategy and each warm-up."""
    kinds = [(f"strategy {name}", by_strategy(name)) for name in SAMPLING]
    kinds += [(f"warm-up {name}", by_warmup(name, draws)) for name in PATH_WARMUPS]
    criteo = features()
    for title, draw in kinds:
        cells = []
        for space in (SMALL, FULL):
            macs = np.array([workload_of(draw(space, number), criteo).macs for number in range(draws)]) / 1e6
            cells.append(f"{macs.mean():.2f} ± {macs.std(ddof=1) / np.sqrt(draws):.2f} M")
        sys.stdout.write(f"{title}: {', '.join(cells)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
