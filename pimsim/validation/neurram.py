"""NeuRRAM (Nature 2022): throughput, efficiency and energy breakdown over the bits of inputs and outputs.

Published figures are those that CiMLoop digitised from the paper. Its breakdown is labelled per MAC but is per
operation (half a MAC): only so does its sum agree with the efficiency. The efficiency of (8, 6) stands beside the sum
of its own breakdown, because the digitised value (8.26 TOPS/W) contradicts that by 11 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pimsim.charge import reading
from pimsim.cost import total_footprint
from pimsim.presets.neurram import CORE_M2, crossbar, neurram
from pimsim.quantity import FEMTO
from pimsim.validation.point import Factor, Kind, Point, relative_fit
from pimsim.workload import MatVec

TARGET = "NeuRRAM"
CORES, INPUTS, OUTPUTS = 48, 128, 256  # NeuRRAM: cores; inputs in pairs of rows, and columns, of a core
OPERATIONS = 2 * INPUTS * OUTPUTS  # two per MAC
_PUBLISHED = {  # (output, input) bits: TOPS, TOPS/W, fJ/op of word lines, neurons, input pulses
    (3, 1): (2.122, 43.08, 8.99, 10.62, 3.45),
    (4, 2): (1.793, 40.33, 8.27, 12.39, 3.96),
    (5, 3): (1.165, 23.09, 15.46, 20.12, 7.73),
    (6, 4): (0.744, 15.95, 21.76, 29.11, 11.51),
    (7, 5): (0.525, 11.03, 30.93, 44.21, 14.02),
    (8, 6): (0.418, 1e3 / 108.94, 37.22, 52.48, 19.24),
    (9, 7): (0.344, 7.75, 43.69, 61.83, 22.84),
    (10, 8): (0.264, 6.44, 50.52, 75.86, 27.51)}
_ONE_PHASE = {(7, 5): (0.452, 11.33), (8, 6): (0.261, 9.12)}  # the same, without cutting an input into two phases
FITTED = ((3, 1), (6, 4))
_SHARES = {"neurons": 0.28, "drivers": 0.21, "cells": 0.12}  # of a core's area


@dataclass(frozen=True)
class Reading:
    """What the cores do with one vector each: operations per second in 10^12, and fJ per operation."""

    tops: float
    word_line_fj: float
    neuron_fj: float
    input_fj: float

    @property
    def tops_per_w(self) -> float:
        """Operations per joule in 10^12."""
        return 1e3 / (self.word_line_fj + self.neuron_fj + self.input_fj)


def read(output_bits: int, input_bits: int, word_line: float, pulses: float, *, one_phase: bool = False) -> Reading:
    """A full core at these bits, `word_line` and `pulses` multiplying the two energies that are fitted."""
    core = crossbar(word_line, pulses)
    phase_bits = None if one_phase else core.readout.phase_bits
    core = replace(core, readout=replace(core.readout, adc_bits=output_bits, phase_bits=phase_bits))
    op = MatVec("core", INPUTS, OUTPUTS, 1, weight_bits=4, input_bits=input_bits, signed_inputs=True)
    energies, seconds = reading(op, core)
    fj = {name: float(energy) / OPERATIONS / FEMTO for name, energy in energies.items()}
    tops = CORES * OPERATIONS / float(seconds) / 1e12
    return Reading(tops, fj["driver"], fj["adc"] + fj["sample_hold"] + fj["shift_add"], fj["array"] + fj["dac"])


def fitted_factors() -> tuple[float, float]:
    """Factors on the energies of word lines and input pulses, fitted to `FITTED` by relative least squares."""
    plain = [read(*bits, 1.0, 1.0) for bits in FITTED]
    published = [_PUBLISHED[bits] for bits in FITTED]
    return (relative_fit([one.word_line_fj for one in plain], [one[2] for one in published]),
            relative_fit([one.input_fj for one in plain], [one[4] for one in published]))


def validate() -> tuple[list[Point], list[Factor]]:
    """All bits of the two-phase figures, the one-phase figures apart, and the shares of area."""
    word_line, pulses = fitted_factors()
    points = []
    for bits, published in _PUBLISHED.items():
        one = read(*bits, word_line, pulses)
        fitted: Kind = "calibrated" if bits in FITTED else "predicted"
        kinds: tuple[Kind, ...] = ("predicted", fitted, fitted, "predicted", fitted)
        names = ("throughput, TOPS", "efficiency, TOPS/W", "word lines, fJ/op", "neurons, fJ/op",
                 "input pulses, fJ/op")
        modelled = (one.tops, one.tops_per_w, one.word_line_fj, one.neuron_fj, one.input_fj)
        points += [Point(TARGET, f"({bits[0]},{bits[1]}) {name}", kind, value, model)
                   for name, kind, value, model in zip(names, kinds, published, modelled, strict=True)]
    parts = neurram().tile.parts()
    areas = {"neurons": ("adc", "sample_hold", "shift_add"), "drivers": ("driver", "dac"), "cells": ("array",)}
    for name, share in _SHARES.items():
        area = float(total_footprint({part: parts[part] for part in areas[name]}).area_m2)
        points.append(Point(TARGET, f"{name}' share of a core's area", "calibrated", share, area / CORE_M2))
    for bits, (tops, tops_per_w) in _ONE_PHASE.items():
        one = read(*bits, word_line, pulses, one_phase=True)
        target = "Wan 2022, one phase"
        points.append(Point(target, f"({bits[0]},{bits[1]}) throughput, TOPS", "predicted", tops, one.tops))
        points.append(Point(target, f"({bits[0]},{bits[1]}) efficiency, TOPS/W", "predicted", tops_per_w,
                            one.tops_per_w))
    loss = "relative least squares on (3,1) and (6,4)"
    return points, [Factor(TARGET, "energy of word lines, C·V²", word_line, loss),
                    Factor(TARGET, "energy of input pulses, V²·G·t", pulses, loss)]
