"""A chip at another node: factors worked by hand, and for every figure whether it scales."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pimsim import InputError, MatVec, Workload, evaluate, presets
from pimsim.figures import figures
from pimsim.quantity import Table
from pimsim.survey import survey_energy_j
from pimsim.technology import Technology
from tests.pimsim.near import near

ISAAC = presets.isaac()
WORKLOAD = Workload("w", (MatVec("m", 300, 64, vectors=3), MatVec("n", 64, 8, after=("m",))))
AREA = 0.23 / 0.072
ENERGY = (3.755 * 1.1**2 - 4.398 * 1.1 + 1.975) / (0.8367 * 0.9**2 - 0.4341 * 0.9 + 0.1701)
DELAY = ((-53.3 * 1.1**3 + 230.4 * 1.1**2 - 333.9 * 1.1 + 178.6)
         / (-1047 * 0.9**3 + 2982 * 0.9**2 - 2797 * 0.9 + 873.5))
TREND = (65 / 32) ** 1.880037  # of the regression over ADCs


def test_factors_by_hand() -> None:
    here, there = ISAAC.technology, ISAAC.technology.at(65)
    assert (there.node_nm, there.vdd_v) == (65, near(1.1 / 0.9))
    assert here.area_scale(there) == near(AREA) == near(1 / there.area_scale(here))
    assert here.energy_scale(there) == near(ENERGY) == near(1 / there.energy_scale(here))
    assert here.delay_scale(there) == near(DELAY) == near(1 / there.delay_scale(here))
    # EPFL's scaled-tech gives these for 45 to 7 nm.
    at_45, at_7 = Technology(45e-9, 1.0, "hand-made"), Technology(7e-9, 0.7, "hand-made")
    by_hand = -28.58 * 0.343 + 76.6 * 0.49 - 70.26 * 0.7 + 24.69
    assert at_45.delay_scale(at_7) == near(by_hand / (566.1 - 1619 + 1567 - 501.6))


def test_newer_nodes_are_smaller_faster_and_cheaper() -> None:
    nodes = [ISAAC.technology.at(node) for node in (130, 90, 65, 45, 32, 20, 16, 14, 10, 7)]
    for older, newer in pairwise(nodes):
        assert older.area_scale(newer) < 1.0
        assert older.energy_scale(newer) < 1.0
        if (older.node_nm, newer.node_nm) != (32, 20):  # from planar transistors to fins the fits give no gain
            assert older.delay_scale(newer) < 1.0


def test_every_figure_scales_as_it_should() -> None:
    before, after = figures(ISAAC), figures(ISAAC.at_node(65))
    expected = {name: _factor(name, figure.unit) for name, figure in before.items()}
    for name, factor in expected.items():
        old, new = before[name], after[name]
        pairs = zip(old.values, new.values, strict=True) if isinstance(old, Table) and isinstance(new, Table) else \
            [(old.value, new.value)]  # type: ignore[union-attr]
        assert all(b == near(a * factor) for a, b in pairs), name
        assert ("scaled from 32 nm" in new.source) == (factor != 1.0), name


def _factor(name: str, unit: str) -> float:
    owner, _, field = name.rpartition(".")
    if unit == "m²":
        return AREA
    if owner in ("cell", "crossbar", "sample_hold", "link", "dram", "chip") or unit in ("1", "bits"):
        return 1.0
    if name == "adc.rate":
        return 1.0
    if owner == "adc":
        return TREND
    return {"peak": ENERGY / DELAY, "energy": ENERGY, "cell_energy": ENERGY, "leakage": ENERGY, "delay": DELAY,
            "rate": 1 / DELAY, "bandwidth": 1 / DELAY}[field]


def test_a_report_follows_and_says_its_node() -> None:
    older = ISAAC.at_node(65)
    one, two = evaluate(WORKLOAD, ISAAC), evaluate(WORKLOAD, older)
    assert (one.node_nm, two.node_nm, two.to_json()["node_nm"]) == (32, 65, 65)
    assert two.area_m2 == near(one.area_m2 * AREA)
    for name, factor in (("adc", TREND), ("edram", ENERGY), ("array", 1.0), ("sample_hold", 1.0), ("dac", ENERGY)):
        assert two.by_component[name].dynamic_j == near(one.by_component[name].dynamic_j * factor)
    assert two.latency_s > one.latency_s
    assert two.interval_s == one.interval_s  # bound by the converters
    assert ISAAC.at_node(32) is ISAAC
    assert "before: ISAAC" in older.technology.source
    with pytest.raises(InputError, match="technology: no scaling for 28 nm, allowed: 130, 90"):
        ISAAC.at_node(28)
    with pytest.raises(InputError, match="no scaling for 40 nm"):
        Technology(40e-9, 1.1, "hand-made").at(65)


def test_a_node_and_back_is_the_chip() -> None:
    again = ISAAC.at_node(7).at_node(32)
    for name, figure in figures(ISAAC).items():
        other = figures(again)[name]
        values = figure.values if isinstance(figure, Table) else (figure.value,)
        assert (other.values if isinstance(other, Table) else (other.value,)) == near(values), name
    assert again.technology.vdd_v == near(ISAAC.technology.vdd_v)


def test_adc_models_and_nodes() -> None:
    survey = ISAAC.with_options(adc_model="survey")
    older = survey.at_node(130)
    assert older.crossbar.adc.conversion_j(8) == near(survey_energy_j(8, 1.28e9, 130e-9))
    assert older.crossbar.adc.area_m2(8) > survey.crossbar.adc.area_m2(8)
    assert older.with_options(rows=64, adc_model="survey").crossbar.adc == older.crossbar.adc
    # A table of 32 nm has no place on a chip at another node.
    with pytest.raises(InputError, match=r"chip\.adc_model is 'isaac', allowed at 130 nm: survey"):
        older.with_options(adc_model="isaac")
