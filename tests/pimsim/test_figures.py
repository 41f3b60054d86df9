"""Figures are found by name, wherever they are in a chip, and replaced there and only there."""

from __future__ import annotations

import numpy as np
import pytest

from pimsim import Chip, MatVec, Quantity, Workload, evaluate, presets
from pimsim.figures import figures, uncertainty_of, with_factors, with_figures
from pimsim.quantity import Table

ISAAC = presets.isaac()


@pytest.mark.parametrize("name", presets.PRESETS)
def test_names_are_unique_and_every_figure_is_sourced(name: str) -> None:
    chip = presets.preset(name)
    known = figures(chip)
    # The repr of a chip shows each of its figures once.
    assert len(known) == repr(chip).count("Quantity(") + repr(chip).count("Table(")
    assert {"adc.energy", "cell.mac", "crossbar.read_time", "edram.bandwidth", "dram.energy"} <= known.keys()
    for figure_name, figure in known.items():
        assert figure.source and figure.unit, figure_name
        uncertainty = uncertainty_of(figure_name, figure)
        assert uncertainty.relative >= 0.0
        assert uncertainty.relative > 0.0 or figure.unit in ("1", "bits"), figure_name


def test_a_figure_is_replaced_where_it_is() -> None:
    chip = with_figures(ISAAC, {"edram.energy": 1.0, "sigmoid.area": 2.0, "adc.energy": (3.0,) * 25})
    changed = {name for name, figure in figures(chip).items() if figure != figures(ISAAC)[name]}
    assert changed == {"edram.energy", "sigmoid.area", "adc.energy"}
    assert chip.tile.edram.energy.value == 1.0
    assert chip.tile.edram.energy.source == ISAAC.tile.edram.energy.source
    assert chip.crossbar.adc.energy_j(7) == 3.0
    assert with_figures(ISAAC, {}) == ISAAC
    with pytest.raises(KeyError, match=r"no figure adc\.enrgy in chip isaac"):
        with_figures(ISAAC, {"adc.enrgy": 1.0})


def test_factors_as_arrays_are_as_many_chips() -> None:
    workload = Workload("w", (MatVec("fc", 200, 30, vectors=3),))
    factors = np.array([0.5, 1.0, 3.0])
    many = evaluate(workload, with_factors(ISAAC, {"adc.energy": factors, "crossbar.read_time": factors}))

    def one(factor: float) -> Chip:
        return with_factors(ISAAC, {"adc.energy": factor, "crossbar.read_time": factor})

    singly = [evaluate(workload, one(float(factor))) for factor in factors]
    assert list(many.energy_j) == [report.energy_j for report in singly]  # type: ignore[arg-type]
    assert list(many.latency_s) == [report.latency_s for report in singly]  # type: ignore[arg-type]


def test_uncertainty_is_what_the_figure_says_or_an_assumption_by_its_kind() -> None:
    assert uncertainty_of("a.energy", Quantity(1.0, "J", "a paper", 0.07, "its table")).stated_by == "its table"
    kinds = {("a.energy", "J", "a paper"): 0.2, ("a.energy", "J", "assumption: so"): 0.5,
             ("a.energy", "J", "a paper (recalled, not read)"): 0.5, ("a.leakage", "W", "a paper"): 0.5,
             ("a.rate", "Hz", "a paper"): 0.1, ("a.bits_per_line", "bits", "assumption: so"): 0.0}
    for (name, unit, source), relative in kinds.items():
        for figure in (Quantity(1.0, unit, source), Table(1, (1.0,), unit, source)):
            assert uncertainty_of(name, figure).relative == relative
