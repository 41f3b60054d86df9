"""What may not stand beside `--resume` and `--truth`: what comes from the run or study that they name."""

from __future__ import annotations

import typer

from nasrec.errors import InputError


def refuse_beside_resume(context: typer.Context, *allowed: str) -> None:
    """Raise InputError naming the first option on the command line that a resumed run would not heed."""
    for parameter in context.command.params:
        if str(parameter.name) not in ("resume", *allowed) and _was_given(context, str(parameter.name)):
            raise InputError(
                f"{parameter.opts[0]} stands beside --resume, whose run goes on with what it began with: "
                f"allowed beside it: {', '.join(f'--{other}' for other in allowed)}"
            )


def refuse_beside_truth(context: typer.Context) -> None:
    """Raise InputError for an option on the command line that the study named by `--truth` decides."""
    for name in ("data", "seed", "subnets"):
        if _was_given(context, name):
            raise InputError(f"--{name} stands beside --truth, whose study decides it: leave it out")


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
