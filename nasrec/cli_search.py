"""The command `nasrec search`: NASRec's method without a chip, as one command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nasrec.cli_resume import refuse_beside_resume
from nasrec.errors import InputError, Stopped, WorkerLost

if TYPE_CHECKING:
    from nasrec.nas.options import NasOptions
    from nasrec.nas.run import SearchRun

_output = Console(soft_wrap=True)


def search(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            help="synthetic[:rows=N,seed=S,start=K], criteo|avazu|kdd:FILE, table:SCHEMA.toml, prepared:DIR"
        ),
    ] = "synthetic",
    preset: Annotated[str, typer.Option(help="paper: the published numbers; fast: 512 architectures")] = "fast",
    out: Annotated[Path, typer.Option(help="a new folder for the run")] = Path("runs/search"),
    seed: Annotated[int | None, typer.Option(min=0, help="of supernet and search")] = None,
    scale: Annotated[float, typer.Option(help="this part of the preset's architectures, 0 to 1")] = 1.0,
    strategy: Annotated[str | None, typer.Option(help="evolution, or random to compare with")] = None,
    config: Annotated[Path | None, typer.Option(help="options as TOML, over the preset; see docs/formats.md")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, over preset and file; may be repeated")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="processes side by side; 0: one for each core, or as the resumed run has")
    ] = 0,
) -> None:
    """Search a model alone: train a supernet, evolve architectures on log loss, retrain the best, test the winner."""
    from nasrec.data.source import absolute_source, open_source
    from nasrec.nas.run import SearchRun
    from nasrec.run_data import with_data_options
    from nasrec.workers import cores

    if resume is not None:
        refuse_beside_resume(context, "workers")
        run = SearchRun.open(resume)
        run = replace(run, workers=workers or run.workers)
    else:
        options = _options(preset, scale, config, seed, strategy, settings or [])
        source = absolute_source(data)
        options = with_data_options(options, open_source(source))  # what cannot be used is said before a folder is made
        run = SearchRun.create(out, source, options, workers or cores())
    try:
        summary = _run(run)
    except (InputError, OSError):
        if resume is None:
            run.discard_if_untouched()
        raise
    _print_summary(summary)


def _run(run: SearchRun) -> Path:
    hint = f"go on with: nasrec search --resume {run.folder}"
    try:
        from nasrec.nas.search import search as run_job

        return run_job(run)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {hint}", 130) from None
    except WorkerLost as error:
        raise Stopped(f"{error}; {hint}", 3) from None


def _options(
    preset: str, scale: float, config: Path | None, seed: int | None, strategy: str | None, settings: list[str]
) -> NasOptions:
    from nasrec.nas.presets import preset as preset_named
    from nasrec.nas.presets import scaled
    from nasrec.sections import changed, read_toml, set_by_key

    options = preset_named(preset)
    if config is not None:
        options = changed(options, read_toml(config), str(config))
    options = scaled(options, scale)
    given = {"seed": seed, "strategy": strategy}
    options = changed(options, {name: value for name, value in given.items() if value is not None}, "command line")
    return set_by_key(options, settings)


def _print_summary(path: Path) -> None:
    from nasrec.files import read_json

    summary: dict[str, Any] = read_json(path)
    _output.print(_found(summary))
    _output.print(_spent(summary["spent"]))
    one = {name: value for name, value in summary["spent"]["one_architecture"].items() if name.endswith("_s")}
    spans = ", ".join(f"{name.removesuffix('_s').replace('_', '-')} {value:.2f} s" for name, value in one.items())
    _output.print(f"scoring one architecture, CPU time: {spans}", highlight=False)
    winner, test = summary["winner"], summary["winner"]["test"]
    loss, area = test["log_loss"], test["auc"]["mean"]
    parts = [f"winner: {winner['macs'] / 1e6:.3f} million MACs"]
    parts.append(f"{winner['epochs']} epochs at {winner['learning_rate']}")
    spread = "" if loss["deviation"] is None else f" ± {loss['deviation']:.5f} over {len(test['seeds'])} seeds"
    parts.append(f"test log loss {loss['mean']:.5f}{spread}")
    parts += [] if area is None else [f"AUC {area:.5f}"]
    _output.print(", ".join(parts), highlight=False)
    _output.print(f"summary: {path}", highlight=False)


def _found(summary: dict[str, Any]) -> Table:
    """What was trained from scratch, as the supernet and as that training judge it."""
    table = Table("place", "from", "log loss, searched", "log loss, trained", "million MACs", "")
    for place, one in enumerate(summary["finalists"]):
        trainings = [found for found in summary["retraining"] if found["name"].startswith(f"retrain-{place}-")]
        losses = [found["log_loss"] for found in trainings if found["log_loss"] is not None]
        drawn = "random" if one["parent"] is None else f"{one['parent']}, mutated"
        table.add_row(
            f"{place}",
            drawn if one["number"] is None else "search",
            "" if one["number"] is None else f"{summary['search']['log_losses'][one['number']]:.5f}",
            f"{min(losses):.5f}" if losses else "diverged",
            f"{one['macs'] / 1e6:.3f}",
            "winner" if place == summary["winner"]["place"] else "",
        )
    return table


def _spent(spent: dict[str, Any]) -> Table:
    """What the stages took; trainings of one kind in one line."""
    table = Table("stage", "seconds", "peak MiB")
    kinds: dict[str, list[str]] = {}
    for name in spent["wall_s"]:
        kinds.setdefault(name.partition("-")[0], []).append(name)
    for kind, names in kinds.items():
        title = kind if names == [kind] else f"{kind}, {len(names)} trainings"
        peak = max(spent["peak_bytes"].get(name, 0) for name in names)
        table.add_row(title, f"{sum(spent['wall_s'][name] for name in names):,.1f}", f"{peak >> 20:,}")
    return table
