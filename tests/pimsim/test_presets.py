"""Every chip that is built in: sources, files, sweeps; ISAAC to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec, Workload, evaluate, presets
from pimsim.chip_file import chip_from_toml, chip_named, write_chip
from pimsim.presets.macros import Use
from pimsim.sweep import evaluate_designs
from tests.pimsim.near import near

WORKLOAD = Workload("w", (
    Gather("t", 100_000, 16, lookups=3), MatVec("a", 300, 100, vectors=7, after=("t",)),
    MatVec("b", 600, 257, weight_bits=16, input_bits=16, signed_inputs=True, input_density=0.3),
    MatMul("m", 27, 16, 27), Elementwise("e", "relu", 100, after=("a", "b"))))
ISAAC_BEFORE = (  # options: energy, latency, interval, peak power; taken when ISAAC was the only chip
    ({}, ("0x1.69393e36fb754p-17", "0x1.204b494ecdbdbp-19", "0x1.ad7f29abcaf49p-20", "0x1.077365e194936p+6")),
    ({"encoding": "differential", "flip": False},
     ("0x1.76820e62b0079p-17", "0x1.204b494ecdbdbp-19", "0x1.ad7f29abcaf49p-20", "0x1.077365e194936p+6")),
    ({"cell_bits": 1, "dac_bits": 2, "adc_bits": None},
     ("0x1.23ccada7c139cp-17", "0x1.84aef06272b07p-20", "0x1.e32f0ee144532p-21", "0x1.30b4c95933308p+6")),
    ({"active_rows": 9, "adc_bits": None, "flip": False},
     ("0x1.73ed510926637p-14", "0x1.9bd8ada02b4dbp-16", "0x1.92a737110e454p-16", "0x1.a5d3fefca3bfep+5")),
    ({"adc_model": "survey", "adc_bits": 5},
     ("0x1.923d4c1221a1ap-17", "0x1.204b494ecdbdbp-19", "0x1.ad7f29abcaf49p-20", "0x1.a779fd2e2b980p+5")))


@pytest.mark.parametrize(("options", "figures"), ISAAC_BEFORE)
def test_isaac_is_what_it_was_to_the_last_bit(options: dict[str, object], figures: tuple[str, ...]) -> None:
    """But for matrices that a border between tiles cuts: b, of 5 x 33 crossbars, once.

    It passes on 257 / 33 sums of 16 + 16 + 10 bits for each vector.
    """
    report = evaluate(WORKLOAD, presets.isaac().with_options(**options), copies=4)
    found = (report.energy_j, report.latency_s, report.interval_s, report.footprint.peak_w)
    if report.mapping.placements["b"].crossbars < 96:
        assert tuple(float(figure).hex() for figure in found) == figures
        return
    energy_j, latency_s, *others = map(float.fromhex, figures)
    bits = 257 / 33 * (16 + 16 + 10)
    later_s = 29e-9 + bits / 32e9
    assert found[1] == pytest.approx(latency_s + later_s, rel=1e-12, abs=0.0)
    moving_j = bits * 20.74e-12 / 256
    assert found[0] == pytest.approx(energy_j + moving_j + report.footprint.leakage_w * later_s, rel=1e-12, abs=0.0)
    assert list(found[2:]) == others


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_figure_names_a_source(name: str) -> None:
    def quantities(item: object) -> list[object]:
        if hasattr(item, "source") and hasattr(item, "unit"):
            return [item]
        inside = item if isinstance(item, tuple) else getattr(item, "__dict__", {}).values()
        return [found for value in inside for found in quantities(value)]

    found = quantities(presets.preset(name))
    assert len(found) > 60
    assert all(len(item.source) > 4 and item.unit for item in found)  # type: ignore[attr-defined]
    assert name in presets.RATED_BITS


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_chip_file_holds_every_preset(name: str, tmp_path: Path) -> None:
    for tiles in (presets.preset(name).tiles, 7, None):
        chip = presets.preset(name).with_tiles(tiles).with_options(adc_bits=6, rows=64)
        write_chip(tmp_path / "chip.toml", chip)
        assert chip_from_toml(tmp_path / "chip.toml") == chip
    assert chip_named(name, [f"adc.model={presets.preset(name).crossbar.adc.model}"]) == presets.preset(name)


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_sweep_of_every_preset_is_evaluate(name: str) -> None:
    chip = presets.preset(name).with_tiles(None)
    workload = Workload("w", (MatVec("a", 300, 70, 5, 4, 6, signed_inputs=True), MatVec("b", 70, 9, after=("a",))))
    designs = {"rows": np.array([64, 128, 128]), "adc_bits": np.array([4, 8, 10]), "copies": np.array([1, 2, 8])}
    together = evaluate_designs(workload, chip, designs)
    for index in range(3):
        rows, bits, copies = (int(designs[axis][index]) for axis in ("rows", "adc_bits", "copies"))
        alone = evaluate(workload, chip.with_options(rows=rows, adc_bits=bits), copies=copies)
        for figure in ("energy_j", "latency_s", "area_m2"):
            assert together[figure][index] == getattr(alone, figure)


def test_a_sweep_may_name_the_only_value_that_neurram_allows() -> None:
    designs = {"dac_bits": np.array([1, 1]), "adc_bits": np.array([4, 8])}
    found = evaluate_designs(Workload("w", (MatVec("a", 30, 7),)), presets.neurram(), designs)
    assert found["energy_j"][0] < found["energy_j"][1]
    with pytest.raises(InputError, match=r"chip\.dac_bits is"):
        evaluate_designs(Workload("w", (MatVec("a", 30, 7),)), presets.neurram(), {"dac_bits": np.array([1, 2])})


def test_puma_takes_the_survey_and_its_own_adc_back() -> None:
    chip = presets.puma()
    survey = chip.with_options(adc_model="survey")
    assert survey.crossbar.adc.model == "survey"
    assert survey.with_options(adc_model="puma") == chip


def test_a_macro_in_one_use_by_hand() -> None:
    """Nine rows, two serial bits, cells of a 3-bit signed weight added before one conversion of 4 steps."""
    from pimsim.charge import reading

    use = Use(2, 3, 4, rows=9, pairs="subtracted")
    energies, seconds = reading(use.product, use.crossbar(1.0))
    assert seconds == near(2 * 3.16e-9 + 4 * (0.640 + 0.00653 * 9) * 1e-9)
    assert energies["adc"] == near(4 * 100e-15)
    assert energies["array"] == near(0.5 * 2 * 9 * 4 * 0.5 * 5e-6 * 3.16e-9)  # half driven, half on, 4 cells
