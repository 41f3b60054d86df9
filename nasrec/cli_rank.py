"""The command `nasrec rank`: does a supernet order architectures as training them from scratch does?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nasrec.cli_resume import refuse_beside_resume, refuse_beside_truth
from nasrec.errors import InputError, Stopped, WorkerLost

if TYPE_CHECKING:
    from nasrec.nas.rank_options import RankOptions

_output = Console(soft_wrap=True)


def rank(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            help="criteo|avazu|kdd:FILE, table:SCHEMA.toml, prepared:DIR, synthetic[:rows=N,seed=S,start=K]"
        ),
    ] = "synthetic",
    out: Annotated[Path, typer.Option(help="a new folder for the study")] = Path("runs/rank"),
    subnets: Annotated[int | None, typer.Option(min=2, help="random architectures to compare; else 100")] = None,
    preset: Annotated[str, typer.Option(help="whose supernet and scoring: fast or paper")] = "fast",
    config: Annotated[Path | None, typer.Option(help="options as TOML, over the preset; see docs/formats.md")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, over preset and file; may be repeated")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="of the architectures, and plus 1 of the supernets; else 0")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="a study whose data, architectures and training from scratch are used again")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the study in this folder")] = None,
    part: Annotated[
        str, typer.Option(help="all; truth: only train from scratch; scores: only supernets; report: what is finished")
    ] = "all",
    workers: Annotated[int, typer.Option(min=0, help="processes; 0: one for each core, or as the study has")] = 0,
) -> None:
    """Compare one-shot scores with training from scratch: Kendall and Pearson over random architectures."""
    from nasrec.data.prepared import PreparedLog
    from nasrec.data.source import absolute_source, open_source
    from nasrec.nas.rank import PARTS, RANK_JSON, RANK_PNG, RankRun
    from nasrec.nas.rank import rank as run_study
    from nasrec.run_data import check_same, with_data_options
    from nasrec.workers import cores

    chosen = next((one for one in PARTS if one == part), None)
    if chosen is None:
        raise InputError(f"--part {part}: allowed are {', '.join(PARTS)}")
    if resume is not None:
        refuse_beside_resume(context, "part", "workers")
        run = RankRun.open(resume)
        run = replace(run, workers=workers or run.workers)
    else:
        if truth is not None:
            refuse_beside_truth(context)
        options = _options(preset, config, {"subnets": subnets, "seed": seed}, settings or [])
        source, given = absolute_source(data), options.data
        if truth is not None:
            other = RankRun.open(truth)
            options = options.sharing_truth(truth, other.options)
            source = other.data if other.data.startswith("prepared:") else f"prepared:{(truth / 'data').resolve()}"
        opened = open_source(source)  # what cannot be used is said before a folder is made
        options = with_data_options(options, opened, given)
        if truth is not None and isinstance(opened, PreparedLog):
            check_same(other, opened.prepared)
        run = RankRun.create(out, source, options, workers or cores())
    try:
        summary = run_study(run, chosen)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; go on with: nasrec rank --resume {run.folder}", 130) from None
    except WorkerLost as error:
        raise Stopped(f"{error}; go on with: nasrec rank --resume {run.folder}", 3) from None
    except (InputError, OSError):
        if resume is None:
            run.discard_if_untouched()
        raise
    _print(summary)
    _output.print(f"{run.folder / RANK_JSON}, {run.folder / RANK_PNG}", highlight=False)


def _options(preset: str, config: Path | None, given: dict[str, int | None], settings: list[str]) -> RankOptions:
    from nasrec.nas.presets import preset as preset_named
    from nasrec.nas.rank_options import RankOptions
    from nasrec.sections import changed, read_toml, set_by_key

    options = RankOptions.of_preset(preset_named(preset))
    if config is not None:
        options = changed(options, read_toml(config), str(config))
    options = changed(options, {name: value for name, value in given.items() if value is not None}, "command line")
    return set_by_key(options, settings)


def _print(summary: dict[str, Any]) -> None:
    from nasrec.nas.rank_picture import TITLES, interval

    table = Table("supernet", "one-shot score", "N", "Kendall, 95 %", "Pearson, 95 %", "training", "scoring")
    for name, found in summary["strategies"].items():
        for time, title in TITLES.items():
            figures = found[time]["validation"]
            spent = [f"{found['supernet_s']:,.0f} s", f"{found['scores_s']:,.0f} s"] if time == "after" else ["", ""]
            correlation = [interval(figures["kendall"]), interval(figures["pearson"])]
            table.add_row(name, title, str(figures["count"]), *correlation, *spent)
        if len(found["by_supernet"]) > 1:
            for seed, one in found["by_supernet"].items():
                alone = one["after"]["validation"]
                correlation = [interval(alone["kendall"]), interval(alone["pearson"])]
                table.add_row("", f"… with seed {seed} alone", str(alone["count"]), *correlation, "", "")
    _output.print(table)
    truth = summary["truth"]
    line = f"trained from scratch: {len(summary['subnets'])} subnets, {truth['wall_s']:,.0f} s"
    spread, chance = truth["over_subnets"], truth["over_seeds"]
    if spread is not None and chance is not None:
        line += f"; log losses differ by {spread:.5f} (standard deviation), with the seed by {chance:.5f}"
    diverged = len(summary["diverged"])
    _output.print(line + (f"; {diverged} diverged" if diverged else ""), highlight=False)
