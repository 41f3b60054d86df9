"""The rank study: does a supernet order random architectures as training them from scratch does?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

from nasrec.arch import Arch
from nasrec.data.prepared import Prepared
from nasrec.files import remove_leftovers, write_json
from nasrec.nas.rank_options import RankOptions
from nasrec.nas.rank_picture import save_rank_picture
from nasrec.nas.rank_summary import RANK_FORMAT, correlations, noise, subnet_rows
from nasrec.nas.rank_truth import draw, train_from_scratch
from nasrec.nas.score import ArchScorer
from nasrec.nas.supernet import load_nas_supernet, remove_training_state, train_nas_supernet
from nasrec.progress import stage
from nasrec.run import RunOf
from nasrec.run_data import described, prepared_data

Part = Literal["all", "truth", "scores", "report"]
PARTS: tuple[Part, ...] = get_args(Part)
RANK_JSON = "rank.json"
RANK_PNG = "rank.png"

_Key = TypeVar("_Key")


class RankRun(RunOf[RankOptions]):
    """The folder of a rank study; every subnet's training and every score is a stage of its own."""

    FORMAT: ClassVar[str] = "nasrec.rank_run"
    VERSION: ClassVar[int] = 2  # 1: one supernet of each strategy, whose stages had no seed in their names

    @classmethod
    def kind(cls) -> type[RankOptions]:
        """The options of `nasrec rank`."""
        return RankOptions


def rank(run: RankRun, part: Part = "all") -> dict[str, Any]:
    """Do what is not done yet of a rank study and write `rank.json` and `rank.png`; the content of `rank.json`.

    A study with `truth_from` trains nothing from scratch. `part` leaves out the rest: "truth" trains the subnets from
    scratch, "scores" trains the supernets and scores the subnets with them, "report" only sums up what is finished; two
    processes may do the two parts of one study side by side. Killed at any moment and called again, a study goes on
    with the first subnet that is not finished.
    """
    remove_leftovers(run.folder)
    data = prepared_data(run)
    if part in ("all", "truth") and run.options.truth_from is None:
        run.stages(
            {
                _truth_stage(*training): partial(_train_from_scratch, run, *training)
                for training in run.options.truth.trainings(run.options.subnets)
            }
        )
    if part in ("all", "scores"):
        supernets = [(name, seed) for seed in run.options.supernet_seeds for name in run.options.strategies]
        run.stages({_supernet_stage(*one): partial(_train_supernet, run, *one) for one in supernets})
        run.stages({f"scores-{name}-{seed}": partial(_score, run, name, seed) for name, seed in supernets})
    summary = _summarise(run, data)
    write_json(run.folder / RANK_JSON, summary)
    save_rank_picture(summary, run.folder / RANK_PNG)
    return summary


def _truth_stage(number: int, seed: int, rate: float) -> str:
    return f"truth-{number:03d}-{seed}-{rate}"


def _supernet_stage(strategy: str, seed: int) -> str:
    return f"supernet-{strategy}-{seed}"


def _score_stage(number: int, strategy: str, seed: int) -> str:
    return f"score-{strategy}-{seed}-{number:03d}"


def _train_from_scratch(run: RankRun, number: int, seed: int, rate: float) -> dict[str, Any]:
    options = run.options
    arch = draw(options.space.space(), options.seed, number)
    with stage(f"subnet {number}, seed {seed}, learning rate {rate}: training", unit="rows") as progress:
        truth = options.truth
        found = train_from_scratch(
            arch,
            prepared_data(run),
            truth.train_options(seed, rate),
            embedding_std=truth.embedding_std,
            progress=progress,
        )
        progress.note("diverged" if found["log_loss"] is None else f"validation log loss {found['log_loss']:.4f}")
    return found


def _train_supernet(run: RankRun, strategy: str, seed: int) -> dict[str, Any]:
    folder = _supernet_folder(run, strategy, seed)
    title = f"supernet, {strategy}, seed {seed}"
    return train_nas_supernet(folder, prepared_data(run), run.options.search(strategy, seed), title).to_json()


def _supernet_folder(run: RankRun, strategy: str, seed: int) -> Path:
    return run.folder / "supernets" / f"{strategy}-{seed}"


def _score(run: RankRun, strategy: str, seed: int) -> int:
    """Score every subnet with one supernet, each a stage of its own; the number of subnets."""
    options, data = run.options, prepared_data(run)
    folder = _supernet_folder(run, strategy, seed)
    remove_training_state(folder)
    search = options.search(strategy, seed)
    score = ArchScorer(
        load_nas_supernet(folder, data.features, search), data.split("train"), data.split("validation"), search.score
    )
    with stage(f"scoring, {strategy}, seed {seed}", total=options.subnets, unit="subnets") as progress:
        for number in range(options.subnets):
            arch = draw(options.space.space(), options.seed, number)
            run.stage(_score_stage(number, strategy, seed), partial(_one_shot, score, arch))
            progress(number + 1)
    return options.subnets


def _one_shot(score: ArchScorer, arch: Arch) -> dict[str, float | None]:
    found = score(arch)
    return {
        "before": found.log_loss_before if math.isfinite(found.log_loss_before) else None,
        "after": found.log_loss if math.isfinite(found.log_loss) else None,
        "auc": found.auc,
    }


def _summarise(run: RankRun, data: Prepared) -> dict[str, Any]:
    """The content of `rank.json`, from the stages that are done."""
    options = run.options
    numbers = range(options.subnets)
    trained = run if options.truth_from is None else RankRun.open(Path(options.truth_from))
    from_scratch = {one: _truth_stage(*one) for one in options.truth.trainings(options.subnets)}
    truths = _finished(trained, from_scratch)
    scores: dict[str, dict[int, dict[int, Any]]] = {
        name: {
            seed: _finished(run, {number: _score_stage(number, name, seed) for number in numbers})
            for seed in options.supernet_seeds
        }
        for name in options.strategies
    }
    rows = subnet_rows(truths, scores)
    seconds = {**trained.wall_s(), **run.wall_s()}

    def spent(stages: Iterable[str]) -> float:
        return round(sum(seconds.get(name, 0.0) for name in stages), 3)

    return {
        "format": RANK_FORMAT,
        "version": 1,
        "data": described(run, data),
        "options": options.model_dump(mode="json"),
        "diverged": sorted({number for number, _, _ in truths} - {row["subnet"] for row in rows}),
        "truth": {
            **noise(rows, resamples=options.resamples, seed=options.seed),
            "wall_s": spent(from_scratch.values()),
        },
        "strategies": {
            name: {
                **correlations(rows, name, resamples=options.resamples, seed=options.seed),
                "by_supernet": {
                    str(seed): correlations(rows, name, seed, resamples=options.resamples, seed=options.seed)
                    for seed in options.supernet_seeds
                },
                "supernet_s": spent(_supernet_stage(name, seed) for seed in options.supernet_seeds),
                "scores_s": spent(_score_stage(n, name, seed) for n in numbers for seed in options.supernet_seeds),
            }
            for name in options.strategies
            if any(row["one_shot"].get(name) for row in rows)
        },
        "subnets": rows,
    }


def _finished(run: RankRun, stages: Mapping[_Key, str]) -> dict[_Key, Any]:
    return {key: run.stage(name, dict) for key, name in stages.items() if run.done(name)}
