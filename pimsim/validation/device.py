"""Published conductance statistics reproduced by sampling: mean and standard deviation before clipping."""

from __future__ import annotations

import numpy as np

from pimsim.device import law_named, sample
from pimsim.quantity import MICRO
from pimsim.validation.point import Factor, Point

SAMPLES = 100_000
SEED = 20260
_DAY = 86_400.0  # s
_PUBLISHED = (  # law, target µS, time s: sigma µS, from the published polynomial by hand
    ("wan", 10.0, 0.0, 2.4136), ("wan", 20.0, 0.0, 2.3618), ("wan", 30.0, 0.0, 1.8192),
    ("wan", 20.0, 1.0, 2.0229), ("wan", 20.0, _DAY, 3.9091), ("wan", 20.0, 2 * _DAY, 3.9291),
    ("cmo_hfox_2", 50.0, 0.0, 0.5757), ("cmo_hfox_0.2", 50.0, 0.0, 0.05425),
    ("milo", 50.0, 0.0, 4.327), ("milo", 100.0, 0.0, 3.872), ("milo", 225.0, 0.0, 2.7345))
_DRIFT = (("cmo_hfox_2", 50.0, _DAY, 48.9883, 1.0595),)  # law, µS, s: mean and sigma, µS; 0.8894 and 0.5757 together


def validate() -> tuple[list[Point], list[Factor]]:
    """Each law at some conductances and times, `SAMPLES` cells each."""
    rng = np.random.default_rng(SEED)
    points = []
    for name, aim, time, sigma in _PUBLISHED:
        mean, deviation = _sampled(name, aim, time, rng)
        when = "programmed" if time == 0.0 else f"after {time:g} s"
        target = f"conductance, {name}"
        points.append(Point(target, f"mean at {aim:g} µS {when}, µS", "arithmetic", aim, mean))
        points.append(Point(target, f"sigma at {aim:g} µS {when}, µS", "arithmetic", sigma, deviation))
    for name, aim, time, shifted, sigma in _DRIFT:
        mean, deviation = _sampled(name, aim, time, rng)
        target = f"conductance, {name}"
        points.append(Point(target, f"mean at {aim:g} µS after {time:g} s, µS", "arithmetic", shifted, mean))
        points.append(Point(target, f"sigma at {aim:g} µS after {time:g} s, µS", "arithmetic", sigma, deviation))
    return points, []


def _sampled(name: str, aim_us: float, time_s: float, rng: np.random.Generator) -> tuple[float, float]:
    """Mean and standard deviation in µS of sampled cells."""
    cells = sample(np.full(SAMPLES, aim_us * MICRO), law_named(name), time_s, rng, clip=False) / MICRO
    return float(cells.mean()), float(cells.std())
