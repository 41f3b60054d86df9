"""Conductance statistics: published values by hand, sampling, clipping, levels, faults, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pimsim import InputError
from pimsim.device import LAWS, MNSIM_FAULTS, Faults, law_named, level_shift, level_sigma, sample
from pimsim.quantity import Quantity

US, DAY = 1e-6, 86_400.0


@pytest.mark.parametrize(("law", "microsiemens", "time_s", "mean", "sigma"), [
    ("wan", 0.0, 0.0, 0.0, 1.053),
    ("wan", 20.0, 0.0, 20.0, 1.2288 - 4.668 + 4.748 + 1.053),
    ("wan", 20.0, 1.0, 20.0, -16.815 / 16 + 45.393 / 8 - 43.853 / 4 + 16.030 / 2 + 0.348),
    ("wan", 20.0, DAY, 20.0, -16.458 / 16 + 47.095 / 8 - 50.773 / 4 + 22.086 / 2 + 0.701),
    ("wan", 20.0, 2 * DAY, 20.0, -11.934 / 16 + 37.062 / 8 - 43.507 / 4 + 20.274 / 2 + 0.782),
    ("cmo_hfox_2", 50.0, 0.0, 50.0, 0.01129 * 50 + 0.01122),
    ("cmo_hfox_0.2", 50.0, 0.0, 50.0, 0.00107 * 50 + 0.00081),
    ("cmo_hfox_2", 50.0, DAY, 50.0 - 0.089 * math.log(DAY),
     math.hypot(0.0420 * math.log(DAY) + 0.4118, 0.01129 * 50 + 0.01122)),
    ("milo", 100.0, 0.0, 100.0, 4.782 - 0.91),
])
def test_published_statistics(law: str, microsiemens: float, time_s: float, mean: float, sigma: float) -> None:
    found_mean, found_sigma = law_named(law).spread(microsiemens * US, time_s)
    assert float(found_mean) == pytest.approx(mean * US, rel=1e-4)
    assert float(found_sigma) == pytest.approx(sigma * US, rel=2e-3)


@pytest.mark.parametrize(("name", "microsiemens", "time_s"), [
    ("wan", 5.0, 0.0), ("wan", 30.0, DAY), ("wan", 30.0, 3600.0), ("cmo_hfox_2", 20.0, DAY),
    ("cmo_hfox_0.2", 80.0, 0.0), ("milo", 225.0, 0.0)])
def test_samples_have_the_laws_mean_and_sigma(name: str, microsiemens: float, time_s: float) -> None:
    law = law_named(name)
    for read_noise in (False, True):
        mean, sigma = law.spread(microsiemens * US, time_s, read_noise=read_noise)
        cells = sample(np.full(100_000, microsiemens * US), law, time_s, np.random.default_rng(3),
                       read_noise=read_noise, clip=False)
        assert cells.mean() == pytest.approx(float(mean), rel=0.02)
        assert cells.std() == pytest.approx(float(sigma), rel=0.02)


def test_clipping_at_zero_comes_after() -> None:
    aim = np.zeros(100_000)
    open_, clipped = (sample(aim, LAWS["wan"], 0.0, np.random.default_rng(0), clip=clip) for clip in (False, True))
    assert open_.min() < 0.0
    assert clipped.min() == 0.0
    assert np.array_equal(clipped, np.maximum(open_, 0.0))
    assert (clipped == 0.0).mean() == pytest.approx(0.5, abs=0.01)


def test_between_measured_times_sigma_runs_linearly_in_the_logarithm() -> None:
    law = LAWS["wan"]
    one, day = (float(law.spread(20 * US, time)[1]) for time in (1.0, DAY))
    middle = float(law.spread(20 * US, math.sqrt(DAY))[1])
    assert middle == pytest.approx((one + day) / 2)


def test_read_noise_adds_up_in_variance() -> None:
    law = LAWS["wan"]
    without, with_noise = (float(law.spread(20 * US, 0.0, read_noise=noise)[1]) for noise in (False, True))
    assert with_noise == pytest.approx(math.hypot(without, 0.4 * US))
    cmo = LAWS["cmo_hfox_2"]
    mean, plain = cmo.spread(50 * US, DAY)
    read = 0.0277316483 * math.log10(float(mean) / US) * math.sqrt(math.log((DAY + 1e-6) / 2e-6)) * US
    assert float(cmo.spread(50 * US, DAY, read_noise=True)[1]) == pytest.approx(math.hypot(float(plain), read))


def test_sigma_of_levels_in_steps() -> None:
    step = 38.0 / 3
    found = level_sigma(LAWS["wan"], 4, 1 * US, 39 * US)
    for level, sigma in enumerate(found):
        aim = 1.0 + level * step
        assert sigma == pytest.approx((1.536e-4 * aim**3 - 1.167e-2 * aim**2 + 0.2374 * aim + 1.053) / step)
    drift = level_shift(LAWS["cmo_hfox_2"], 5, 10 * US, 50 * US, DAY)
    assert drift == pytest.approx([-0.089002 * math.log(DAY) / 10] * 5, rel=1e-4)
    assert not level_shift(LAWS["wan"], 5, 10 * US, 30 * US, DAY).any()


def test_stuck_cells_have_their_shares() -> None:
    faults = Faults(Quantity(0.02, "1", "test"), Quantity(0.05, "1", "test"))
    drawn = faults.draw((300, 1000), np.random.default_rng(1))
    assert [(drawn == kind).mean() for kind in (-1, 0, 1)] == pytest.approx([0.02, 0.93, 0.05], abs=0.002)
    assert set(np.unique(Faults(*[Quantity(0.0, "1", "test")] * 2).draw((100,), np.random.default_rng(1)))) == {0}
    assert MNSIM_FAULTS.low.value == MNSIM_FAULTS.high.value == 0.001
    with pytest.raises(InputError, match="together at most 1"):
        Faults(Quantity(0.6, "1", "test"), Quantity(0.6, "1", "test")).draw((1,), np.random.default_rng(1))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: LAWS["wan"].spread(39.3 * US), "conductance: 39.3 µS, allowed for wan: 0 to 39.26 µS"),
    (lambda: LAWS["milo"].spread([100 * US, 49 * US]), "conductance: 49 µS, allowed for milo: 50 to 225 µS"),
    (lambda: LAWS["milo"].spread(100 * US, 1.0), "time_s: 1.0, allowed for milo: 0 (just programmed)"),
    (lambda: LAWS["wan"].spread(20 * US, 0.5), "time_s: 0.5, allowed for wan: 0 (just programmed), or 1 to 172800 s"),
    (lambda: LAWS["wan"].spread(20 * US, 172_801.0), "time_s: 172801.0"),
    (lambda: LAWS["wan"].spread(20 * US, math.nan), "time_s: nan"),
    (lambda: LAWS["wan"].spread(math.nan), "conductance: nan"),
    (lambda: level_sigma(LAWS["wan"], 1, 0.0, 1e-5), "levels: 1"),
    (lambda: level_sigma(LAWS["wan"], 4, 1e-5, 1e-5), "levels: 4"),
    (lambda: law_named("wang"), "device: no law 'wang', allowed: wan, cmo_hfox_2"),
])
def test_what_was_not_measured_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        call()  # type: ignore[operator]
    assert message in str(caught.value)


def test_the_ends_of_the_range_are_allowed() -> None:
    for law, low, high in (("wan", 0.0, 39.26), ("milo", 50.0, 225.0)):
        assert (LAWS[law].spread([low * US, high * US])[1] > 0.0).all()
    for time in (1.0, 172_800.0):
        LAWS["wan"].spread(20 * US, time)
