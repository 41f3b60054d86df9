"""The report shows every winner and baseline, needs no network, and says what is wrong with a bad summary."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_summary import candidate, fake_summary

from nasrec.arch import ChipChoice
from nasrec.errors import InputError
from nasrec.liveness import live_blocks
from nasrec.report import style, write_report
from nasrec.report.describe import describe_chip, describe_model
from nasrec.report.drawing import architecture_svg
from nasrec.report.front import front_line, hypervolume_band, loss_window
from nasrec.report.groups import by_operator, operator_of
from nasrec.report.summary import Hardware, Strategy, Summary


class Page(HTMLParser):
    """What a browser would fetch, and the text that a reader sees outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""
        self._hidden = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._hidden = tag
        if tag in ("script", "img", "link", "iframe", "source"):
            self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data + "\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert write_report(fake_summary(), folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page((written / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_self_contained(written: Path, page: Page):
    assert page.fetched == []
    styles = re.findall(r"<style.*?</style>", (written / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert not any("url(" in text or "@import" in text for text in styles)
    assert sorted(path.name for path in written.iterdir()) == ["report.html", "report.png"]


def test_the_page_names_every_model_and_figure(page: Page):
    for name in ("knee", "lowest log loss", "lowest energy", "logistic regression", "DLRM", "DeepFM"):
        assert name in page.text
    for figure in ("0.4405", "0.4385", "85%", "50,000", "µJ", "mm²", "above optimum", "minutes in all"):
        assert figure in page.text
    assert "reference point: log loss 0.53, energy per inference (µJ) 400" in page.text
    for seed in (1, 2, 3):
        assert describe_chip(candidate(seed).chip) in page.text
        assert all(line in page.text for line in describe_model(candidate(seed)))


def test_the_gap_is_worked_out_for_every_model(page: Page):
    # DLRM: float log loss 0.453, logistic regression 0.498, optimum 0.43: (0.498 - 0.453) / 0.068
    assert "66%" in page.text
    assert "0.0230" in page.text  # DLRM above the optimum


def test_the_picture_is_a_png(written: Path):
    assert (written / "report.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_without_an_optimum_it_is_not_spoken_of(tmp_path: Path):
    write_report(fake_summary(optimum=None, seeds=1, evaluations=3), tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "optimum" not in text
    assert "One seed" in text


def test_undefined_auc_is_said(tmp_path: Path):
    summary = fake_summary(evaluations=3, seeds=1)
    summary["winners"][0]["test"]["auc"] = None
    write_report(summary, tmp_path)
    assert "undefined" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text


def test_a_run_with_nothing_feasible_still_reports(tmp_path: Path):
    summary = fake_summary(evaluations=2, seeds=1)
    for strategy in summary["search"]["strategies"].values():
        for run in strategy["seeds"]:
            run["hypervolume"] = []
            for trial in run["trials"]:
                trial["feasible"] = False
    summary["winners"] = []
    write_report(summary, tmp_path)


def test_names_from_outside_are_escaped(tmp_path: Path):
    summary = fake_summary(evaluations=2, seeds=1)
    summary["data"]["source"] = "table:<script>alert(1)</script>.toml"
    summary["winners"][0]["name"] = "<img src=x>"
    write_report(summary, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert Page(text).fetched == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda summary: summary.pop("winners"), "winners: Field required"),
        (lambda summary: summary["search"]["reference_point"].pop(), "search.reference_point"),
        (lambda summary: summary["baselines"][1]["test"].update(log_loss="low"), "baselines.1.test.log_loss"),
    ],
)
def test_a_bad_summary_names_the_field_and_leaves_nothing(tmp_path: Path, spoil: Any, message: str):
    summary = fake_summary(evaluations=2, seeds=1)
    spoil(summary)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        write_report(summary, tmp_path)
    assert "summary.json" in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_front_line_by_hand():
    costs, losses = [3.0, 1.0, 2.0, 2.0, 4.0], [0.3, 0.5, 0.4, 0.6, 0.3]
    assert front_line(costs, losses) == [1, 2, 0]  # (1, .5), (2, .4), (3, .3); (4, .3) costs more for nothing
    assert front_line([], []) == []


def test_hypervolume_band_by_hand():
    seeds = [{"seed": n, "trials": [], "hypervolume": values} for n, values in enumerate([[1, 2, 3], [3, 4]])]
    band = hypervolume_band(Strategy.model_validate({"seeds": seeds}))
    assert band is not None
    assert (list(band.mean), list(band.low), list(band.high)) == ([2, 3], [1, 2], [3, 4])
    assert hypervolume_band(Strategy(seeds=[])) is None


def test_the_window_leaves_broken_chips_out_but_no_model():
    low, high = loss_window([0.44] * 50 + [0.45] * 45 + [5.0] * 5, [0.46])
    assert low < 0.44 < 0.46 < high < 0.5


def test_operators_keep_the_total():
    hardware = Hardware.model_validate(fake_summary(evaluations=1, seeds=1)["winners"][0]["hardware"])
    groups = by_operator(hardware)
    assert sum(group.energy_j for group in groups) == pytest.approx(sum(op.energy_j for op in hardware.by_op))
    assert [group.name for group in groups] == [
        "embeddings", "1 fc", "2 dot", "3 gating", "4 efc", "5 attention", "head",
    ]  # fmt: skip
    assert operator_of("blocks.1.dot.output.rescale") == "2 dot"
    assert operator_of("head.rescale") == "head"


def test_dead_operators_are_grey():
    dead = next(
        arch
        for arch in (candidate(seed).arch for seed in range(50))
        if sum(not block.alive for block in live_blocks(arch)) >= 1
    )
    boxes = sum(not block.dense for block in live_blocks(dead)) + sum(not block.sparse for block in live_blocks(dead))
    svg = architecture_svg(dead)
    assert svg.startswith("<svg")
    filled = re.findall(rf"fill: {style.PAPER}; stroke-dasharray[^\"]*stroke: {style.DEAD_COLOUR}", svg)
    assert len(filled) == boxes
    assert architecture_svg(dead) == svg  # the same every time


def test_the_chip_in_words():
    assert describe_chip(ChipChoice(copies=4, columns_per_adc=1024)) == (
        "128×128 crossbars, 2-bit cells, 1-bit DAC, 8-bit ADC, one ADC per 128 columns, 4 copies of reused weights"
    )


def test_figures_for_tables():
    assert [style.figure(value) for value in (None, 0, 0.012345, 1.2345, 12345.6)] == [
        "–",
        "0",
        "0.0123",
        "1.23",
        "12,346",
    ]
    assert Summary.parse(fake_summary(evaluations=1, seeds=1)).winners[0].genotype() == candidate(1)
