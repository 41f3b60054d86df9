"""Our DLRM and DeepFM beside the same models in FuxiCTR, DeepCTR-Torch and torch-rechub: rows a second, CPU.

`FUXICTR=… pytest benchmarks/test_baselines.py` leaves `baselines.json` in the folder of `--results`. Contestants take
turns in one process on the same rows. Hidden layers and embeddings are of the same sizes (`benchmarks.ctr_peers`).

A step of ours is the trainer's: forward, loss, backward, clipping, row-sparse Adagrad. A step of theirs is what their
`fit` does with the library's own inputs, made beforehand, without clipping, logging or penalties, by torch's dense
Adagrad or Adam, as `optimizer` says. Dense inputs are treated differently in DeepFM: ours and torch-rechub's enter the
deep part as they are, as DeepCTR-Torch's do; FuxiCTR gives each an embedding, which makes its deep part wider. Where
there are none (`movielens`) all are the same network, but for torch-rechub's batch normalisation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks import process
from benchmarks.ctr_peers import LIBRARIES, Peer, columns, versions
from benchmarks.networks import Rows, features, over
from nasrec.data.features import Features, Table
from nasrec.files import write_json
from nasrec.model.baselines import BASELINES

MOVIELENS = (6041, 3706, 3, 8, 22, 3420, 302, 82)  # rows of its tables; genres as combinations, for one id each
SHAPES = {"criteo": features(), "movielens": Features(0, tuple(Table(f"C{at}", n) for at, n in enumerate(MOVIELENS)))}
ROUNDS = {"train": 9, "infer": 15}


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """What this module measures, written at its end."""
    lines: list[dict[str, Any]] = []
    yield lines
    if lines:
        about: dict[str, Any] = {"command": " ".join(sys.argv[1:]), "machine": process.machine()}
        about["versions"] = {**process.versions(), **versions()}
        write_json(request.config.getoption("--results") / "baselines.json", {**about, "cases": lines})


def _ours(name: str, shape: Features, rows: tuple[Tensor, Tensor, Tensor], what: str) -> Callable[[], object]:
    dense, ids, labels = rows
    model = BASELINES[name](shape, generator=torch.Generator().manual_seed(0)).train(what == "train")

    def step() -> None:
        binary_cross_entropy_with_logits(model(dense, ids), labels).backward()
        model.adagrad_step(lr=1e-3)

    return step if what == "train" else lambda: _infer(model, (dense, ids))


def _theirs(peer: Peer, rows: tuple[Tensor, Tensor, Tensor], what: str, optimizer: str) -> Callable[[], object]:
    dense, ids, labels = rows
    inputs, weights = (peer.inputs(dense, columns(peer.features, ids, None)),), list(peer.parameters())
    peer.train(what == "train")
    moved = torch.optim.Adam(weights) if optimizer == "adam" else torch.optim.Adagrad(weights)

    def step() -> None:
        moved.zero_grad()
        binary_cross_entropy_with_logits(peer.logits(peer.network(*inputs)), labels).backward()
        moved.step()

    return step if what == "train" else lambda: _infer(peer.network, inputs)


@torch.no_grad()
def _infer(model: nn.Module, inputs: tuple[Any, ...]) -> object:
    return model(*inputs)


@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("name", ["dlrm", "deepfm"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("what,optimizer", [("train", "adagrad"), ("train", "adam"), ("infer", "adagrad")])
def test_baselines(
    what: str, optimizer: str, shape: str, name: str, size: int, threads: int, benchmark: Any, results: Any
) -> None:
    rows = Rows.drawn(size, SHAPES[shape]).tensors()
    found = {library: build(name, SHAPES[shape], 0) for library, build in LIBRARIES.items()}
    calls = {"ours": _ours(name, SHAPES[shape], rows, what)}
    calls |= {at: _theirs(peer, rows, what, optimizer) for at, peer in found.items() if isinstance(peer, Peer)}
    for call in calls.values():
        call()
    if not benchmark.disabled:
        line: dict[str, Any] = {"what": what, "model": name, "rows": shape, "batch": size, "threads": threads}
        line |= {"their_optimizer": optimizer} if what == "train" else {}
        measured = over([None], {at: (lambda _, call=call: call()) for at, call in calls.items()}, threads,  # type: ignore[list-item, misc]
                        dict.fromkeys(calls, ROUNDS[what]))  # fmt: skip
        line["waited"] = round(measured.pop("waited"), 3)
        line["rows_per_s"] = {at: round(size / seconds) for at, seconds in measured.items()}
        theirs = {at: seconds for at, seconds in measured.items() if at != "ours"}
        if theirs:
            line["fastest_peer"] = min(theirs, key=theirs.__getitem__)
            line["ratio"] = round(min(theirs.values()) / measured["ours"], 2)
        line["left_out"] = {at: peer for at, peer in found.items() if isinstance(peer, str)}
        results.append(line)
        benchmark.extra_info.update(line)
        sys.stdout.write("\n" + ", ".join(f"{key} {value}" for key, value in line.items()) + "\n")
    benchmark.pedantic(calls["ours"], rounds=1)
