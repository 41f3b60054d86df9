"""What a waiting user sees: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from nasrec.memory import peak_memory

Report = Callable[[int, int | None], None]
"""What long functions call as they go: the amount done so far (from the very beginning, also after a resume) and the
total, None while unknown."""

LINE_EVERY_S = 30.0

_lines_only = False  # true in worker processes: their bars would overwrite each other


def print_lines_only() -> None:
    """From now on show no live bars in this process, only lines."""
    global _lines_only
    _lines_only = True


class Stage:
    """One stage of a run, advancing; call it with the amount done so far and, when known, the total."""

    def __init__(self, description: str, total: int | None, unit: str) -> None:
        """Start counting `unit` (a plural, as printed) towards `total`."""
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self.remark = ""
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None  # where the rate is measured from: a resume jumps ahead of it

    def __call__(self, done: int, total: int | None = None) -> None:
        """Say that `done` of `total` units are finished (a total given once is kept)."""
        self.done = done
        self.total = total if total is not None else self.total
        if self._first is None:
            self._first = (time.monotonic(), done)
        self._show()

    def advance(self, count: int = 1) -> None:
        """Say that `count` more units are finished."""
        if self._first is None:
            self._first = (self._started, self.done)
        self(self.done + count)

    def note(self, text: str) -> None:
        """Show a short remark, such as the current loss, beside the bar."""
        self.remark = text
        self._show()

    @property
    def seconds(self) -> float:
        """Wall time since the stage began."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float | None:
        """Units per second since the first report, or None before there are two."""
        if self._first is None or self.done <= self._first[1]:
            return None
        return (self.done - self._first[1]) / max(time.monotonic() - self._first[0], 1e-9)

    def line(self) -> str:
        """The stage in one line of text: done, total, rate, time left, remark."""
        parts = [f"{self.done:,}" + (f" of {self.total:,}" if self.total else "") + f" {self.unit}"]
        rate = self.rate
        if rate:
            parts.append(_speed(rate))
            if self.total and self.done < self.total:
                parts.append(f"{_duration((self.total - self.done) / rate)} left")
        return f"{self.description}: " + ", ".join([*parts, self.remark] if self.remark else parts)

    def _show(self) -> None:
        """Bring what the user sees up to date; the plain stage shows nothing."""


class _Lines(Stage):
    """A stage where no terminal is: a line at most every `LINE_EVERY_S` seconds."""

    def __init__(self, description: str, total: int | None, unit: str, console: Console) -> None:
        super().__init__(description, total, unit)
        self._console = console
        self._printed = time.monotonic()

    def _show(self) -> None:
        if time.monotonic() - self._printed >= LINE_EVERY_S:
            self._printed = time.monotonic()
            print_line(self._console, self.line())


class _Bar(Stage):
    """A stage on a terminal: one live bar."""

    def __init__(self, description: str, total: int | None, unit: str, bars: Progress) -> None:
        super().__init__(description, total, unit)
        self._bars = bars
        self._task = bars.add_task(description, total=total, unit=unit, remark="", rate=None)

    def _show(self) -> None:
        self._bars.update(self._task, completed=self.done, total=self.total, remark=self.remark, rate=self.rate)


class _Amount(ProgressColumn):
    """Done, total, unit and rate of a task."""

    def render(self, task: Task) -> Text:
        total = f"/{task.total:,.0f}" if task.total else ""
        rate = task.fields["rate"]
        speed = "" if rate is None else f" · {_speed(rate)}"
        return Text(f"{task.completed:,.0f}{total} {task.fields['unit']}{speed}", style="progress.data.speed")


@contextmanager
def stage(
    description: str, *, total: int | None = None, unit: str = "steps", console: Console | None = None
) -> Iterator[Stage]:
    """Show a stage of work while the block runs and yield its `Stage`.

    `console` defaults to standard error, so that what a command prints stays clean: on a terminal a bar, elsewhere a
    line every half minute. Both end with one line that says how long it took, how many units a second, and the peak of
    this process's memory meanwhile; an exception leaves no such line.
    """
    console = console or Console(stderr=True, soft_wrap=True)
    with peak_memory() as memory:
        if _lines_only or not console.is_terminal:
            shown: Stage = _Lines(description, total, unit, console)
            yield shown
        else:
            columns: tuple[ProgressColumn, ...] = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                _Amount(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[remark]}", style="dim"),
            )
            with Progress(*columns, console=console, transient=True) as bars:
                shown = _Bar(description, total, unit, bars)
                yield shown
    _finish(console, shown, memory.mib)


def print_line(console: Console, text: str) -> None:
    """Print one plain line, whatever brackets it contains."""
    console.print(text, markup=False, highlight=False)


def _finish(console: Console, finished: Stage, peak_mib: int) -> None:
    remark = f", {finished.remark}" if finished.remark else ""
    amount = f"{finished.done:,} {finished.unit} in " if finished.done else ""
    speed = f", {_speed(finished.rate)}" if finished.rate else ""
    spent = f"{amount}{_duration(finished.seconds)}{speed}, peak {peak_mib:,} MiB"
    print_line(console, f"{finished.description}: {spent}{remark}")


def _speed(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
