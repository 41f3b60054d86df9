"""The commands on architectures: `nasrec arch show | import | export | draw | space`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from nasrec.errors import InputError

if TYPE_CHECKING:
    from nasrec.arch_file import ArchFile
    from nasrec.data.features import Features
    from nasrec.hardware.counts import Counts

arch_app = typer.Typer(
    help="Architectures: count them, draw them, read and write those of the official NASRec code.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_output = Console(soft_wrap=True)

_File = Annotated[Path, typer.Argument(help="official JSON, or arch.json")]
_Space = Annotated[str | None, typer.Option(help="small (autoctr) or full (xlarge); else as the file says")]


@arch_app.command()
def show(
    file: _File,
    space: _Space = None,
    dense: Annotated[int | None, typer.Option(min=0, help="dense inputs (Criteo 13); else the file's own")] = None,
    sparse: Annotated[int | None, typer.Option(min=0, help="categories (Criteo 26); else the file's own")] = None,
    rows: Annotated[str | None, typer.Option(help="rows of every table, or one number each: 10,20,...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print whole numbers as JSON")] = False,
) -> None:
    """Multiply-accumulates and parameters of an architecture, all and without its dead parts, block by block."""
    from nasrec.arch_file import read_arch
    from nasrec.hardware.counts import counts_of

    found = read_arch(file, space)
    features = _features(found, dense, sparse, rows, file)
    counts = counts_of(found.arch, features)
    known = rows is not None or (found.features is not None and sparse is None)
    if as_json:
        facts = {"space": found.space, "blocks": len(found.arch.blocks)}
        sizes = {"dense": features.dense, "sparse": len(features.tables)}
        unknown = {} if known else {"embedding_parameters": None}
        typer.echo(json.dumps({**facts, **sizes, **counts.to_json(), **unknown}, indent=1))
        return
    _output.print(_table(found, counts))
    line = (
        f"{counts.macs:,} MACs a sample, {counts.product_macs:,} of them products of activations; "
        f"{counts.dense_parameters:,} dense parameters, {counts.live_dense_parameters:,} live; "
        f"{counts.live_blocks} of {len(found.arch.blocks)} blocks live"
    )
    tables = f"; {counts.embedding_parameters:,} parameters in {len(features.tables)} tables" if known else ""
    _output.print(line + tables, highlight=False)


@arch_app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="official JSON")],
    out: Annotated[Path, typer.Option(help="the arch.json to write")],
    space: _Space = None,
) -> None:
    """Turn an official JSON into an arch.json."""
    from nasrec.arch_file import read_arch, write_arch

    found = read_arch(file, space)
    if not found.official:
        raise InputError(f"{file}: is an arch.json already: expected an official JSON (fields 'micro' and 'macro')")
    write_arch(out, found.arch)


@arch_app.command()
def export(
    file: Annotated[Path, typer.Argument(help="arch.json")],
    out: Annotated[Path, typer.Option(help="the official JSON to write")],
    space: Annotated[str, typer.Option(help="small (autoctr) or full (xlarge)")] = "full",
) -> None:
    """Turn an arch.json into an official JSON; bits have no place there and are dropped."""
    from nasrec.arch_file import read_arch
    from nasrec.files import write_json
    from nasrec.official import official_from_arch

    write_json(out, official_from_arch(read_arch(file, space).arch, space))


@arch_app.command()
def draw(
    file: _File,
    out: Annotated[Path, typer.Option(help="the picture to write, .png or .svg")],
    space: _Space = None,
) -> None:
    """Draw an architecture; what nobody reads is grey."""
    from nasrec.arch_file import read_arch

    if out.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--out is {out}: allowed are names that end in .png or .svg")
    found = read_arch(file, space)
    from nasrec.report.drawing import save_architecture  # after what may fail: it loads for seconds

    save_architecture(found.arch, out)


@arch_app.command("space")
def space_command(
    space: Annotated[str, typer.Option(help="small (autoctr), full (xlarge) or extended")] = "full",
    blocks: Annotated[int, typer.Option(min=1, help="blocks in a row")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="print whole numbers as JSON")] = False,
) -> None:
    """Count the architectures of a search space, one operator a branch and at most four connections."""
    from dataclasses import replace

    from nasrec.space import SPACES

    if space not in SPACES:
        raise InputError(f"--space is {space!r}: allowed are {', '.join(SPACES)}")
    found = replace(SPACES[space], blocks=blocks)
    if as_json:
        typer.echo(json.dumps({"space": found.name, "blocks": blocks, "architectures": found.count}, indent=1))
        return
    table = Table("choice of a block", "values")
    table.add_row("dense operator", ", ".join(found.dense_ops))
    table.add_row("sparse operator", ", ".join(found.sparse_ops))
    table.add_row("dense width", ", ".join(map(str, found.dense_widths)))
    table.add_row("sparse width (rows of 16)", ", ".join(map(str, found.sparse_widths)))
    table.add_row("mergers", "DSI on or off, FM on or off")
    table.add_row("sets of inputs, block by block", ", ".join(f"{len(found.input_sets(i)):,}" for i in range(blocks)))
    _output.print(table)
    _output.print(f"{found.count:.1e} architectures of {blocks} blocks in space {found.name}", highlight=False)


def _features(found: ArchFile, dense: int | None, sparse: int | None, rows: str | None, file: Path) -> Features:
    """The inputs that the options and the file describe; tables of unknown rows get one."""
    from nasrec.data import features

    own = found.features
    for name, value in (("--dense", dense), ("--sparse", sparse)):
        if value is None and own is None:
            raise InputError(f"{file}: does not say what the model reads: give {name} (Criteo: --dense 13 --sparse 26)")
    width = dense if dense is not None or own is None else own.dense
    if own is not None and sparse is None and rows is None:
        return features.Features(width or 0, own.tables)
    count = sparse if sparse is not None or own is None else len(own.tables)
    assert width is not None and count is not None
    given = _numbers(rows or "1")
    if len(given) not in (1, count):
        raise InputError(f"--rows names {len(given)} tables: one number or {count} are needed")
    each = given * count if len(given) == 1 else given
    return features.Features(width, tuple(features.Table(f"C{index + 1}", each[index]) for index in range(count)))


def _numbers(text: str) -> list[int]:
    """The whole numbers from 1 of a list with commas."""
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise InputError(f"--rows holds {part!r}: allowed are whole numbers from 1, with commas between them")
    return [int(part) for part in parts]


def _table(found: ArchFile, counts: Counts) -> Table:
    """One row a block and one for the head; what is dead stands in brackets."""
    from nasrec.liveness import PAIRED, live_blocks

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("block", "dense ← inputs", "sparse ← inputs", "mergers"):
        table.add_column(name, no_wrap=True)
    for name in ("MACs", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    for block, live, part in zip(found.arch.blocks, live_blocks(found.arch), counts.parts, strict=False):
        reads = [*map(str, block.dense_inputs)] if set(block.dense_ops) - PAIRED else []
        reads += [f"{block.left}|{block.right}"] if PAIRED & set(block.dense_ops) else []
        dense = f"{'+'.join(block.dense_ops)} {block.dense_width} ← {' '.join(reads)}"
        sparse = f"{'+'.join(block.sparse_ops)} {block.sparse_width} ← {' '.join(map(str, block.sparse_inputs))}"
        mergers = [
            _bracketed(name, running)
            for name, on, running in (("DSI", block.dsi, live.dsi), ("FM", block.fm, live.fm))
            if on
        ]
        table.add_row(
            part.name,
            _bracketed(dense, live.dense),
            _bracketed(sparse, live.sparse),
            " ".join(mergers),
            f"{part.macs:,}",
            _bracketed(f"{part.parameters:,}", part.parameters == part.live_parameters),
            style=None if part.live else "dim",
        )
    head = counts.parts[-1]
    table.add_row(head.name, "", "", "", f"{head.macs:,}", f"{head.parameters:,}")
    return table


def _bracketed(text: str, live: bool) -> str:
    return text if live else f"({text})"
