"""The model against published figures: bounds, kinds, fitted factors, the command, the page of the documentation."""

from __future__ import annotations

import json
import math
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pimsim.cli import main
from pimsim.presets.neurram import INPUT_FACTOR, WORD_LINE_FACTOR
from pimsim.validation import Point, Validation, relative_fit, validate
from pimsim.validation.functional import mean_errors
from pimsim.validation.macros import SERIES
from pimsim.validation.neurram import fitted_factors, read
from pimsim.validation.table import counts_line, validation_markdown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def validation() -> Validation:
    return validate()


def _points(validation: Validation, target: str, words: str = "") -> list[Point]:
    found = [point for point in validation.points if target in point.target and words in point.quantity]
    assert found
    return found


@pytest.mark.parametrize(("target", "words", "count", "bound"), [
    ("ISAAC-CE", "", 14, 0.01),
    ("ISAAC's ADC table", "", 14, 0.0005),
    ("ADC survey", "", 9, 0.001),
    ("PUMA", "", 8, 0.10),
    ("NeuRRAM", "throughput", 8, 0.07),
    ("NeuRRAM", "TOPS/W", 8, 0.07),
    ("NeuRRAM", "fJ/op", 24, 0.15),
    ("NeuRRAM", "share", 3, 0.001),
    ("ISSCC", "", 13, 0.40),
    ("conductance", "", 24, 0.02),
    ("functional", "", 4, 0.0),
])
def test_every_point_is_within_its_bound(validation: Validation, target: str, words: str, count: int,
                                         bound: float) -> None:
    found = _points(validation, target, words)
    assert len(found) == count
    for point in found:
        assert abs(point.error) <= bound, point


def test_neurrams_breakdown_is_within_ten_percent_on_average(validation: Validation) -> None:
    found = _points(validation, "NeuRRAM", "fJ/op")
    assert sum(abs(point.error) for point in found) / len(found) <= 0.10
    five = [point for point in found if point.quantity.split()[0] in ("(3,1)", "(4,2)", "(6,4)", "(8,6)", "(10,8)")]
    assert sum(abs(point.error) for point in five) / 15 <= 0.10


def test_throughput_of_neurram_has_nothing_fitted() -> None:
    assert read(8, 6, 1.0, 1.0).tops == read(8, 6, 2.0, 3.0).tops
    assert read(8, 6, 1.0, 1.0).neuron_fj == read(8, 6, 2.0, 3.0).neuron_fj


def test_the_one_phase_figures_miss_by_what_the_page_says(validation: Validation) -> None:
    errors = [abs(point.error) for point in _points(validation, "one phase")]
    assert len(errors) == 4
    assert 0.08 < max(errors) < 0.12


def test_the_preset_holds_the_fitted_factors(validation: Validation) -> None:
    assert fitted_factors() == pytest.approx((WORD_LINE_FACTOR, INPUT_FACTOR), rel=1e-5)
    fitted: dict[str, list[float]] = {}
    for factor in validation.factors:
        fitted.setdefault(factor.target, []).append(factor.value)
        assert factor.loss
    assert fitted["NeuRRAM"] == pytest.approx(fitted_factors())
    assert all(len(values) <= 2 for values in fitted.values())


def test_a_relative_fit_is_the_least_of_its_neighbours() -> None:
    modelled, published = [3.0, 5.0, 1.0], [2.0, 6.0, 1.5]

    def loss(k: float) -> float:
        return sum((k * m / p - 1.0) ** 2 for m, p in zip(modelled, published, strict=True))

    best = relative_fit(modelled, published)
    assert all(loss(best) < loss(best * (1 + step)) for step in (-0.01, 0.01))
    assert relative_fit([2.0], [5.0]) == pytest.approx(2.5)


def test_macros_of_a_series_keep_their_order() -> None:
    """A factor scales a whole series, so that their order is the model's own."""
    for series in SERIES:
        published = [value for _, _, value in series.uses]
        by_published = sorted(range(len(published)), key=lambda index: published[index])
        assert all(series.modelled[one] < series.modelled[other] for one, other in pairwise(by_published))


def test_kinds_are_told_apart(validation: Validation) -> None:
    assert {point.kind for point in _points(validation, "ISAAC-CE")} == {"arithmetic"}
    kinds = {point.quantity: point.kind for point in _points(validation, "NeuRRAM")}
    assert kinds["(3,1) efficiency, TOPS/W"] == kinds["(6,4) word lines, fJ/op"] == "calibrated"
    assert kinds["(3,1) throughput, TOPS"] == kinds["(4,2) efficiency, TOPS/W"] == "predicted"
    assert kinds["neurons' share of a core's area"] == "calibrated"
    calibrated = [point for point in _points(validation, "ISSCC") if point.kind == "calibrated"]
    assert len(calibrated) == len(SERIES)
    assert all(point.error == pytest.approx(0.0, abs=1e-12) for point in calibrated)
    assert sum(validation.count(kind) for kind in ("arithmetic", "calibrated", "predicted")) == len(validation.points)


def test_error_of_a_point() -> None:
    assert Point("t", "q", "predicted", 4.0, 5.0).error == 0.25
    assert Point("t", "q", "predicted", 0.0, 3.0).error == 3.0


def test_error_falls_with_bits_until_none_is_left() -> None:
    errors = mean_errors()
    assert all(later < one for one, later in pairwise(errors[:-2]))
    assert errors[-1] == 0.0 < errors[0]


def test_the_command_prints_a_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["pimsim", "validate", "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    points = json.loads(capsys.readouterr().out)
    assert len({(point["target"], point["quantity"]) for point in points}) == len(points) > 100
    for point in points:
        assert list(point) == ["target", "quantity", "kind", "published", "modelled", "error"]
        assert all(math.isfinite(point[key]) for key in ("published", "modelled", "error"))


def test_the_command_shows_factors_and_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                              validation: Validation) -> None:
    monkeypatch.setattr(sys, "argv", ["pimsim", "validate"])
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    assert counts_line(validation) in out
    assert f"{validation.count('predicted')} predicted" in out
    for factor in validation.factors:
        assert f"{factor.value:.4g}" in out


def test_the_documentation_shows_the_commands_tables(validation: Validation) -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- begin: pimsim validate --markdown -->\n(.*)<!-- end -->", page, re.DOTALL)
    assert shown
    assert shown[1] == validation_markdown(validation), "run `pimsim validate --markdown` and paste it"
