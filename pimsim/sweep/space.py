"""The space of a sweep: a product of options around a chip, cut into blocks that can be evaluated anywhere."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from pimsim.chip import CHOICES, RANGES, Chip
from pimsim.cost import EXECUTIONS, GATINGS
from pimsim.errors import InputError
from pimsim.mapping import require_summable
from pimsim.presets import PRESETS, preset
from pimsim.sweep.grid import Axes, Block, blocks, build_block, evaluate_block
from pimsim.workload import Workload

NUMBERS = (*RANGES, "copies", "budget_area_m2")
"""Axes of numbers, whose values share the work of a block."""
WORDS: dict[str, tuple[Any, ...]] = {
    "preset": tuple(PRESETS), **CHOICES, "gating": GATINGS, "execution": EXECUTIONS}
"""Axes of words: each combination of their values has blocks of its own."""
AXES = (*NUMBERS, *WORDS)
_SETTINGS = ("gating", "execution")
_TABLES = ("dram", "dram_tables", "tables")


@dataclass(frozen=True)
class Space:
    """A product of options around `chip`: for each axis its values.

    An axis is an option of the chip (see `Chip.with_options`), "preset", "copies", "budget_area_m2" (the area that
    copies may fill), "gating" or "execution". None as a value of adc_bits means lossless. Axes of words vary slowest,
    in the order given, then those of numbers; the last one runs fastest. Of an axis "preset", `presets` holds the chip
    that each name stands for; where it says nothing, the preset as it is, sized to its workload if `chip` is.
    `settings`: those of `evaluate` that hold for all designs (copies, budget_crossbars, tables, …).
    """

    chip: Chip
    axes: dict[str, tuple[Any, ...]]
    presets: Mapping[str, Chip] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse axes that do not exist, have no values or values that no chip can have."""
        for name, values in self.axes.items():
            if name not in AXES:
                raise InputError(f"space: no axis {name!r}, allowed: {', '.join(AXES)}")
            if not isinstance(values, tuple | list):
                raise InputError(f"space: axis {name!r} has {values!r}, allowed: a tuple of one or more values")
            allowed = WORDS.get(name, ())
            for value in values:
                if allowed and value not in allowed:
                    raise InputError(f"space: axis {name!r} has {value!r}, allowed: {', '.join(map(str, allowed))}")
            if not values or (None in values and name != "adc_bits"):
                raise InputError(f"space: axis {name!r} has {values!r}, allowed: one or more whole numbers")
            if len(set(values)) < len(values):
                raise InputError(f"space: axis {name!r} has {values!r}, allowed: each value once")
        if "copies" in self.axes and "budget_area_m2" in self.axes:
            raise InputError("space: axes 'copies' and 'budget_area_m2' are both given, allowed: one of them")

    def __len__(self) -> int:
        """Designs in the space, those that turn out impossible included."""
        return math.prod(len(values) for values in self.axes.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The axes in the order in which they vary, the slowest first."""
        return tuple(sorted(self.axes, key=lambda name: name not in WORDS))

    def tasks(self, workload: Workload | None, most: int, settings: Mapping[str, Any]) -> Iterator[Task]:
        """Blocks of at most `most` designs, in the order of the space; InputError if no combination of words is a chip.

        Combinations that are no chip (flip encoding of differential pairs), or whose chip does not sum tables of
        `workload` in crossbars as `settings` want, have no blocks.
        """
        words = {name: self.axes[name] for name in self.names if name in WORDS}
        numbers = {name: self.axes[name] for name in self.names if name not in WORDS}
        refused, tasks = None, 0
        for values in product(*words.values()):
            chosen = dict(zip(words, values, strict=True))
            running = {**self.settings, **settings, **{name: chosen[name] for name in _SETTINGS if name in chosen}}
            try:
                chip = self._chip(chosen)
                if workload is not None:
                    require_summable(workload, chip, **{name: running[name] for name in _TABLES if name in running})
            except InputError as error:
                refused = refused or error
                continue
            for block in blocks(numbers, most):
                yield Task(tasks, chip, chosen, block, running)
                tasks += 1
        if not tasks and refused is not None:
            raise refused

    def check(self) -> None:
        """InputError for a value that a chip of the space refuses, before anything is evaluated."""
        for task in self.tasks(None, len(self), {}):
            build_block(task.chip, task.axes)

    def _chip(self, chosen: Mapping[str, Any]) -> Chip:
        chip = self.chip
        if "preset" in chosen:
            name = chosen["preset"]
            chip = self.presets.get(name) or (
                preset(name).with_tiles(None) if chip.tiles is None else preset(name))
        return chip.with_options(**{name: value for name, value in chosen.items() if name in CHOICES})


@dataclass(frozen=True)
class Task:
    """One block of a space: its number, the chip around which it lies, the words chosen for it, the axes of numbers."""

    index: int
    chip: Chip
    words: dict[str, Any]
    axes: Axes
    settings: dict[str, Any]

    def __len__(self) -> int:
        """Designs of the block, impossible ones included."""
        return math.prod(map(len, self.axes.values()))

    def evaluate(self, workload: Workload, figures: tuple[str, ...]) -> Block:
        """The designs that can exist, with the `figures` asked for."""
        block = evaluate_block(workload, self.chip, self.axes, figures, self.settings)
        return Block(block.shape, {**self.words, **block.axes}, block.figures, block.kept)


def fingerprint(*parts: Any) -> str:
    """A name for a sweep: what it depends on, the package's own code too, in a few characters.

    So blocks that another version has costed are not mixed with ours.
    """
    return hashlib.sha256(repr((*parts, _code())).encode()).hexdigest()[:16]


@cache
def _code() -> str:
    """A hash of the package's Python files."""
    files = sorted(Path(__file__).resolve().parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
