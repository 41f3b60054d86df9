"""The command `pimsim`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pimsim.chip_file import chip_named, placing_named
from pimsim.cli_sweep import pareto_command, require_uncertainty, sweep_command
from pimsim.cost import EXECUTIONS, GATINGS, Execution, Gating
from pimsim.errors import InputError
from pimsim.evaluate import evaluate
from pimsim.explain import explain
from pimsim.explain_tables import explanation_tables
from pimsim.files import read_workload, write_workload
from pimsim.importers import workload_from_onnx
from pimsim.importers.arguments import input_shapes, layer_bits
from pimsim.report import presets_table, report_tables
from pimsim.uncertainty import SAMPLES, evaluate_uncertain
from pimsim.uncertainty_tables import uncertainty_tables
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
_ChipName = Annotated[str, typer.Option(help="A preset's name or a chip file (.toml).")]
_Settings = Annotated[list[str] | None, typer.Option("--set", help="Option of the chip: crossbar.rows=256.")]
_Copies = Annotated[
    int | None, typer.Option(help="Most copies of weights used several times; else as the chip file says, or 1.")]
_DramTable = Annotated[list[str] | None, typer.Option(help="Keep this table in DRAM; may be repeated.")]
_ArrivalRate = Annotated[float | None, typer.Option(help="Inferences asked for per second.")]
_ExecutionOption = Annotated[str, typer.Option(help=f"{' or '.join(EXECUTIONS)}.")]
_Updates = Annotated[float, typer.Option(help="How often a day the model is written anew.")]
_GatingOption = Annotated[str, typer.Option(help=f"When the chip leaks: {' or '.join(GATINGS)}.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pimsim {version('nasrec')}\n")  # both packages come in one distribution
        raise typer.Exit


@app.callback()
def _any_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("presets")
def presets_command() -> None:
    """List the chips that are built in, with their figures and sources."""
    Console().print(presets_table())


@app.command("evaluate")
def evaluate_command(
    workload: _WorkloadFile,
    chip: _ChipName = "isaac",
    settings: _Settings = None,
    copies: _Copies = None,
    chips: _Chips = 1,
    dram: _Dram = False,
    dram_table: _DramTable = None,
    gating: _GatingOption = "idle_gated",
    arrival_rate: _ArrivalRate = None,
    execution: _ExecutionOption = "pipelined",
    updates_per_day: _Updates = 0.0,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="How sure the results are, by sampling.")] = False,
    samples: Annotated[int, typer.Option(help="Draws of all figures.")] = SAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Which draws.")] = 0,
    as_json: _Json = False,
) -> None:
    """Energy, latency and area of one inference of WORKLOAD on a chip, by operator and by component."""
    hardware = chip_named(chip, settings or ())
    how = _how(chip, settings, copies, chips, dram, dram_table, gating, arrival_rate, execution, updates_per_day)
    require_uncertainty(uncertainty, samples, seed)
    if uncertainty:
        sure = evaluate_uncertain(read_workload(workload), hardware, samples=samples, seed=seed, **how)
        _print({**sure.report.to_json(), "uncertainty": sure.to_json()} if as_json else uncertainty_tables(sure))
        return
    report = evaluate(read_workload(workload), hardware, **how)
    _print(report.to_json() if as_json else report_tables(report))


@app.command("explain")
def explain_command(
    workload: _WorkloadFile,
    chip: _ChipName = "isaac",
    settings: _Settings = None,
    copies: _Copies = None,
    chips: _Chips = 1,
    dram: _Dram = False,
    dram_table: _DramTable = None,
    gating: _GatingOption = "idle_gated",
    arrival_rate: _ArrivalRate = None,
    execution: _ExecutionOption = "pipelined",
    updates_per_day: _Updates = 0.0,
    as_json: _Json = False,
) -> None:
    """Where every joule, nanosecond and square millimetre of `evaluate` goes, and from which source it comes."""
    hardware = chip_named(chip, settings or ())
    how = _how(chip, settings, copies, chips, dram, dram_table, gating, arrival_rate, execution, updates_per_day)
    explanation = explain(read_workload(workload), hardware, **how)
    _print(explanation.to_json() if as_json else explanation_tables(explanation))


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
    if as_json and markdown:
        raise InputError("--json and --markdown: allowed: one of them")
    validation = validate()
    if as_json:
        points = [point.to_json() for point in validation.points]
        sys.stdout.write(json.dumps(points, indent=1, allow_nan=False) + "\n")
    elif markdown:
        sys.stdout.write(validation_markdown(validation))
    else:
        Console().print(validation_tables(validation))


def _how(chip: str, settings: list[str] | None, copies: int | None, chips: int, dram: bool,
         dram_table: list[str] | None, gating: str, arrival_rate: float | None, execution: str,
         updates_per_day: float) -> dict[str, Any]:
    """The settings of `evaluate` that options and the chip's file ask for."""
    placing = placing_named(chip, settings or ())
    if copies is not None:
        placing |= {"copies": copies, "budget_crossbars": None, "budget_area_m2": None}
    return {**placing, "chips": chips, "dram": dram, "dram_tables": dram_table or (), "gating": _gating(gating),
            "arrival_rate_hz": arrival_rate, "execution": _execution(execution), "updates_per_day": updates_per_day}


def _print(result: Any) -> None:
    """JSON of plain values, or tables."""
    if isinstance(result, dict):
        sys.stdout.write(json.dumps(result, indent=1, allow_nan=False) + "\n")
    else:
        Console().print(result)


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
