"""The command `pimsim`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pimsim.chip_file import chip_named, placing_named
from pimsim.cli_sweep import pareto_command, sweep_command
from pimsim.cost import EXECUTIONS, GATINGS, Execution, Gating
from pimsim.errors import InputError
from pimsim.evaluate import evaluate
from pimsim.files import read_workload, write_workload
from pimsim.importers import workload_from_onnx
from pimsim.importers.arguments import input_shapes, layer_bits
from pimsim.report import presets_table, report_tables
from pimsim.validation import validate
from pimsim.validation.table import validation_markdown, validation_tables

app = typer.Typer(
    help="What a model costs on a processing-in-memory chip.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)
_WorkloadFile = Annotated[Path, typer.Argument(help="workload.json", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_Dram = Annotated[bool, typer.Option("--dram", help="Keep all embedding tables in off-chip DRAM.")]
_Chips = Annotated[int, typer.Option(help="How many chips share the workload.")]
_GatingOption = Annotated[str, typer.Option(help=f"When the chip leaks: {' or '.join(GATINGS)}.")]


@app.command("presets")
def presets_command() -> None:
    """List the chips that are built in, with their figures and sources."""
    Console().print(presets_table())


@app.command("evaluate")
def evaluate_command(
    workload: _WorkloadFile,
    chip: Annotated[str, typer.Option(help="A preset's name or a chip file (.toml).")] = "isaac",
    settings: Annotated[list[str] | None, typer.Option("--set", help="Option of the chip: crossbar.rows=256.")] = None,
    copies: Annotated[
        int | None, typer.Option(help="Most copies of weights used several times; else as the chip file says, or 1.")
    ] = None,
    chips: _Chips = 1,
    dram: _Dram = False,
    dram_table: Annotated[list[str] | None, typer.Option(help="Keep this table in DRAM; may be repeated.")] = None,
    gating: _GatingOption = "idle_gated",
    arrival_rate: Annotated[float | None, typer.Option(help="Inferences asked for per second.")] = None,
    execution: Annotated[str, typer.Option(help=f"{' or '.join(EXECUTIONS)}.")] = "pipelined",
    updates_per_day: Annotated[float, typer.Option(help="How often a day the model is written anew.")] = 0.0,
    as_json: _Json = False,
) -> None:
    """Energy, latency and area of one inference of WORKLOAD on a chip, by operator and by component."""
    hardware = chip_named(chip, settings or ())
    placing = placing_named(chip, settings or ())
    if copies is not None:
        placing |= {"copies": copies, "budget_crossbars": None}
    report = evaluate(
        read_workload(workload), hardware, chips=chips, dram=dram, dram_tables=dram_table or (), **placing,
        gating=_gating(gating), arrival_rate_hz=arrival_rate, execution=_execution(execution),
        updates_per_day=updates_per_day,
    )
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    else:
        Console().print(report_tables(report))


@app.command("import")
def import_command(
    model: Annotated[Path, typer.Argument(help="model.onnx", show_default=False)],
    out: Annotated[Path, typer.Option(help="The workload file to write.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="The workload's name; else the file's.")] = None,
    weight_bits: Annotated[int, typer.Option(help="Bits of a stored weight.")] = 8,
    input_bits: Annotated[int, typer.Option(help="Bits of an activation.")] = 8,
    element_bits: Annotated[int, typer.Option(help="Bits of a number in an embedding table.")] = 8,
    layer: Annotated[list[str] | None, typer.Option(help="Other bits by name or pattern: head:weight_bits=4")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Sizes that the file leaves open: x=1,3,32,32")] = None,
    batch: Annotated[int, typer.Option(help="How many inferences the inputs of the file hold.")] = 1,
    unknown: Annotated[str, typer.Option(help="Operators without a known cost: refuse or vector_unit.")] = "refuse",
) -> None:
    """Write the workload of the network in an ONNX file."""
    workload = workload_from_onnx(
        model, name, weight_bits, input_bits, element_bits, layers=layer_bits(layer or ()), batch=batch,
        unknown=unknown, shapes=input_shapes(shape or ()),
    )
    write_workload(out, workload)
    Console().print(f"{len(workload.ops):,} operators, {workload.macs:,} MACs: {out}", soft_wrap=True)


app.command("sweep")(sweep_command)
app.command("pareto")(pareto_command)


@app.command("validate")
def validate_command(
    as_json: _Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as in docs/validation.md.")] = False,
) -> None:
    """Compare the model with published figures: each point's error, its kind, and every factor that was fitted."""
    validation = validate()
    if as_json:
        points = [point.to_json() for point in validation.points]
        sys.stdout.write(json.dumps(points, indent=1, allow_nan=False) + "\n")
    elif markdown:
        sys.stdout.write(validation_markdown(validation))
    else:
        Console().print(validation_tables(validation))


def _gating(name: str) -> Gating:
    for gating in GATINGS:
        if name == gating:
            return gating
    raise InputError(f"--gating {name}: allowed: {', '.join(GATINGS)}")


def _execution(name: str) -> Execution:
    for execution in EXECUTIONS:
        if name == execution:
            return execution
    raise InputError(f"--execution {name}: allowed: {', '.join(EXECUTIONS)}")


def main() -> None:
    """Run the command; bad input and files that cannot be used give one line on stderr and exit code 2."""
    try:
        app()
    except (InputError, OSError) as error:
        sys.stderr.write(f"pimsim: {' '.join(str(error).split())}\n")
        sys.exit(2)
