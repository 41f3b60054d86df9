"""The command line: `nasrec codesign | search | rank | prepare | train | score | report | arch`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from nasrec.cli_arch import arch_app
from nasrec.cli_rank import rank
from nasrec.cli_resume import refuse_beside_resume
from nasrec.cli_search import search
from nasrec.cli_train import process_of_team, refuse_team, train
from nasrec.errors import InputError, Stopped, TrainingDiverged, WorkerLost

app = typer.Typer(
    help="Find a recommender model and the ReRAM chip that runs it, together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(search)
app.command()(rank)
app.command()(train)
app.add_typer(arch_app, name="arch")
_output = Console(soft_wrap=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nasrec {version('nasrec')}")
        raise typer.Exit


@app.callback()
def _any_command(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="print the version and stop", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    refuse_team(str(context.invoked_subcommand))


@app.command()
def codesign(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            help="synthetic[:rows=N,seed=S,start=K], criteo|avazu|kdd:FILE, table:SCHEMA.toml, prepared:DIR"
        ),
    ] = "synthetic",
    out: Annotated[Path, typer.Option(help="a new folder for the run")] = Path("runs/codesign"),
    config: Annotated[Path | None, typer.Option(help="options as TOML; see docs/formats.md")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="stages at a time; 0: one for each core, or as the resumed run has")
    ] = 0,
) -> None:
    """Search model and chip together, retrain the winners, write the report."""
    from nasrec.data.source import absolute_source, open_source
    from nasrec.options import CodesignOptions, load_options
    from nasrec.run import Run
    from nasrec.run_data import with_data_options
    from nasrec.workers import cores

    if resume is not None:
        refuse_beside_resume(context, "workers")
        run = Run.open(resume)
        run = replace(run, workers=workers or run.workers)
    else:
        options = CodesignOptions() if config is None else load_options(config)
        source = absolute_source(data)
        options = with_data_options(options, open_source(source))  # what cannot be used is said before a folder is made
        run = Run.create(out, source, options, workers or cores())
    try:
        from nasrec.codesign import codesign as run_job

        report = run_job(run)
    except KeyboardInterrupt:
        _fail(f"stopped; go on with: nasrec codesign --resume {run.folder}", 130)
    except WorkerLost as error:
        _fail(f"{error}; go on with: nasrec codesign --resume {run.folder}", 3)
    except (InputError, OSError):
        if resume is None:
            run.discard_if_untouched()
        raise
    _print_summary(run.folder / "summary.json")
    _output.print(f"report: {report}", highlight=False)


@app.command()
def prepare(
    kind: Annotated[str, typer.Argument(help="criteo, avazu, kdd, table or synthetic")],
    source: Annotated[str, typer.Argument(help="the log, the schema, or rows=N,seed=S,start=K")],
    out: Annotated[Path, typer.Argument(help="the folder to write")],
    config: Annotated[Path | None, typer.Option(help="options as TOML: its section data counts")] = None,
) -> None:
    """Turn a raw log into the form that training maps into memory; killed and called again, it goes on."""
    from nasrec.data.prepare import prepare as prepare_rows
    from nasrec.data.source import open_source
    from nasrec.options import CodesignOptions, load_options
    from nasrec.progress import stage

    section = (CodesignOptions() if config is None else load_options(config)).data
    try:
        with stage("preparing", unit="rows") as progress:
            data = prepare_rows(
                open_source(f"{kind}:{source}"),
                out,
                seed=section.seed,
                options=section.encoding(),
                split=section.split,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on", 130) from None
    rows = {name: len(data.split(name)) for name in ("train", "validation", "test")}
    _output.print(f"{out}: " + ", ".join(f"{count:,} {name} rows" for name, count in rows.items()), highlight=False)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="the folder of a finished run or training")],
    data: Annotated[str, typer.Option(help="rows never seen: criteo|avazu|kdd:FILE, table:SCHEMA.toml, prepared:DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON list")] = False,
) -> None:
    """Log loss and AUC of a run's winners on other data, in float and, of `codesign`, as their chips compute."""
    from nasrec.data.source import absolute_source
    from nasrec.score_run import score_run

    rows = score_run(run, absolute_source(data))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    chips = all("log_loss_crossbar" in row for row in rows)
    table = Table("winner", "rows", "log loss", *(["log loss, crossbar"] if chips else []), "AUC")
    for row in rows:
        area = "undefined" if row["auc"] is None else f"{row['auc']:.4f}"
        losses = [f"{row[name]:.5f}" for name in ("log_loss", "log_loss_crossbar") if name in row]
        table.add_row(row["winner"], f"{row['rows']:,}", *losses, area)
    _output.print(table)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="the folder of a finished run")]) -> None:
    """Write report.html and report.png again from summary.json."""
    from nasrec.files import read_json

    summary = read_json(run / "summary.json", format="nasrec.summary")
    from nasrec.report import write_report  # after what may fail: it loads for seconds

    written = write_report(summary, run)
    _output.print(f"report: {written}", highlight=False)


def main() -> None:
    """Run the command line; bad input and a full disk end in one line and exit code 2, Ctrl-C in a hint."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        _fail(str(error), 2)
    except TrainingDiverged as error:
        _fail(str(error), 3)
    except Stopped as error:
        _fail(str(error), error.code)
    except ValueError as error:
        if type(error).__module__ != "pimsim.errors":  # its InputError; imported, it would slow every command
            raise
        _fail(str(error), 2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", 2)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"nasrec{process_of_team()}: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _print_summary(file: Path) -> None:
    from nasrec.files import read_json

    summary = read_json(file)
    table = Table("model", "log loss", "crossbar", "AUC", "energy", "latency", "area")
    for model in (*summary["winners"], *summary["baselines"]):
        test, hardware = model["test"], model["hardware"]
        table.add_row(
            model["name"],
            f"{test['log_loss']:.4f}",
            f"{test['log_loss_crossbar']:.4f}",
            "undefined" if test["auc"] is None else f"{test['auc']:.4f}",
            f"{hardware['energy_j'] * 1e6:.3f} µJ",
            f"{hardware['latency_s'] * 1e6:.2f} µs",
            f"{hardware['area_m2'] * 1e6:.2f} mm²",
        )
    _output.print(table)
    if summary["gap_closed"] is not None:
        optimum = summary["data"]["optimum"]["test"]
        _output.print(
            f"gap between logistic regression and the planted optimum ({optimum:.4f}) closed: "
            f"{summary['gap_closed']:.0%}",
            highlight=False,
        )
