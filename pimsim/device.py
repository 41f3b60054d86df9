"""What a ReRAM cell's conductance really is: programming error, relaxation and read noise, as published statistics.

Siemens inside; the published coefficients are in microsiemens and stand as they are, with `_US` beside them. Every law
gives the standard deviation before conductances below zero are clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pimsim.errors import InputError
from pimsim.quantity import MICRO, Quantity

Floats = NDArray[np.float64]
_US = MICRO  # S in a microsiemens

# Wan et al., Nature 2022, extended data figure 3: cubic in µS, fit of CrossSim (RRAM_Wan), highest power first.
_WAN_PROGRAMMED = (1.536e-4, -1.167e-2, 0.2374, 1.053)  # µS
_WAN_LARGEST_US = 39.26  # µS: CrossSim, end of the fit
# The same paper at later times: quartic in g / 40 µS, giving µS, fit of aihwkit (ReRamWan2022NoiseModel).
_WAN_LATER = {1.0: (-16.815, 45.393, -43.853, 16.030, 0.348),
              86_400.0: (-16.458, 47.095, -50.773, 22.086, 0.701),
              172_800.0: (-11.934, 37.062, -43.507, 20.274, 0.782)}
_WAN_SCALE_US = 40.0  # µS: aihwkit
_WAN_READ_US = 0.01 * _WAN_SCALE_US  # µS: aihwkit, about 1 % of the largest conductance
# Falcone et al., CMO/HfOx, as fitted in aihwkit (ReRamCMONoiseModel); µS.
_CMO_PROGRAMMED = {"cmo_hfox_2": (0.01129027, 0.01121854), "cmo_hfox_0.2": (0.00106879, 0.00081107)}
_CMO_DRIFT = -0.08900206  # µS per unit of ln t: mean
_CMO_RELAXED = (0.04201137, 0.41183342)  # µS: standard deviation, slope on ln t and constant
_CMO_READ, _CMO_READ_S = 0.0277316483, 1e-6  # factor K; time of a read, s
# Milo et al., IEEE TED 2021, 1T1R HfO2, fit of CrossSim (RRAM_Milo); µS.
_MILO_PROGRAMMED = (-0.0091, 4.782)


@dataclass(frozen=True)
class Law:
    """Statistics of one device, as functions of the conductance aimed at (S, any shape) and time since programming.

    `programmed` and `read` give standard deviations in S, `later` mean and standard deviation of what time adds to the
    aim; `total_later` says that this standard deviation contains the programming error. `least_s`, `most_s`: the range
    of conductances that was measured; `times_s`: of times, 0 (just programmed) aside.
    """

    name: str
    source: str
    least_s: float
    most_s: float
    times_s: tuple[float, float] | None
    programmed: Callable[[Floats], Floats]
    later: Callable[[Floats, float], tuple[Floats, Floats]]
    total_later: bool
    read: Callable[[Floats, float], Floats]

    def spread(self, conductance_s: ArrayLike, time_s: float = 0.0, *,
               read_noise: bool = False) -> tuple[Floats, Floats]:
        """Mean and standard deviation in S of cells that were to have `conductance_s`, `time_s` after programming.

        `read_noise` adds that of one read. Independent parts add up in variance. InputError outside what was measured.
        """
        aim = np.asarray(conductance_s, np.float64)
        measured = (aim >= self.least_s * (1 - 1e-9)) & (aim <= self.most_s * (1 + 1e-9))
        if not measured.all():
            outside = aim[~measured].flat[0]
            raise InputError(f"conductance: {outside / _US:g} µS, allowed for {self.name}: {self.least_s / _US:g} to "
                             f"{self.most_s / _US:g} µS")
        self._check_time(time_s)
        sigma = self.programmed(aim)
        mean, variance = aim, np.square(sigma)
        if time_s > 0.0:
            shift, relaxed = self.later(aim, time_s)
            mean = aim + shift
            variance = np.square(relaxed) + (0.0 if self.total_later else variance)
        if read_noise:
            variance = variance + np.square(self.read(mean, time_s))
        return mean, np.sqrt(variance)

    def _check_time(self, time_s: float) -> None:
        if time_s == 0.0 or (self.times_s is not None and self.times_s[0] <= time_s <= self.times_s[1]):
            return
        later = f", or {self.times_s[0]:g} to {self.times_s[1]:g} s" if self.times_s else ""
        raise InputError(f"time_s: {time_s!r}, allowed for {self.name}: 0 (just programmed){later}")


def sample(conductance_s: ArrayLike, law: Law, time_s: float, rng: np.random.Generator, *, read_noise: bool = False,
           clip: bool = True) -> Floats:
    """Conductances (S) of cells that were to have `conductance_s`, drawn from `law`; below zero becomes zero.

    `clip` False leaves negative ones, whose mean and standard deviation are exactly those of `law.spread`.
    """
    mean, sigma = law.spread(conductance_s, time_s, read_noise=read_noise)
    drawn = mean + sigma * rng.standard_normal(mean.shape)
    return np.maximum(drawn, 0.0) if clip else drawn


def level_conductances(levels: int, off_s: float, on_s: float) -> Floats:
    """Conductances (S) of a cell's `levels` evenly spaced levels from `off_s` to `on_s`."""
    if levels < 2 or not 0.0 <= off_s < on_s:
        raise InputError(f"levels: {levels} from {off_s!r} to {on_s!r} S, allowed: at least 2, rising from 0 or above")
    return np.linspace(off_s, on_s, levels)


def level_sigma(law: Law, levels: int, off_s: float, on_s: float, time_s: float = 0.0, *,
                read_noise: bool = False) -> Floats:
    """Standard deviation of each of a cell's levels `[levels]`, in units of one level step."""
    _, sigma = law.spread(level_conductances(levels, off_s, on_s), time_s, read_noise=read_noise)
    return sigma / ((on_s - off_s) / (levels - 1))


def level_shift(law: Law, levels: int, off_s: float, on_s: float, time_s: float) -> Floats:
    """Mean drift of each level `[levels]` after `time_s`, in units of one level step."""
    aim = level_conductances(levels, off_s, on_s)
    mean, _ = law.spread(aim, time_s)
    return (mean - aim) / ((on_s - off_s) / (levels - 1))


@dataclass(frozen=True)
class Faults:
    """Share of cells stuck at the lowest (`low`) and at the highest (`high`) conductance."""

    low: Quantity
    high: Quantity

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int8]:
        """-1 for a cell stuck low, 1 for one stuck high, 0 for one that works; cells are independent."""
        low, high = self.low.value, self.high.value
        if not (low >= 0.0 and high >= 0.0 and low + high <= 1.0):
            raise InputError(f"faults: {low!r} low and {high!r} high, allowed: shares from 0, together at most 1")
        uniform = rng.random(shape)
        stuck: NDArray[np.int8] = np.where(uniform < low, -1, np.where(uniform >= 1.0 - high, 1, 0)).astype(np.int8)
        return stuck


MNSIM_FAULTS = Faults(Quantity(0.001, "1", "MNSIM 2.0, default"), Quantity(0.001, "1", "MNSIM 2.0, default"))
"""Stuck-at faults of a usual array."""


def _none(conductance_s: Floats, time_s: float) -> Floats:
    return np.zeros_like(conductance_s)


def _still(conductance_s: Floats, time_s: float) -> tuple[Floats, Floats]:
    return np.zeros_like(conductance_s), np.zeros_like(conductance_s)


def _wan_programmed(conductance_s: Floats) -> Floats:
    sigma: Floats = np.maximum(np.polyval(_WAN_PROGRAMMED, conductance_s / _US), 0.0) * _US
    return sigma


def _wan_later(conductance_s: Floats, time_s: float) -> tuple[Floats, Floats]:
    """The three measured times; between them linear in ln t (assumption)."""
    share = conductance_s / _US / _WAN_SCALE_US
    times = list(_WAN_LATER)
    after = next(index for index, time in enumerate(times) if time_s <= time)
    sigma = np.polyval(_WAN_LATER[times[after]], share)
    if time_s < times[after]:
        before = times[after - 1]
        part = math.log(time_s / before) / math.log(times[after] / before)
        sigma = part * sigma + (1.0 - part) * np.polyval(_WAN_LATER[before], share)
    return np.zeros_like(share), np.maximum(sigma, 0.0) * _US


def _wan_read(conductance_s: Floats, time_s: float) -> Floats:
    return np.full_like(conductance_s, _WAN_READ_US * _US)


def _linear(coefficients: tuple[float, float]) -> Callable[[Floats], Floats]:
    def sigma(conductance_s: Floats) -> Floats:
        return (coefficients[0] * (conductance_s / _US) + coefficients[1]) * _US

    return sigma


def _cmo_later(conductance_s: Floats, time_s: float) -> tuple[Floats, Floats]:
    log = math.log(time_s)
    mean, sigma = _CMO_DRIFT * log * _US, (_CMO_RELAXED[0] * log + _CMO_RELAXED[1]) * _US
    return np.full_like(conductance_s, mean), np.full_like(conductance_s, sigma)


def _cmo_read(conductance_s: Floats, time_s: float) -> Floats:
    """K · log10(G / µS) · sqrt(ln((t + t_read) / 2 t_read)); none below 1 µS or before t_read (no value)."""
    grown = math.log(max((time_s + _CMO_READ_S) / (2.0 * _CMO_READ_S), 1.0))
    return _CMO_READ * np.log10(np.maximum(conductance_s / _US, 1.0)) * math.sqrt(grown) * _US


def _cmo(name: str, acceptance: str) -> Law:
    source = f"Falcone et al., CMO/HfOx, programmed to within {acceptance} of the aim; fit of aihwkit"
    return Law(name, source, 0.0, math.inf, (1.0, 1e10), _linear(_CMO_PROGRAMMED[name]), _cmo_later, False, _cmo_read)


LAWS: dict[str, Law] = {law.name: law for law in (
    Law("wan", "Wan et al., Nature 2022; fits of CrossSim (programming) and aihwkit (1 s, 1 day, 2 days)", 0.0,
        _WAN_LARGEST_US * _US, (1.0, 172_800.0), _wan_programmed, _wan_later, True, _wan_read),
    _cmo("cmo_hfox_2", "2 %"),
    _cmo("cmo_hfox_0.2", "0.2 %"),
    Law("milo", "Milo et al., IEEE TED 2021, 1T1R HfO2; fit of CrossSim; no drift or read noise given", 50 * _US,
        225 * _US, None, _linear(_MILO_PROGRAMMED), _still, False, _none),
)}
"""Every law by its name."""


def law_named(name: str) -> Law:
    """The law called `name`; InputError lists the names there are."""
    if name not in LAWS:
        raise InputError(f"device: no law {name!r}, allowed: {', '.join(LAWS)}")
    return LAWS[name]
