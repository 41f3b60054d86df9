"""What a stage says, with and without a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from nasrec import progress
from nasrec.progress import Stage, stage


def test_rate_is_counted_from_the_first_report(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 10.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    resumed = Stage("supernet", None, "rows")
    resumed(90_000, 100_000)  # after 10 s: where the checkpoint was, not what was done since
    assert resumed.done == 90_000
    resumed(95_000, 100_000)
    assert resumed.rate == 500.0
    assert resumed.line() == "supernet: 95,000 of 100,000 rows, 500/s, 10.0 s left"


def test_advance_counts_from_the_start(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    search = Stage("search", 8, "candidates")
    search.advance()
    search.advance(1)
    assert search.done == 2
    search.remark = "best 0.45"
    assert search.line() == "search: 2 of 8 candidates, 0.5/s, 12.0 s left, best 0.45"


def test_no_rate_before_there_are_two_reports():
    assert Stage("data", None, "rows").line() == "data: 0 rows"
    assert Stage("data", None, "rows").rate is None


def run(console: Console) -> None:
    with stage("preparing [raw]", total=100, unit="rows", console=console) as report:
        report(40, 100)
        report.note("loss 0.5")
        report(100)


def test_without_a_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch):
    out = io.StringIO()
    run(Console(file=out, width=200))
    assert out.getvalue().count("\n") == 1
    said = r"preparing \[raw\]: 100 rows in \d+\.\d s, [\d,]+/s, peak [\d,]+ MiB, loss 0\.5\n"
    assert re.fullmatch(said, out.getvalue())
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    out = io.StringIO()
    run(Console(file=out, width=200))
    assert "preparing [raw]: 40 of 100 rows\n" in out.getvalue()


def test_on_a_terminal_there_is_a_bar():
    out = io.StringIO()
    run(Console(file=out, width=120, force_terminal=True))
    assert "100/100 rows" in out.getvalue()
    assert "preparing [raw]: 100 rows in" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_failure_passes_through_without_a_last_line(terminal: bool):
    out = io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        stage("search", console=Console(file=out, force_terminal=terminal, width=120)),
    ):
        raise KeyboardInterrupt
    assert "search: " not in out.getvalue()


def test_durations():
    assert [progress._duration(s) for s in (0.25, 59.9, 61, 3725)] == ["0.2 s", "59.9 s", "1 min 01 s", "1 h 02 min"]
