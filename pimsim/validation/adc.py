"""Both ADC models against the figures that they were published with."""

from __future__ import annotations

from pimsim.adc import ADC_MODELS, isaac_adc_energies
from pimsim.quantity import GIGA, NANO, PICO, UM2
from pimsim.survey import survey_area_m2, survey_energy_j
from pimsim.validation.point import Factor, Point

_TABLE = {4: (0.79, 361.0), 5: (0.99, 476.9), 6: (1.20, 626.9), 7: (1.42, 845.2), 8: (1.67, 1200.0),
          9: (1.969, 1827.9), 10: (2.379, 3002.0)}  # bits: pJ, µm²; Accelergy library, isaac_adc
_SURVEY = ((4, 32, 1.0, 0.924), (6, 32, 1.0, 1.065), (8, 32, 1.0, 1.714), (8, 32, 1.2, 1.849), (8, 22, 1.0, 0.847),
           (8, 65, 1.0, 6.49), (8, 130, 1.0, 23.9))  # bits, nm, GS/s: pJ; Accelergy ADC plug-in, evaluated
_SURVEY_AREA = ((8, 32, 1.2, 6313.0), (8, 22, 1.0, 3334.0))  # bits, nm, GS/s: µm²; Accelergy ADC plug-in, evaluated


def validate() -> tuple[list[Point], list[Factor]]:
    """ISAAC's table from 4 to 10 bits, and the survey's regression at the points where others evaluated it."""
    model = ADC_MODELS["isaac"]()
    points = []
    for bits, (picojoules, square_um) in _TABLE.items():
        energy, area = float(isaac_adc_energies().at(bits)) / PICO, float(model.area_m2(bits)) / UM2
        points.append(Point("ISAAC's ADC table", f"energy at {bits} bits, pJ", "arithmetic", picojoules, energy))
        points.append(Point("ISAAC's ADC table", f"area at {bits} bits, µm²", "arithmetic", square_um, area))
    target = "ADC survey regression"
    for bits, node, rate, picojoules in _SURVEY:
        energy = survey_energy_j(bits, rate * GIGA, node * NANO) / PICO
        points.append(Point(target, f"energy, {bits} bits, {node} nm, {rate:g} GS/s, pJ", "arithmetic", picojoules,
                            energy))
    for bits, node, rate, square_um in _SURVEY_AREA:
        area = survey_area_m2(bits, rate * GIGA, node * NANO) / UM2
        points.append(Point(target, f"area, {bits} bits, {node} nm, {rate:g} GS/s, µm²", "arithmetic", square_um, area))
    return points, []
