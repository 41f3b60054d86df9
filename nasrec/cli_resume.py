"""What may stand beside `--resume`: little, as a run goes on with what it began with."""

from __future__ import annotations

import typer

from nasrec.errors import InputError


def refuse_beside_resume(context: typer.Context, *allowed: str) -> None:
    """Raise InputError naming the first option on the command line that a resumed run would not heed."""
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in ("resume", *allowed) or source is None or source.name != "COMMANDLINE":
            continue
        raise InputError(
            f"{parameter.opts[0]} stands beside --resume, whose run goes on with what it began with: "
            f"allowed beside it: {', '.join(f'--{other}' for other in allowed)}"
        )
