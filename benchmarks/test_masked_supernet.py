"""Supernet steps, scoring, and a published architecture, beside the arithmetic of the official code.

`pytest benchmarks/test_masked_supernet.py --benchmark-json FILE`; what counts stands in `extra_info`: ratio, operations
a second against the machine's peak, peak memory. Contestants take turns in one process on the same architectures.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.masked_supernet import DenseTrainer, MaskedSupernet
from benchmarks.networks import BATCH, Rows, architectures, features, flops, over, resident_bytes, told
from benchmarks.published import CRITEO_FULL
from nasrec.arch import Arch
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.nas.presets import PAPER
from nasrec.options import ScoreOptions
from nasrec.predict import predict
from nasrec.score import SCORE_BATCH, tune_head
from nasrec.space import FULL
from nasrec.train import TrainOptions, train_subnet

ARCHS = 8
FINE_TUNE_BATCHES = 4  # of the masked network, scaled up: all of them would take an hour


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(FULL, features(), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def masked() -> MaskedSupernet:
    return MaskedSupernet(FULL, features())


def _tell(benchmark: Any, line: dict[str, Any], work: Any) -> None:
    benchmark.extra_info.update(line)
    sys.stdout.write("\n" + ", ".join(f"{key} {value}" for key, value in line.items()) + "\n")
    benchmark.pedantic(work, rounds=1)


@pytest.mark.parametrize("kind", ["single-operator", "any-path", "full-path"])
def test_step(kind: str, supernet: Supernet, masked: MaskedSupernet, threads: int, benchmark: Any) -> None:
    dense, ids, labels = Rows.drawn(BATCH, features()).tensors()
    trainer, archs, whole = DenseTrainer(masked), architectures(kind, ARCHS), kind == "full-path"

    def ours(arch: Arch) -> None:
        loss = binary_cross_entropy_with_logits(supernet.train()(arch, dense, ids), labels)
        loss.item()
        loss.backward()
        supernet.adagrad_step(lr=1e-3)

    def theirs(arch: Arch) -> None:
        trainer.step(arch, dense, ids, labels, whole=whole)

    if benchmark.disabled:
        ours(archs[0])
        return
    found = over(archs, {"ours": ours, "masked": theirs}, threads, {"ours": 3, "masked": 1})
    _tell(benchmark, {"kind": kind, **told(found, threads, flops(archs, ours), flops(archs, theirs))},
          lambda: ours(archs[0]))  # fmt: skip


def test_step_of_tables(threads: int, benchmark: Any) -> None:
    """What five times the rows cost a step: two supernets that differ in their tables only."""
    archs, steps = architectures("single-operator", 2 if benchmark.disabled else ARCHS), {}
    for name, rows in (("100k", 100_000), ("500k", 500_000)):
        net = Supernet(FULL, features(rows), generator=torch.Generator().manual_seed(0))
        batch = Rows.drawn(BATCH, features(rows)).tensors()

        def step(arch: Arch, net: Supernet = net, batch: Any = batch) -> None:
            binary_cross_entropy_with_logits(net(arch, batch[0], batch[1]), batch[2]).backward()
            net.adagrad_step(lr=1e-3)

        steps[name] = step
    found = over(archs, steps, threads, {"100k": 3, "500k": 3})
    line = {f"{name}_ms": round(found[name] * 1e3, 2) for name in steps}
    line |= {"threads": threads, "waited": round(found["waited"], 3), "ratio": found["500k"] / found["100k"]}
    _tell(benchmark, line, lambda: steps["500k"](archs[0]))


@pytest.mark.parametrize("size", [BATCH, 8192])  # 8192 is what the official search scores with
def test_score(size: int, supernet: Supernet, masked: MaskedSupernet, threads: int, benchmark: Any) -> None:
    """Rows a second of candidates inside the supernet, cutting out the slices and reading included for ours."""
    rows, archs = Rows.drawn(8192, features()), architectures("single-operator", ARCHS)
    dense, ids, _ = (part[:size] for part in rows.tensors())

    def ours(arch: Arch) -> None:
        predict(supernet.extract(arch), rows, SCORE_BATCH)  # type: ignore[arg-type]

    @torch.no_grad()
    def theirs(arch: Arch) -> None:
        masked.eval()(arch, dense, ids)

    if benchmark.disabled:
        ours(archs[0])
        return
    if size > BATCH:
        archs = archs[::3]  # the masked network takes half a minute for each
    found = over(archs, {"ours": ours, "masked": theirs}, threads, {"ours": 2, "masked": 1})
    line = {"size": size, **told(found, threads, flops(archs, ours), flops(archs, theirs))}
    rates = {"ours": len(rows) / found["ours"], "masked": size / found["masked"]}
    line |= {f"{name}_rows_per_s": round(rate) for name, rate in rates.items()}
    _tell(benchmark, {**line, "ratio": round(rates["ours"] / rates["masked"], 2)}, lambda: ours(archs[0]))


def test_fine_tune(supernet: Supernet, masked: MaskedSupernet, threads: int, benchmark: Any) -> None:
    """500 steps of the last layer: on features computed once, and through the whole masked network at every step."""
    _fine_tune(ScoreOptions(fine_tune_steps=500), supernet, masked, threads, benchmark)


def test_fine_tune_as_preset(supernet: Supernet, masked: MaskedSupernet, threads: int, benchmark: Any) -> None:
    """The same on four times as many rows, those of the preset `paper`."""
    assert PAPER.score.fine_tune_steps == 500
    _fine_tune(PAPER.score, supernet, masked, threads, benchmark)


def _fine_tune(options: ScoreOptions, supernet: Supernet, masked: MaskedSupernet, threads: int, benchmark: Any) -> None:
    archs = architectures("single-operator", 4)
    rows = Rows.drawn(options.fine_tune_rows, features())
    dense, ids, labels = (part[:BATCH] for part in rows.tensors())
    head = torch.optim.Adagrad(masked.head.parameters(), lr=0.04, eps=1e-2)

    def ours(arch: Arch) -> None:
        tune_head(supernet.extract(arch).eval(), rows, options)  # type: ignore[arg-type]

    def theirs(arch: Arch) -> None:
        for name, parameter in masked.named_parameters():
            parameter.requires_grad_(name.startswith("head."))
        for _ in range(FINE_TUNE_BATCHES):
            head.zero_grad()
            binary_cross_entropy_with_logits(masked.train()(arch, dense, ids), labels).backward()
            head.step()
        masked.requires_grad_(True)

    if benchmark.disabled:
        ours(archs[0])
        return
    found = over(archs, {"ours": ours, "masked": theirs}, threads, {"ours": 1, "masked": 1})
    found["masked"] *= options.fine_tune_steps / FINE_TUNE_BATCHES
    line = told(found, threads, flops(archs, ours), flops(archs, theirs) * options.fine_tune_steps / FINE_TUNE_BATCHES)
    _tell(benchmark, line, lambda: ours(archs[0]))


@pytest.mark.parametrize("what", ["train", "infer"])
def test_standalone(what: str, threads: int, benchmark: Any) -> None:
    """The published network for Criteo, alone: a step at its authors' batch of 256, and inference."""
    size = 256
    rows, before = Rows.drawn(4 * size, features()), resident_bytes()
    net = Subnet(CRITEO_FULL, features(), generator=torch.Generator().manual_seed(0))
    other = MaskedSupernet(FULL, features(), standalone=CRITEO_FULL)
    trainer, batches = DenseTrainer(other), list(rows.batches(size, seed=None))

    def ours(arch: Arch) -> None:
        if what == "train":
            train_subnet(net, rows, None, TrainOptions(batch_size=size, learning_rate=1e-3))  # type: ignore[arg-type]
        else:
            predict(net, rows, size)  # type: ignore[arg-type]

    def theirs(arch: Arch) -> None:
        for batch in batches:
            dense, ids, labels = (torch.from_numpy(x) for x in (batch.dense, batch.ids, batch.labels))
            if what == "train":
                trainer.step(arch, dense, ids, labels)
            else:
                with torch.no_grad():
                    other.eval()(arch, dense, ids)

    if benchmark.disabled:
        ours(CRITEO_FULL)
        return
    found = over([CRITEO_FULL], {"ours": ours, "masked": theirs}, threads, {"ours": 7, "masked": 5})
    line = told(found, threads, flops([CRITEO_FULL], ours), flops([CRITEO_FULL], theirs))
    rates = {f"{name}_rows_per_s": round(len(rows) / found[name]) for name in ("ours", "masked")}
    _tell(benchmark, {**line, **rates, "resident_mib": (resident_bytes() - before) >> 20}, lambda: ours(CRITEO_FULL))
