"""Energy and area of an ADC by regression over published converters."""

from __future__ import annotations

import math

from pimsim.quantity import NANO, PICO, UM2

SURVEY = "Accelergy ADC plug-in, regression over 215 ADCs of the Murmann survey"


def survey_energy_j(bits: int, rate_hz: float, node_m: float) -> float:
    """Energy of one conversion, leakage included; `bits` from 4 up, `rate_hz` of one converter.

    The survey's best Schreier figure of merit limits energy by noise at low rates and by technology at high ones.
    """
    merit = min(213.7807 - 2.871903 * math.log(rate_hz), 128.3068 + 3.220511 * math.ceil(bits))  # dB
    sndr = 6.0206 * bits + 1.7609  # dB: of an ideal converter
    node = math.exp(26.04962 + 1.880037 * math.log(node_m / NANO) - 2.829126 * math.log(bits) - 1.470202)
    return node / (2.0 * math.pow(10.0, (merit - sndr) / 10.0)) * PICO


def survey_area_m2(bits: int, rate_hz: float, node_m: float) -> float:
    """Area of one converter; arguments as for `survey_energy_j`."""
    energy_pj = survey_energy_j(bits, rate_hz, node_m) / PICO
    logarithm = 1.346192 + 0.993279 * math.log(node_m / NANO) + 0.180715 * math.log(rate_hz)
    return math.exp(logarithm + 0.299124 * math.log(energy_pj)) * UM2
