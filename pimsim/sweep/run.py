"""A whole sweep: block by block to its Pareto set or to a Parquet file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.sweep.grid import FIGURES, RESULTS, Columns
from pimsim.sweep.journal import Journal
from pimsim.sweep.pareto import OBJECTIVES, Front, best_of
from pimsim.sweep.space import Space, Task, fingerprint
from pimsim.sweep.workers import Threads, Workers
from pimsim.workload import Workload

BLOCK = 524_288  # designs of a block: arrays that the caches hold, and Python's own time spread over many
_SAVE_S = 2.0  # seconds between two states of a front on disk
Progress = Callable[[int], None]
"""Called with the designs done since the last call, impossible ones included; `resumed`: with those of a call before
this one, once, if there are any."""


def sweep(workload: Workload, space: Space, *, chunk: int = BLOCK, figures: tuple[str, ...] = FIGURES,
          **settings: Any) -> Iterator[Columns]:
    """Evaluate the space block by block, at most `chunk` designs each: one array per axis and per figure.

    `settings` are those of `evaluate`. Designs that cannot be built (more columns per ADC than columns, more active
    rows than rows), that the workload does not fit or that cannot read its tables in crossbars are left out.
    """
    for task in space.tasks(workload, chunk, settings):
        yield task.evaluate(workload, figures).columns()


def sweep_to_front(workload: Workload, space: Space, objectives: tuple[str, ...] = OBJECTIVES, *, chunk: int = BLOCK,
                   workers: Workers | None = None, progress: Progress | None = None, resumed: Progress | None = None,
                   journal: Journal | None = None,
                   **settings: Any) -> tuple[Columns, int]:
    """The Pareto set of a space, with the axes and objectives of its designs, and how many designs were evaluated.

    The set is exact, and the same for any number of workers: blocks are merged in the order of the space. `settings`
    are those of `evaluate`.
    """
    front = Front(objectives)
    done, count = 0, 0
    if journal is not None:
        front.columns, numbers = journal.saved()
        done, count = numbers.get("blocks", 0), numbers.get("designs", 0)

    def best(task: Task) -> tuple[Columns, int, int]:
        known = front.points(front.columns) if front.columns else []
        return best_of_block(task, workload, objectives, known)

    if done and resumed is not None:
        resumed(sum(map(len, islice(space.tasks(workload, chunk, settings), done))))
    saved = time.monotonic()
    missing = islice(space.tasks(workload, chunk, settings), done, None)
    for found, possible, designs in (workers or Threads()).run(best, missing):
        front.add(found)
        done, count = done + 1, count + possible
        if journal is not None and time.monotonic() - saved > _SAVE_S:
            journal.save(front.columns, blocks=done, designs=count)
            saved = time.monotonic()
        if progress is not None:
            progress(designs)
    return front.columns, count


def best_of_block(task: Task, workload: Workload, objectives: tuple[str, ...],
                  known: list[NDArray[np.float64]]) -> tuple[Columns, int, int]:
    """The best designs of a block, how many can exist, and how many there are; `known`: points that others reach."""
    block = task.evaluate(workload, objectives)
    best = best_of([np.asarray(block.column(name), np.float64) for name in objectives], known)
    return block.designs(best), len(block), len(task)


def front_to_parquet(workload: Workload, space: Space, out: Path, objectives: tuple[str, ...] = OBJECTIVES, *,
                     chunk: int = BLOCK, workers: Workers | None = None, progress: Progress | None = None,
                     resumed: Progress | None = None, **settings: Any) -> int:
    """Write the Pareto set of a space, whole or not at all; returns the number of designs that were evaluated.

    After a kill, the same call goes on where it was.
    """
    import polars

    journal = Journal(out, fingerprint("front", workload, space, chunk, settings, objectives))
    columns, count = sweep_to_front(workload, space, objectives, chunk=chunk, workers=workers, progress=progress,
                                    resumed=resumed, journal=journal, **settings)
    with journal.result() as path:
        polars.DataFrame(columns).write_parquet(path)
    return count


def sweep_to_parquet(workload: Workload, space: Space, out: Path, *, chunk: int = BLOCK,
                     workers: Workers | None = None, progress: Progress | None = None,
                     resumed: Progress | None = None, **settings: Any) -> int:
    """Write every design of a space into a Parquet file, whole or not at all; returns how many there are.

    `settings` are those of `evaluate`. Each finished block is a file beside `out` until all are there: after a kill,
    the same call goes on where it was.
    """
    import polars

    journal = Journal(out, fingerprint("all", workload, space, chunk, settings))
    finished = journal.parts()
    if finished and resumed is not None:
        resumed(sum(len(task) for task in space.tasks(workload, chunk, settings) if task.index in finished))
    missing = (task for task in space.tasks(workload, chunk, settings) if task.index not in finished)
    for index, part, designs in (workers or Threads()).run(partial(parquet_of_block, workload=workload), missing):
        journal.keep(index, part)
        if progress is not None:
            progress(designs)
    with journal.result() as path:
        scan = polars.scan_parquet(journal.files(), glob=False)
        scan.sink_parquet(path, compression="zstd", compression_level=1)
    return int(polars.scan_parquet(out).select(polars.len()).collect().item())


def parquet_of_block(task: Task, workload: Workload) -> tuple[int, bytes, int]:
    """A block's number, its designs as a Parquet file, and how many there are, impossible ones included."""
    import polars

    block = task.evaluate(workload, FIGURES)
    real = (*RESULTS, "budget_area_m2")
    numbers = {name: polars.Float64() if name in real else polars.Int64() for name in (*task.axes, *FIGURES)}
    frame = polars.DataFrame({name: block.column(name) for name in numbers}, schema=numbers)
    words = [polars.lit(word).alias(name) for name, word in task.words.items()]
    file = BytesIO()
    frame.select([*words, *numbers]).write_parquet(file, compression="zstd", compression_level=1)
    return task.index, file.getvalue(), len(task)
