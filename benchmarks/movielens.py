"""Hand-made and searched models on MovieLens-1M, or any prepared data: an equal tuning budget, paired differences.

    nasrec prepare table movielens1m.toml prepared
    FUXICTR=/path/to/FuxiCTR python -m benchmarks.movielens models --data prepared --work trainings --out results.json
    python -m benchmarks.movielens models --data prepared --work trainings --out results.json --searched winners/
    python -m benchmarks.movielens table results.json
    python -m benchmarks.movielens searches runs/evolution-0 runs/random-0 --out searches.json --winners winners

Each model is trained once with every point of the grid (optimiser and learning rate x epochs of the schedule), then
with five other seeds at the point whose best epoch had the lowest validation log loss. Nothing is chosen by test rows.
A training is a line of `trainings/trainings.jsonl` and a file of test logits: what is there is not trained again, so a
run that was stopped goes on. `results.json` sums up the models that were asked for: hand-made ones, and a group for
every `--searched`, say the winners of three searches beside those of three random ones.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks import ctr_peers, process
from benchmarks.contestants import MODELS, build_searched, hand_made, macs, searched
from benchmarks.movielens_searches import by_operator, search_facts
from benchmarks.movielens_table import HAND_MADE, grouped, print_table, summarise
from benchmarks.trainings import Entrant, Point, Trainings, tuned
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError
from nasrec.files import read_json, write_json
from nasrec.nas.summary import SUMMARY_FORMAT
from nasrec.train_options import TrainOptions

RATES = (
    *(("adagrad", rate) for rate in (0.1, 0.25, 0.6, 1.5, 4.0)),
    *(("adam", rate) for rate in (1e-3, 2.5e-3, 6e-3, 1.5e-2, 4e-2)),
)
EPOCHS = (3, 5)  # until the rate has fallen to nothing; training may stop before
SEEDS = (1, 2, 3, 4, 5)  # the grid is trained with another
RECIPE = TrainOptions(batch_size=512, patience=2)
GRID = tuple(Point(optimizer, rate, epochs) for optimizer, rate in RATES for epochs in EPOCHS)

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def models(
    data: Annotated[Path, typer.Option(help="folder of `nasrec prepare`")],
    work: Annotated[Path, typer.Option(help="folder of trainings; what is there is not trained again")],
    out: Annotated[Path, typer.Option(help="results, as JSON")],
    model: Annotated[
        list[str] | None, typer.Option(help="only these: NAME or LIBRARY/NAME; default: all eight")
    ] = None,
    searched_at: Annotated[
        list[Path] | None, typer.Option("--searched", help="architectures, JSON or a folder of it: a group by its name")
    ] = None,
    only_searched: Annotated[bool, typer.Option("--only-searched", help="without hand-made models")] = False,
    seeds: Annotated[int, typer.Option(min=1, max=5, help="trainings at the best point of the grid")] = 5,
) -> None:
    """Train what is missing, write `out`, print the table."""
    torch.set_num_threads(1)
    prepared = Prepared.open(data)
    if only_searched and (model or not searched_at):
        raise InputError("--only-searched goes with --searched, and without --model")
    names = [] if only_searched else model or MODELS
    entrants = [entrant for name in names if (entrant := _hand_made(name)) is not None]
    groups = [path.stem for path in searched_at or ()]
    if len(set(groups)) < len(groups):
        raise InputError(f"--searched: {', '.join(groups)}: every group needs a name of its own")
    for path in searched_at or ():
        entrants += [
            Entrant(f"{path.stem}:{name}", "nasrec", build_searched(arch), path.stem, arch.to_json())
            for name, arch in searched(path).items()
        ]
    trainings = Trainings(work, prepared, RECIPE)
    found = []
    for entrant in entrants:
        result = tuned(trainings, entrant, GRID, SEEDS[:seeds])
        network = entrant.build(prepared.features, 0)
        result["parameters"] = sum(weight.numel() for weight in network.parameters())
        result["macs"] = macs(network, prepared.features)
        logits = [trainings.logits(record) for record in result["seeds"]]
        found.append((result, np.stack(logits)))
        summary = summarise(found, prepared.split("test").labels)
        about = {
            "rows": prepared.split_rows,
            "split_seed": prepared.seed,
            "grid": [asdict(point) for point in GRID],
            "recipe": RECIPE.to_json(),
        }
        about |= {"machine": process.machine(), "versions": {**process.versions(), **ctr_peers.versions()}}
        write_json(out, {"command": " ".join(sys.argv[1:]), **about, "models": summary, "groups": grouped(summary)})
    print_table(read_json(out))


@app.command()
def table(results: Path) -> None:
    """Print the table of results that `models` wrote."""
    print_table(read_json(results))


@app.command()
def searches(
    runs: Annotated[list[Path], typer.Argument(help="folders of finished `nasrec search` runs")],
    out: Annotated[Path, typer.Option(help="what they tried, found and took, as JSON")],
    winners: Annotated[Path, typer.Option(help="folder for their architectures, one below it for each strategy")],
) -> None:
    """Collect searches in `out` and say what they tried, and what it took; write winning architectures for `models`.

    Minutes are from the start of a run to its summary, whether or not it was working all the time.
    """
    found = []
    for run in runs:
        summary = read_json(run / "summary.json", format=SUMMARY_FORMAT)
        one = search_facts(summary)
        one["minutes"] = ((run / "summary.json").stat().st_mtime - (run / "run.json").stat().st_mtime) / 60
        found.append(one)
        origins = "; ".join(f"{line['count']} {name} {line['mean']:.4f}" for name, line in one["origins"].items())
        typer.echo(f"{one['strategy']}, seed {one['seed']}: {one['minutes']:.1f} min; mean log loss of {origins}")
    archs = {winners / one["strategy"] / f"seed{one['seed']}.json": one["winner"]["arch"] for one in found}
    if len(archs) < len(found):
        raise InputError(f"{len(found)} searches, but {len(archs)} strategies and seeds: a winner would be lost")
    if winners.exists() and any(winners.iterdir()):
        raise InputError(f"{winners}: not empty; winners of other searches would be mixed with these")
    for path, arch in archs.items():
        write_json(path, arch)
    operators = by_operator([finalist for one in found for finalist in one["finalists"]])
    for name, line in operators.items():
        losses = f"log loss {line['mean']:.4f} on average, {line['least']:.4f} at best"
        typer.echo(f"{name}: {losses}, {line['wall_s']:.1f} s a training ({line['count']})")
    facts = {"machine": process.machine(), "operators": operators, "searches": found}
    write_json(out, {"command": " ".join(sys.argv[1:]), **facts})


def _hand_made(name: str) -> Entrant | None:
    library, _, plain = name.rpartition("/")
    found = hand_made(plain, library or None)
    if isinstance(found, str):
        sys.stderr.write(f"left out, {name}: {found}\n")
        return None
    return Entrant(name, found[0], found[1], HAND_MADE)


if __name__ == "__main__":
    app()
