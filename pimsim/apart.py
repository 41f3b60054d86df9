"""Which of several designs are really apart, given how sure the figures are that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import CHOICES, RANGES, Chip
from pimsim.errors import InputError
from pimsim.presets import preset
from pimsim.uncertainty import SAMPLES, Floats, evaluate_uncertain
from pimsim.workload import Workload

Flags = NDArray[np.bool_]
_BUDGETS = ("budget_area_m2", "budget_crossbars")
_SETTINGS = ("copies", *_BUDGETS, "gating", "execution")
_KNOWN = (*RANGES, *CHOICES, *_SETTINGS, "preset")
OBJECTIVES = ("energy_j", "latency_s", "area_m2")
SURE = 0.95
"""How probable it must be that one design is better in something, to count."""


@dataclass(frozen=True)
class Comparison:
    """Several designs under the same draws of what they have in common; all objectives are better where lower.

    `nominal` [designs, objectives]: with figures as stated. `draws` [designs, objectives, samples].
    """

    objectives: tuple[str, ...]
    nominal: Floats
    draws: Floats

    def intervals(self, share: float = 0.9) -> Floats:
        """Ends [designs, objectives, 2] of the middle `share` of each design's draws."""
        tail = (1.0 - share) / 2
        return np.moveaxis(np.quantile(self.draws, (tail, 1.0 - tail), axis=2), 0, -1)

    def better(self) -> Floats:
        """How probable it is that a design is lower than another in an objective: [objectives, designs, designs]."""
        return np.stack([np.mean(one[None] < self.draws, axis=2).T for one in self.draws], axis=1)

    def dominates(self) -> Floats:
        """How probable it is that a design is nowhere worse than another and somewhere better: [designs, designs]."""
        return np.stack([np.mean(_beats(one[None], self.draws), axis=1) for one in self.draws])

    def on_front(self) -> Floats:
        """How probable it is that no other of these designs dominates one: [designs]."""
        return np.array([np.mean(~np.any(_beats(self.draws, one[None]), axis=0)) for one in self.draws])

    def apart(self, sure: float = SURE) -> Flags:
        """Which designs are really apart [designs, designs].

        Either one dominates the other, or each is better in some objective; both only count where they are as probable
        as `sure`. Designs that are not apart may be in either order, or one may beat the other: the figures do not say.
        """
        better = np.max(self.better(), axis=0) >= sure
        dominates = self.dominates() >= sure
        return (better & better.T) | dominates | dominates.T  # type: ignore[no-any-return]

    def groups(self, sure: float = SURE) -> NDArray[np.int64]:
        """A number for each design: the first one, in the order given, that stands for it.

        A design stands for itself unless it is not apart from an earlier one that does.
        """
        apart = self.apart(sure)
        first = np.arange(len(apart))
        for design in range(len(apart)):
            near = [other for other in range(design) if first[other] == other and not apart[design, other]]
            first[design] = near[0] if near else design
        return first

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values of each design."""
        ends, front, group = self.intervals(), self.on_front(), self.groups()
        return [{"intervals": {name: {"nominal": float(self.nominal[i, k]), "low": float(ends[i, k, 0]),
                                      "high": float(ends[i, k, 1])} for k, name in enumerate(self.objectives)},
                 "on_front": float(front[i]), "like": int(group[i])} for i in range(len(self.nominal))]


def compare(workload: Workload, chip: Chip, designs: Sequence[Mapping[str, Any]],
            objectives: Sequence[str] = OBJECTIVES, *, samples: int = SAMPLES, seed: int = 0,
            presets: Mapping[str, Chip] | None = None, **settings: Any) -> Comparison:
    """`designs` of `chip` under common draws of its figures.

    A design names options of `Chip.with_options`, `copies`, `budget_area_m2` or `budget_crossbars`, `gating`,
    `execution`, or a `preset` in the place of `chip`, as rows of a sweep do (`design_of`); `presets` may say which chip
    a name stands for. The `settings` are those of `evaluate`. InputError for a design that cannot be and for an
    objective that a report has no draws of.
    """
    made = []
    for number, design in enumerate(designs):
        unknown = sorted(design.keys() - set(_KNOWN))
        if unknown:
            raise InputError(f"design {number} has {unknown[0]!r}, allowed: {', '.join(_KNOWN)}")
        own = {name: value for name, value in design.items() if name in _SETTINGS}
        if own.keys() & set(_BUDGETS):
            own.setdefault("copies", "budget")
        options = {name: value for name, value in design.items() if name not in ("preset", *_SETTINGS)}
        base = (presets or {}).get(design.get("preset", "")) or _preset_of(design, chip)
        made.append((base.with_options(**options), {**settings, **own}))
    return compare_chips(workload, made, objectives, samples=samples, seed=seed)


def compare_chips(workload: Workload, chips: Sequence[tuple[Chip, Mapping[str, Any]]],
                  objectives: Sequence[str] = OBJECTIVES, *, samples: int = SAMPLES, seed: int = 0) -> Comparison:
    """Chips, each with settings of `evaluate` of its own, under common draws of what they share."""
    if not chips or not objectives:
        raise InputError("no designs or no objectives to compare, needed: one or more of each")
    nominal, draws = [], []
    for chip, settings in chips:
        result = evaluate_uncertain(workload, chip, samples=samples, seed=seed, **settings)
        for name in objectives:
            if name not in result.draws or name == "throughput_hz":
                allowed = ", ".join(known for known in result.draws if known != "throughput_hz")
                raise InputError(f"objectives has {name!r}, allowed: {allowed}")
        nominal.append([result.interval(name).nominal for name in objectives])
        draws.append([result.draws[name] for name in objectives])
    return Comparison(tuple(objectives), np.array(nominal), np.array(draws))


def _preset_of(design: Mapping[str, Any], chip: Chip) -> Chip:
    """The chip that a design starts from, sized to its workload if `chip` is."""
    if "preset" not in design:
        return chip
    named = preset(design["preset"])
    return named.with_tiles(None) if chip.tiles is None else named


def design_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row of a sweep names its design: the other columns are results."""
    return {name: value for name, value in row.items() if name in _KNOWN and value is not None}


def _beats(a: Floats, b: Floats) -> Flags:
    """Whether `a` dominates `b` in each draw; [.., objectives, samples] give [.., samples]."""
    beats: Flags = np.all(a <= b, axis=-2) & np.any(a < b, axis=-2)
    return beats
