"""The winners of a search: picked from its front, and kept as four files each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from nasrec.arch import FLOAT, Arch, Candidate
from nasrec.arch_file import ARCH_FORMAT, write_arch
from nasrec.checkpoint import load_checkpoint, save_weights
from nasrec.data.features import Features
from nasrec.files import read_json, write_json, write_text
from nasrec.hardware import chip_to_toml, choice_from_toml, workload_of
from nasrec.liveness import network
from nasrec.model.subnet import Subnet
from nasrec.search.objectives import front, hypervolume, knee

WINNERS = 3


def pick_finalists(trials: Sequence[dict[str, Any]], reference: Sequence[float], count: int) -> list[Candidate]:
    """At most `count` candidates of a search to retrain: by turns the least log losses, and its front in few points.

    Retraining ranks better than inherited weights do, so of the log losses each live network (bits aside) comes in only
    once before any comes twice; with the same bits none does, as a finalist meets every chip. The front begins with the
    least log loss and goes on with whichever adds the most to the hypervolume below `reference` of those before:
    inherited weights do not tell networks apart whose log losses nearly agree, but costs are known.
    """
    pool = _useful(trials, reference)
    values = [trial["values"] for trial in pool]
    candidates = [Candidate.from_json(trial["candidate"]) for trial in pool]
    by_loss = sorted(range(len(pool)), key=lambda index: (values[index][0], math.prod(values[index][1:])))
    networks: set[Arch] = set()
    fresh: list[int] = []
    again: list[int] = []
    for index in by_loss:
        trained = network(candidates[index].arch.with_precision(FLOAT))
        (again if trained in networks else fresh).append(index)
        networks.add(trained)
    chosen: dict[Arch, Candidate] = {}
    pairs = zip_longest((*fresh, *again), _spread(values, by_loss[0], reference))
    for index in (one for pair in pairs for one in pair if one is not None):
        chosen.setdefault(network(candidates[index].arch), candidates[index])
        if len(chosen) == count:
            break
    return list(chosen.values())


def _spread(values: Sequence[Sequence[float]], first: int, reference: Sequence[float]) -> Iterator[int]:
    """`first` and then the members of the front, each the one that adds the most hypervolume to those before it."""
    yield first
    order, rest = [first], [index for index in front(values) if index != first]
    volume = hypervolume([values[first]], reference)
    while rest:
        volumes = [hypervolume([values[one] for one in (*order, index)], reference) for index in rest]
        most = max(range(len(rest)), key=volumes.__getitem__)
        if volumes[most] <= volume:
            break
        volume = volumes[most]
        order.append(rest.pop(most))
        yield order[-1]


def pick_winners(
    trials: Sequence[dict[str, Any]], reference: Sequence[float], rivals: Sequence[float] = ()
) -> list[tuple[str, int]]:
    """The knee of the front, its least log loss, and its least energy at no more log loss than the best rival's.

    Names and indices of different trials. `rivals` are log losses: those that none but the least log loss reaches do
    not count, and without any the least energy of all wins. Of equally low log losses the one with the least product of
    energy, latency and area comes first. A place that is taken already goes to the next best by log loss or energy.
    """
    pool: list[dict[str, Any]] = []
    for trial in _useful(trials, reference):
        if trial["candidate"] not in [other["candidate"] for other in pool]:
            pool.append(trial)
    values = [trial["values"] for trial in pool]
    members = front(values)
    rest = [index for index in range(len(pool)) if index not in members]
    middle = members[knee([values[index] for index in members])]

    def by_log_loss(index: int) -> tuple[float, float]:
        return values[index][0], math.prod(values[index][1:])

    best = min(members, key=by_log_loss)  # the first to be chosen
    others = [value[0] for index, value in enumerate(values) if index != best]
    limit = min((rival for rival in rivals if any(loss <= rival for loss in others)), default=math.inf)

    def by_energy(index: int) -> tuple[bool, float]:
        return values[index][0] > limit, values[index][1]

    def ordered(key: Callable[[int], Any]) -> list[int]:
        return [*sorted(members, key=key), *sorted(rest, key=key)]

    chosen: dict[str, int] = {}
    orders = (
        ("log_loss", ordered(by_log_loss)),
        ("energy", ordered(by_energy)),
        ("knee", [middle, *ordered(by_log_loss)]),
    )
    for name, order in orders:
        free = [index for index in order if index not in chosen.values()]
        if free:
            chosen[name] = free[0]
    return [(name, trials.index(pool[chosen[name]])) for name in ("knee", "log_loss", "energy") if name in chosen]


def _useful(trials: Sequence[dict[str, Any]], reference: Sequence[float]) -> list[dict[str, Any]]:
    """The feasible trials better than `reference` in every objective: the cheapest chip of all computes nothing useful.

    Where they are fewer than `WINNERS`, the lowest log losses among the other trials make up the number.
    """
    feasible = [trial for trial in trials if trial["feasible"]] or list(trials)
    useful = [trial for trial in feasible if all(v < r for v, r in zip(trial["values"], reference, strict=True))]
    others = sorted((trial for trial in feasible if trial not in useful), key=lambda trial: float(trial["values"][0]))
    return useful + others[: max(0, WINNERS - len(useful))]


def write_winner(folder: Path, candidate: Candidate, features: Features, model: Subnet) -> None:
    """Write `arch.json`, `chip.toml`, `workload.json` and `weights.safetensors` into `folder`, each whole or not."""
    write_arch(folder / "arch.json", candidate.arch, features)
    write_text(folder / "chip.toml", chip_to_toml(candidate.chip))
    write_json(folder / "workload.json", workload_of(candidate.arch, features).to_json())
    save_weights(folder / "weights.safetensors", model)


def read_winner(folder: Path) -> tuple[Candidate, Features, dict[str, torch.Tensor]]:
    """Read back what `write_winner` wrote; raises InputError naming the file that is missing or damaged."""
    file = folder / "arch.json"
    found = read_json(file, format=ARCH_FORMAT)
    features = Features.from_json(found.pop("features", {}), f"{file}: features")
    candidate = Candidate(Arch.from_json(found, str(file)), choice_from_toml(folder / "chip.toml"))
    return candidate, features, load_checkpoint(folder / "weights.safetensors").tensors
