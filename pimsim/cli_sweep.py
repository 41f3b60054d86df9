"""The commands that look at many chips: `pimsim sweep` and `pimsim pareto`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pimsim.cost import EXECUTIONS, GATINGS
from pimsim.errors import InputError
from pimsim.files import read_workload, require_file_name
from pimsim.space_file import space_from_toml
from pimsim.sweep import Threads, front_to_parquet, sweep_to_parquet
from pimsim.sweep.cluster import Cluster
from pimsim.sweep.memory import keep_freed_memory
from pimsim.sweep.pareto import OBJECTIVES
from pimsim.sweep.picture import write_picture
from pimsim.sweep.read import read_front
from pimsim.sweep.sure import with_uncertainty
from pimsim.uncertainty import SAMPLES


def require_uncertainty(uncertainty: bool, samples: int, seed: int) -> None:
    """InputError where options of draws are given and nothing is drawn."""
    for option, given in (("--samples", samples != SAMPLES), ("--seed", seed != 0)):
        if given and not uncertainty:
            raise InputError(f"{option}: allowed with --uncertainty only")


def sweep_command(
    workload: Annotated[Path, typer.Argument(help="workload.json", show_default=False)],
    space: Annotated[Path, typer.Option(help="The space of chips (.toml).", show_default=False)],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.", show_default=False)],
    chips: Annotated[int, typer.Option(help="How many chips share the workload.")] = 1,
    dram: Annotated[bool, typer.Option("--dram", help="Keep all embedding tables in off-chip DRAM.")] = False,
    gating: Annotated[str, typer.Option(help=f"When the chip leaks: {' or '.join(GATINGS)}.")] = GATINGS[0],
    execution: Annotated[str, typer.Option(help=f"{' or '.join(EXECUTIONS)}.")] = EXECUTIONS[0],
    pareto: Annotated[
        str | None, typer.Option(help="Keep only the designs no other beats in these: energy_j,latency_s,area_m2.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; else one for each core.")] = None,
    cluster: Annotated[str | None, typer.Option(help="A dask.distributed scheduler: tcp://host:port.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Evaluate WORKLOAD on every chip of a space into a Parquet file, one row per design.

    After a kill, the same command goes on where it was.
    """
    for option, value, allowed in (("--gating", gating, GATINGS), ("--execution", execution, EXECUTIONS)):
        if value not in allowed:
            raise InputError(f"{option} {value}: allowed: {', '.join(allowed)}")
    _require_other(out, {"WORKLOAD": workload, "--space": space})
    if out.suffix != ".parquet":
        raise InputError(f"--out {out}: allowed: a name that ends in .parquet")
    network, designs = read_workload(workload), space_from_toml(space)
    settings: dict[str, Any] = {"chips": chips, "dram": dram, "gating": gating, "execution": execution}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    keep_freed_memory()
    place = Threads(workers) if cluster is None else Cluster(cluster)
    start = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("designs", total=len(designs))
        before = [0]  # designs of a call that was killed

        def progress(done: int) -> None:
            bar.advance(task, done)

        def resumed(done: int) -> None:
            before[0] = done
            bar.update(task, completed=done, refresh=True)

        settings |= {"progress": progress, "resumed": resumed, "workers": place}
        if pareto is None:
            found = sweep_to_parquet(network, designs, out, **settings)
        else:
            found = front_to_parquet(network, designs, out, tuple(pareto.split(",")), **settings)
    if isinstance(place, Cluster):
        place.close()
    seconds = time.perf_counter() - start
    rate = found * (len(designs) - before[0]) / len(designs) / seconds
    if as_json:
        sys.stdout.write(json.dumps({
            "out": str(out), "left_out": len(designs) - found, "resumed": before[0], "designs": found,
            "seconds": seconds, "designs_per_second": rate}) + "\n")
    else:
        Console().print(f"{found:,} designs in {seconds:.1f} s ({rate:,.0f}/s), "
                        f"{len(designs) - found:,} impossible ones left out: {out}")


def _require_other(out: Path, inputs: dict[str, Path | None]) -> None:
    """InputError where what is to be written is a folder, or one of the files that are read."""
    require_file_name(out)
    for name, path in inputs.items():
        if path is not None and out.resolve() == path.resolve():
            raise InputError(f"--out {out}: is {name} too, allowed: another file")


class _Rate(ProgressColumn):
    """Designs per second of late."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="progress.data.speed")


def pareto_command(
    designs: Annotated[Path, typer.Argument(help="The Parquet file of a sweep.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The page (.html) or picture (.png) to write.", show_default=False)],
    objectives: Annotated[str, typer.Option(help="Figures to minimise.")] = ",".join(OBJECTIVES),
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Show which designs are really apart; needs --workload and --space.")
    ] = False,
    workload: Annotated[Path | None, typer.Option(help="The workload of the sweep.")] = None,
    space: Annotated[Path | None, typer.Option(help="The space of the sweep.")] = None,
    chips: Annotated[int, typer.Option(help="As in the sweep.")] = 1,
    dram: Annotated[bool, typer.Option("--dram", help="As in the sweep.")] = False,
    gating: Annotated[str, typer.Option(help="As in the sweep.")] = GATINGS[0],
    execution: Annotated[str, typer.Option(help="As in the sweep.")] = EXECUTIONS[0],
    samples: Annotated[int, typer.Option(help="Draws of all figures.")] = SAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Which draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the designs of the front as JSON.")] = False,
) -> None:
    """Show the designs of a sweep that no other design beats."""
    if out.suffix not in (".html", ".png"):
        raise InputError(f"--out {out}: allowed: a name that ends in .html or .png")
    _require_other(out, {"DESIGNS": designs, "--workload": workload, "--space": space})
    if uncertainty and (workload is None or space is None):
        raise InputError("--uncertainty: needs --workload and --space, those of the sweep")
    require_uncertainty(uncertainty, samples, seed)
    found = read_front(designs, tuple(objectives.split(",")))
    if uncertainty and workload is not None and space is not None:
        found = with_uncertainty(found, read_workload(workload), space_from_toml(space), samples=samples, seed=seed,
                                 chips=chips, dram=dram, gating=gating, execution=execution)
    write_picture(found, out)
    if as_json:
        data = {"out": str(out), "designs": found.designs, "front": found.front.to_dicts()}
        if found.compared is not None:
            data["uncertainty"] = found.compared.to_json()
        sys.stdout.write(json.dumps(data, allow_nan=False) + "\n")
    else:
        Console().print(f"{found.front.height:,} of {found.designs:,} designs are beaten by none: {out}")
