"""The command `nasrec train`, the one that several processes do together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from nasrec.errors import InputError, Stopped

_output = Console(soft_wrap=True)


def train(
    model: Annotated[str, typer.Argument(help="an arch.json, supernet, dlrm, deepfm or logistic_regression")],
    data: Annotated[str, typer.Option(help="the folder that nasrec prepare wrote")],
    out: Annotated[Path, typer.Option(help="the folder of the training; called again, it goes on")],
    epochs: Annotated[int, typer.Option()] = 1,
    batch_size: Annotated[int, typer.Option(help="rows of a step, of all processes together")] = 512,
    learning_rate: Annotated[float, typer.Option()] = 0.12,
    patience: Annotated[int | None, typer.Option(help="epochs without a better validation loss to stop after")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    embedding_std: Annotated[
        float | None, typer.Option(help="tables start as normal draws of this deviation; else Xavier normal")
    ] = None,
    row_wise: Annotated[bool, typer.Option(help="row-wise Adagrad: a sum for each row of a table")] = False,
    space: Annotated[
        Literal["small", "full", "extended", "autoctr", "xlarge"], typer.Option(help="of a supernet")
    ] = "full",
    blocks: Annotated[int, typer.Option(min=1, max=7, help="of a supernet")] = 7,
    full_path_steps: Annotated[int, typer.Option(help="of a supernet: the path warm-up")] = 0,
    path_warmup: Annotated[
        str, typer.Option(help="of a supernet: what its steps train: full-path, per-block or any-path")
    ] = "full-path",
    sampling: Annotated[
        str, typer.Option(help="of a supernet: single-operator, single-path or any-path")
    ] = "single-operator",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Train one model at any scale; under torchrun, every batch is shared among its processes."""
    from dataclasses import replace

    from nasrec.data.prepared import Prepared
    from nasrec.distributed import joined_team
    from nasrec.space import SPACES
    from nasrec.train_options import TrainOptions
    from nasrec.train_run import train_model

    options = TrainOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        full_path_steps=full_path_steps,
        sampling=sampling,
        path_warmup=path_warmup,
    )
    rows = Prepared.open(Path(data.removeprefix("prepared:")))
    with joined_team(device) as team:
        chosen = replace(SPACES[space], blocks=blocks)
        try:
            found = train_model(
                model,
                rows,
                out,
                options,
                space=chosen,
                embedding_std=embedding_std,
                row_wise=row_wise,
                device=device,
            )
        except KeyboardInterrupt:
            raise Stopped("stopped; the same command goes on from its last checkpoint", 130) from None
        if not team.leads:
            return
        if found["test"] is None:
            _output.print(f"{out}: training log loss {found['log']['losses'][-1][1]:.5f}", highlight=False)
            return
        area = found["test"]["auc"]
        _output.print(
            f"{out}: test log loss {found['test']['log_loss']:.5f}, "
            f"AUC {'undefined' if area is None else f'{area:.5f}'}",
            highlight=False,
        )


def refuse_team(command: str) -> None:
    """Raise InputError where `torchrun` started several processes of a command that only one can do."""
    if command != "train" and "MASTER_ADDR" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"nasrec {command} runs in one process (and starts workers of its own): "
            "of what torchrun starts, only nasrec train makes use"
        )


def process_of_team() -> str:
    """How messages name this process where `torchrun` started several; else nothing."""
    return f" (process {os.environ.get('RANK')})" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
