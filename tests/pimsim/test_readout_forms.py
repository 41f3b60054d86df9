"""Ways of reading: phases by hand, pairs of cells, voltage sensing; what must hold for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, InputError, MatVec, Readout, Workload, evaluate, presets
from pimsim.charge import reading
from pimsim.mapping import place_matvec
from pimsim.partial_sums import accumulator_bits
from pimsim.presets.neurram import crossbar as core
from pimsim.readout import Phase, lossless_adc_bits
from tests.pimsim.near import near

ANALOG = core().readout


def _of_isaac(**readout: Any) -> Chip:
    """ISAAC with another way of reading, which no option reaches."""
    chip = presets.isaac()
    xb = replace(chip.crossbar, readout=replace(chip.crossbar.readout, **readout))
    return replace(chip, tile=replace(chip.tile, ima=replace(chip.tile.ima, crossbar=xb)))


@pytest.mark.parametrize(("input_bits", "phases"), [
    (1, (Phase(1, 1, 1),)), (2, (Phase(1, 1, 1),)), (4, (Phase(1, 3, 7),)),
    (5, (Phase(1, 2, 3), Phase(1, 2, 3, 2))), (6, (Phase(1, 3, 7), Phase(1, 2, 3, 3))),
    (8, (Phase(1, 4, 15), Phase(1, 3, 7, 4)))])
def test_neurrams_phases_by_hand(input_bits: int, phases: tuple[Phase, ...]) -> None:
    assert ANALOG.schedule(input_bits, True) == phases
    digits = max(input_bits - 1, 1)
    assert replace(ANALOG, phase_bits=None).schedule(input_bits, True) == (Phase(1, digits, 2**digits - 1),)


def test_unsigned_inputs_have_one_digit_more_than_signed_ternary_ones() -> None:
    assert ANALOG.schedule(3, False) == ANALOG.schedule(4, True) == (Phase(1, 3, 7),)
    digital = Readout(cell_bits=2, dac_bits=2, adc_bits=8, columns_per_adc=8, inputs="ternary")
    assert (digital.phases(7, True), digital.phases(7, False), digital.phases(1, True)) == (3, 4, 1)


def test_a_neurram_core_by_hand() -> None:
    """6-bit inputs, 8-bit outputs: 5 digits in two phases of 7 + 3 integration and 8 + 5 ADC steps."""
    plain = core(1.0, 1.0)
    energies, seconds = reading(MatVec("m", 128, 256, weight_bits=4, input_bits=6, signed_inputs=True), plain)
    assert seconds == near(10 * 0.27e-6 + 13 * 0.3e-6 + 2 * 0.3e-6)
    assert energies["adc"] == near(256 * 13 * 0.3e-12)
    assert energies["shift_add"] == near(256 * 13 * 0.1e-12)
    assert energies["sample_hold"] == near(256 * (5 * 1.2e-12 + 10 * 0.25e-12))
    assert energies["driver"] == near(256 * 5 * (48e-15 + 2.1e-15 * 256) * 1.8**2)
    assert energies["array"] == near(0.5 * 5 * 256 * 256 * 0.5**2 * 2.5e-6 * 10e-9)


def test_four_neurram_cores_by_hand() -> None:
    """200 inputs of two rows in two blocks, 300 outputs in two: the lines of both column blocks, twice 300 columns."""
    op = MatVec("m", 200, 300, weight_bits=4, input_bits=6, signed_inputs=True)
    energies, _ = reading(op, core(1.0, 1.0))
    assert energies["driver"] == near(2 * 400 * 5 * (48e-15 + 2.1e-15 * 256) * 1.8**2)
    assert energies["sample_hold"] == near(2 * 300 * (5 * 1.2e-12 + 10 * 0.25e-12))
    assert energies["adc"] == near(2 * 300 * 13 * 0.3e-12)


def test_digits_of_several_bits_are_integrated_by_their_weight() -> None:
    pairs_of_bits = replace(ANALOG, dac_bits=2, phase_bits=None)
    assert pairs_of_bits.schedule(7, True) == (Phase(1, 3, 1 + 4 + 16),)
    assert replace(pairs_of_bits, phase_bits=2).schedule(7, True) == (Phase(1, 2, 5), Phase(1, 1, 1, 4))


@given(st.integers(1, 4096), st.integers(1, 16), st.integers(1, 16))
def test_accumulators_hold_every_product(inputs: int, weight_bits: int, input_bits: int) -> None:
    bits = accumulator_bits(MatVec("m", inputs, 1, 1, weight_bits, input_bits))
    assert inputs * (2**input_bits - 1) * (2**weight_bits - 1) < 2**bits


def test_two_rows_to_an_input_halve_what_a_core_holds() -> None:
    xb = core()
    for inputs, blocks in ((128, 1), (129, 2)):
        placed = place_matvec(MatVec("m", inputs, 256, weight_bits=4), xb, 1)
        assert (placed.row_blocks, placed.column_blocks, placed.cells) == (blocks, 1, 2 * inputs * 256)
    assert ANALOG.reads(129, 256) == (2, 1)
    assert replace(ANALOG, active_rows=64).reads(129, 256) == (5, 4)


@settings(max_examples=60, deadline=None)
@given(inputs=st.integers(1, 400), outputs=st.integers(1, 80), vectors=st.integers(1, 5), bits=st.integers(2, 12),
       input_bits=st.integers(1, 12), signed=st.booleans(), cell_bits=st.integers(1, 4),
       pairs=st.sampled_from(["offset", "converted", "subtracted", "rows"]),
       accumulation=st.sampled_from(["digital", "analog"]), ternary=st.booleans())
def test_conversions_of_every_form(inputs: int, outputs: int, vectors: int, bits: int, input_bits: int, signed: bool,
                                   cell_bits: int, pairs: Any, accumulation: Any, ternary: bool) -> None:
    op = MatVec("m", inputs, outputs, vectors, bits, input_bits, signed_inputs=signed)
    encoding = "offset" if pairs == "offset" else "differential"
    form = {"cell_bits": cell_bits, "columns_per_adc": 16, "encoding": encoding, "flip": encoding == "offset",
            "pairs": "converted" if pairs == "offset" else pairs, "accumulation": accumulation,
            "inputs": "ternary" if ternary else "binary"}
    chip = _of_isaac(**form)
    xb = chip.crossbar
    magnitude = bits if pairs == "offset" else bits - 1
    slices = -(-magnitude // cell_bits)
    held = 64 if pairs == "rows" else 128
    converted = slices * (2 if pairs == "converted" else 1)
    schedule = xb.readout.schedule(input_bits, signed)
    expected = sum(
        vectors * phase.count * -(-inputs // held) * outputs * converted
        * xb.adc.energy_j(max(8 - phase.known_bits, 1)) for phase in schedule)
    energies, seconds = reading(op, xb)
    assert energies["adc"] == near(expected)
    digits = sum(phase.count * phase.pulses for phase in schedule)
    assert digits == (max(input_bits - 1, 1) if signed and ternary else input_bits)
    slower, later = reading(op, _of_isaac(**{**form, "columns_per_adc": 32}).crossbar)
    assert slower == energies
    assert later >= seconds
    placed = place_matvec(op, xb, 1)
    assert placed.cells == inputs * outputs * slices * (1 if pairs == "offset" else 2)


def test_pairs_double_columns_and_conversions_unless_subtracted() -> None:
    op = MatVec("m", 128, 16, weight_bits=9)  # a magnitude of 8 bits: four cells, as 8-bit offset weights
    forms = {name: _of_isaac(encoding="differential", flip=False, pairs=name).crossbar
             for name in ("converted", "subtracted", "rows")}
    energies = {name: reading(op, xb)[0] for name, xb in forms.items()}
    assert energies["converted"]["adc"] == 2 * energies["subtracted"]["adc"]
    assert energies["rows"]["adc"] == 2 * energies["subtracted"]["adc"]  # 128 inputs take two blocks of 64
    assert len({energy["array"] for energy in energies.values()}) == 1
    assert [place_matvec(op, xb, 1).cells for xb in forms.values()] == [128 * 16 * 8] * 3
    peaks = {name: xb.parts() for name, xb in forms.items()}
    assert peaks["subtracted"]["adc"].area_m2 == peaks["converted"]["adc"].area_m2
    assert peaks["subtracted"]["sample_hold"].area_m2 == peaks["converted"]["sample_hold"].area_m2


def test_signed_columns_take_one_bit_more() -> None:
    for rows in (3, 64, 128):
        plain = lossless_adc_bits(rows, 2, 1, flip=False, encoding="differential")
        assert lossless_adc_bits(rows, 2, 1, flip=False, encoding="differential", signed_columns=True) == plain + 1
    pair = Readout(cell_bits=2, dac_bits=1, adc_bits=None, columns_per_adc=8, encoding="differential", flip=False)
    bits = [replace(pair, pairs=pairs).resolved_adc_bits(128) for pairs in ("converted", "subtracted", "rows")]
    assert bits == [9, 10, 9]  # two rows to an input: 64 inputs add up
    assert replace(pair, pairs="rows", active_rows=1).resolved_adc_bits(128) == 3  # a pair is read together
    widest = presets.isaac().with_options(rows=4096, dac_bits=8, cell_bits=4, adc_bits=None, encoding="differential",
                                          flip=False, pairs="subtracted")
    assert widest.crossbar.adc_bits == 25 and widest.crossbar.adc.energy_j(25) > widest.crossbar.adc.energy_j(24)


def test_bits_that_a_phase_already_knows_are_not_converted_again() -> None:
    xb = core()
    assert [xb.phase_bits(phase) for phase in ANALOG.schedule(8, True)] == [8, 4]
    few = replace(xb, readout=replace(ANALOG, adc_bits=3))
    assert [few.phase_bits(phase) for phase in ANALOG.schedule(8, True)] == [3, 1]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_keeps_the_books(name: str) -> None:
    """Sum by operator = by component = total; throughput x interval = 1; interval <= latency; TOPS from the same."""
    chip = presets.preset(name)
    weights, inputs = presets.RATED_BITS[name]
    held = chip.crossbar.rows // chip.crossbar.readout.rows_per_input
    full = chip.crossbar.columns // (chip.crossbar.readout.slices(weights) * chip.crossbar.readout.columns_per_slice)
    layers = tuple(MatVec(f"l{i}", held * (i + 1), full, 3, weights, inputs, signed_inputs=True,
                          after=(f"l{i - 1}",) if i else ()) for i in range(3))
    report = evaluate(Workload("w", layers), chip)
    by_op = sum(op.cost.energy_j for op in report.by_op.values())
    assert by_op == near(report.dynamic_j) == sum(part.dynamic_j for part in report.by_component.values())
    assert report.energy_j == near(report.dynamic_j + report.footprint.leakage_w * report.on_s)
    assert report.interval_s <= report.latency_s
    assert report.interval_s == max(report.total.busy_s.values())
    _, seconds = reading(replace(layers[0], vectors=1), chip.crossbar)
    assert chip.tops(weights, inputs, signed=True) == near(2 * held * full * chip.crossbars / seconds / 1e12)


@pytest.mark.parametrize(("options", "message"), [
    ({"encoding": "offset"}, "chip.encoding is 'offset', allowed with pairs 'rows': only 'differential'"),
    ({"dac_bits": 2}, "chip.dac_bits is 2, allowed on neurram: only 1"),
    ({"adc_bits": None}, "chip.adc_bits is None (lossless), allowed on neurram: only a number of bits"),
    ({"adc_model": "survey"}, "chip.adc_model is 'survey', allowed on neurram: neurram"),
])
def test_what_neurrams_way_of_reading_does_not_allow(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        presets.neurram().with_options(**options)
    assert message in str(caught.value)


def test_the_functional_crossbar_is_refused_where_it_differs() -> None:
    with pytest.raises(InputError, match=r"readout\.sensing is 'voltage'"):
        presets.neurram().arithmetic_options()
    with pytest.raises(InputError, match=r"readout\.pairs is 'subtracted'"):
        _of_isaac(encoding="differential", flip=False, pairs="subtracted").arithmetic_options()
    with pytest.raises(InputError, match="allowed with voltage sensing or analog accumulation"):
        replace(ANALOG, adc_bits=None).resolved_adc_bits(256)
    assert presets.puma().arithmetic_options() == presets.isaac().arithmetic_options()
