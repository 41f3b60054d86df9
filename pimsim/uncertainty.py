"""How sure a result is: every figure of a chip drawn from its uncertainty, and the model run on all draws at once.

A figure's factor is lognormal with mean 1 and the relative standard deviation of `uncertainty_of`, so that energies and
areas, which are linear in figures, keep their mean. A table (an ADC's energy by bits) moves as a whole.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import Chip
from pimsim.cost import Report
from pimsim.errors import InputError
from pimsim.evaluate import account, evaluate
from pimsim.figures import SCALED, figures, uncertainty_of, with_factors
from pimsim.quantity import smaller
from pimsim.workload import Workload

Floats = NDArray[np.float64]
SAMPLES = 1000
CHANCE = 12.0  # of a hundred independent draws none correlates so by chance in 95 of 100 cases: chi-square, one degree
RESULTS = ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "throughput_hz", "area_m2")
"""What an uncertain report has draws of, and the lifetime where there are updates."""


@dataclass(frozen=True)
class Interval:
    """A result with all figures as stated (`nominal`), the median of its draws, and the ends of an interval of them."""

    nominal: float
    low: float
    median: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {"nominal": self.nominal, "low": self.low, "median": self.median, "high": self.high}


@dataclass(frozen=True)
class UncertainReport:
    """A report and what it is for every draw of the figures.

    `draws`: results `[samples]` by name, see `RESULTS`. `normal`: the standard normal draws `[samples]` by what they
    belong to. `keeps_up`: share of the draws in which the chip is as fast as inferences arrive.
    """

    report: Report
    draws: dict[str, Floats]
    normal: dict[str, Floats]
    seed: int
    keeps_up: float

    @property
    def samples(self) -> int:
        """How often figures were drawn."""
        return len(self.draws["energy_j"])

    def interval(self, name: str, share: float = 0.9) -> Interval:
        """The middle `share` of the draws of a result: from 5 to 95 % unless told otherwise."""
        tail = (1.0 - share) / 2
        low, median, high = np.quantile(self.draws[name], (tail, 0.5, 1.0 - tail))
        nominal = self.report.life.lifetime_s if name == "lifetime_s" else getattr(self.report, name)
        return Interval(float(nominal), float(low), float(median), float(high))

    def drivers(self, name: str, least: float | None = None) -> dict[str, float]:
        """What a result's spread comes from: the share of its variance that goes with each draw, the largest first.

        The square of the correlation with the result's logarithm (first order); shares below `least` are left out, by
        default those below 2 % or what chance makes of so few samples: about 1 / samples each, `CHANCE` times that for
        the largest of a hundred.
        """
        if least is None:
            least = max(0.02, CHANCE / self.samples)
        values = self.draws[name]
        if values.min() == values.max():
            return {}
        values = np.log(values)
        shares = {key: float(np.corrcoef(drawn, values)[0, 1]) ** 2 for key, drawn in self.normal.items()}
        return {key: share for key, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= least}

    def to_json(self) -> dict[str, Any]:
        """Plain values: intervals from 5 to 95 % and what they come from."""
        return {"samples": self.samples, "seed": self.seed, "from": 0.05, "to": 0.95, "keeps_up": self.keeps_up,
                "intervals": {name: self.interval(name).to_json() for name in self.draws},
                "drivers": {name: self.drivers(name) for name in self.draws}}


def draw_of(name: str, chip: Chip) -> str:
    """What the draw of a figure is called; figures of a name share it, on one chip and on different ones.

    The same component has the same draw on every chip, so that chips are compared with common random numbers. Two
    exceptions: ADCs by different models are drawn apart, and figures that rest on one assumption are drawn together.
    """
    figure = figures(chip)[name]
    if figure.source.startswith("assumption"):
        return f"{figure.source.partition(SCALED)[0]} [{figure.unit}]"
    return f"{name} ({chip.crossbar.adc.model})" if name.startswith("adc.") else name


def draw_figures(chip: Chip, samples: int = SAMPLES, seed: int = 0) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Factors of the figures of `chip` and the standard normal draws that they come from, `[samples]` each.

    A draw depends on the seed and its name only: not on the chip, and not on what else is drawn.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or not 2 <= samples <= 10**6:
        raise InputError(f"samples is {samples!r}, allowed: 2 to 1000000")
    factors: dict[str, Floats] = {}
    normal: dict[str, Floats] = {}
    for name, figure in figures(chip).items():
        relative = uncertainty_of(name, figure).relative
        if not relative:
            continue
        key = draw_of(name, chip)
        if key not in normal:
            digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
            normal[key] = np.random.default_rng((seed, digest)).standard_normal(samples)
        sigma = math.sqrt(math.log1p(relative**2))
        factors[name] = np.exp(sigma * normal[key] - sigma**2 / 2)
    return factors, normal


def evaluate_uncertain(workload: Workload, chip: Chip, *, samples: int = SAMPLES, seed: int = 0,
                       **settings: Any) -> UncertainReport:
    """`evaluate` with the same `settings`, and its results for `samples` draws of the figures of `chip`.

    Where things are placed, and how many copies there are, is decided once, with figures as stated. Where a draw of the
    chip is slower than inferences arrive, they come as fast as it takes them.
    """
    report = evaluate(workload, chip, **settings)
    factors, normal = draw_figures(chip, samples, seed)
    drawn = with_factors(chip, factors)
    how = {"execution": report.execution, "updates_per_day": settings.get("updates_per_day", 0.0)}
    freely = account(workload, drawn, report.mapping, gating=report.gating, **how)
    rate, keeps_up = report.arrival_rate_hz, 1.0
    if rate is not None:
        keeps_up = float(np.mean(np.broadcast_to(rate * freely.interval_s <= 1.0, samples)))
        most: Any = smaller(rate, 1.0 / freely.interval_s)
        freely = account(workload, drawn, report.mapping, gating=report.gating, arrival_rate_hz=most, **how)
    draws = {name: _spread(getattr(freely, name), samples) for name in RESULTS
             if name != "throughput_hz" or np.all(freely.interval_s)}
    if report.life.first_worn is not None:
        draws["lifetime_s"] = _spread(freely.life.lifetime_s, samples)
    return UncertainReport(report, draws, normal, seed, keeps_up)


def probability_less(a: UncertainReport, b: UncertainReport, name: str) -> float:
    """With which probability a result is lower in `a` than in `b`, by the same draws of what they have in common.

    Equal results count half. ValueError for reports of different draws.
    """
    if (a.seed, a.samples) != (b.seed, b.samples):
        raise ValueError("reports with other seeds or numbers of samples have no draws in common")
    return float(np.mean(a.draws[name] < b.draws[name]) + np.mean(a.draws[name] == b.draws[name]) / 2)


def _spread(value: Any, samples: int) -> Floats:
    return np.broadcast_to(np.asarray(value, np.float64), samples)
