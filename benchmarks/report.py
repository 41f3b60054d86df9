"""The table of targets with what was measured: `python -m benchmarks.report [JSON...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.record import FOLDER, Case, Run
from benchmarks.roofline import draw
from benchmarks.targets import TARGETS, Target, figures

HEAD = ("kernel", "against", "at least", "aim")


class Line(NamedTuple):
    """A row: its four fixed cells, whether it is beyond the table, a measured cell and a verdict for each run."""

    fixed: tuple[str, str, str, str]
    beyond: bool
    measured: tuple[str, ...]
    verdicts: tuple[str, ...]


def lines(runs: Sequence[Run]) -> list[Line]:
    """The table of targets, a row each."""
    ordered = sorted(TARGETS, key=lambda target: target.beyond)
    return [
        Line(
            (target.name, target.against, _bar(target, target.least), _bar(target, target.aim)),
            target.beyond,
            tuple(_measured(target, run) for run in runs),
            tuple(verdict(target, run.cases) for run in runs),
        )
        for target in ordered
    ]


def verdict(target: Target, cases: Sequence[Case]) -> str:
    """What the number of threads that decides says: the worst case counts."""
    found = figures(target, cases, target.threads)
    if not found:
        return "not measured"
    worst = target.worst(figure for _, figure in found)
    doubt = "" if all(_trusted(target, case) for case, _ in found) else ", doubtful"
    if len(found) < target.cases:
        doubt += f", {len(found)} of {target.cases} cases"
    if not target.met(worst, target.least):
        (at,) = [case for case, figure in found if figure == worst][:1]
        short = target.short_of(worst, target.least)
        return f"missed by {short:.0%}{doubt}" + (f" ({_differs(target, at)})" if len(found) > 1 else "")
    return ("aim met" if target.met(worst, target.aim) else "met") + doubt


def _measured(target: Target, run: Run) -> str:
    """The range over the cases, for each number of threads; the one that decides has no brackets."""
    cells = []
    for threads in (1, 2):
        found = [figure for _, figure in figures(target, run.cases, threads)]
        if found:
            low, high = _figure(target, min(found)), _figure(target, max(found))
            text = f"{threads}T {low}" + ("" if low == high else f"–{high}")
            cells.append(text if threads == target.threads else f"({text})")
    return " ".join(cells) or "–"


def _figure(target: Target, value: float) -> str:
    return f"{value:.0%}" if target.measure == "of the limit" else f"{value:.3g}x"


def _bar(target: Target, value: float) -> str:
    if target.measure == "times as long":
        return f"{value:g}x the time"
    return f"{value:.0%}" if target.measure == "of the limit" else f"{value:g}x"


def _trusted(target: Target, case: Case) -> bool:
    return not {"ours", *target.peers} & set(case.doubtful)


def _differs(target: Target, case: Case) -> str:
    """What tells this case from the others of its row: all but what they share."""
    shared = {key for one in target.where for key, values in one.items() if len(values) == 1}
    several = len(target.where) > 1
    return " ".join(f"{key}={value}" for key, value in case.params.items() if several or key not in shared)


def limits_of(run: Run) -> list[tuple[str, ...]]:
    """Kernel and parameters, threads, time, what binds, the share of it that is reached."""
    rows = []
    for case in run.cases:
        name, share = case.limit or ("not measured", 0.0)
        rows.append((case.name, str(case.threads), f"{case.ours_ms:.3g} ms", name, f"{share:.0%}"))
    return rows


def heading(run: Run) -> str:
    """Machine, instruction set, versions and noise on one line."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items() if version != "absent")
    noise = "waited for a core {waited_mean:.1%} of the time, {samples_dropped:.1%} of samples dropped"
    machine = f"{run.machine['model']}, {run.machine['cores']} cores"
    return f"{run.isa} (peers {run.peers_isa}) on {machine}; {versions}; {noise.format(**run.noise)}"


def markdown(runs: Sequence[Run]) -> str:
    """The same as text that GitHub shows as a table."""
    head = [*HEAD, *(cell for run in runs for cell in (f"measured, {run.isa}", "verdict"))]
    text = [f"- {heading(run)}" for run in runs] + ["", _row(head), _row(["---"] * len(head))]
    for line in lines(runs):
        pairs = zip(line.measured, line.verdicts, strict=True)
        name, *fixed = line.fixed
        mark = "beyond the table: " if line.beyond else ""
        text.append(_row([mark + name, *fixed, *(cell for pair in pairs for cell in pair)]))
    return "\n".join(text) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def show(runs: Sequence[Run], console: Console, cases: bool) -> None:
    """Print the table; with `cases` how far every case is from its limit."""
    table = Table(title="kernels beside their peers")
    for name in HEAD:
        table.add_column(name)
    for run in runs:
        table.add_column(f"measured, {run.isa}")
        table.add_column("verdict")
    shown = False
    colours = {"a": "green", "m": "green", "n": "dim"}
    for line in lines(runs):
        cells = []
        for measured, said in zip(line.measured, line.verdicts, strict=True):
            colour = "red" if said.startswith("missed") else colours[said[0]]
            cells += [measured, f"[{colour}]{said}[/]"]
        if line.beyond and not shown:
            table.add_section()
            table.add_row("[italic]other peers that a user could pick, other baselines[/]")
            shown = True
        table.add_row(*line.fixed, *cells)
    console.print(table)
    for run in runs:
        console.print(heading(run), highlight=False)
        for name, why in run.missing.items():
            console.print(f"  left out, {name}: {why}", highlight=False)
        if cases:
            title = f"distance to the limit, {run.isa}"
            distance = Table("case", "threads", "ours", "bound by", "reached", title=title)
            for row in limits_of(run):
                distance.add_row(*row)
            console.print(distance)


FILES = typer.Argument(exists=True, help="results of runs (default: the repository's)")


def main(
    files: Annotated[list[Path] | None, FILES] = None,
    markdown_to: Annotated[Path | None, typer.Option("--markdown", help="write the table here")] = None,
    figure: Annotated[Path, typer.Option(help="where the roofline goes")] = FOLDER / "roofline.png",
    cases: Annotated[bool, typer.Option(help="print every case's distance to its limit")] = False,
) -> None:
    """Print the table of targets with what was measured, and draw the roofline."""
    paths = files or sorted(FOLDER.glob("kernels-*.json"))
    if not paths:
        raise typer.BadParameter(f"no kernels-*.json in {FOLDER}; `make bench` writes one")
    runs = [Run.read(path) for path in paths]
    show(runs, Console(), cases)
    if markdown_to:
        markdown_to.write_text(markdown(runs), encoding="utf-8")
    draw(runs[0], figure)


if __name__ == "__main__":
    typer.run(main)
