"""One run: its cases, the limits that they are compared with, and the file that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks import limits, process
from benchmarks.record import Case, Run, Value
from benchmarks.timing import Timing, Work, take_turns
from nasrec import kernels
from pimsim import _kernels as pimsim_kernels

Beside = Callable[..., None]


class Session:
    """Measures cases, one after the other, and keeps them."""

    def __init__(self, isa: str | None, rounds: int, budget_s: float) -> None:
        """Force the instruction set of both extension modules; ValueError where this machine lacks it."""
        for module in (kernels, pimsim_kernels) if isa else ():
            module.set_isa(isa)
        self.rounds, self.budget_s = rounds, budget_s
        self.cases: list[Case] = []
        self.missing: dict[str, str] = {}
        self.limits = cache(lambda threads: limits.rates(kernels.isa(), threads))

    @contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """`count` threads for torch, nasrec and pimsim."""
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        kernels.set_threads(count)
        pimsim_kernels.set_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            kernels.set_threads(0)
            pimsim_kernels.set_threads(0)

    def measure(
        self,
        kernel: str,
        params: Mapping[str, Value],
        threads: int,
        ours: Work,
        peers: Mapping[str, Work | str],
        *,
        agree: float | Callable[[], None] | None,
        bare: Mapping[str, Work | None] | None = None,
        flops: float = 0.0,
        moved: float = 0.0,
        macs: float = 0.0,
        timed: bool = True,
    ) -> Case | None:
        """Time `ours` beside `peers`, and beside the `bare` loops that bound it; None unless `timed`.

        A peer that is absent is the reason why. `agree` is how far a peer's result may be from ours, relative to our
        largest value; a function is called once everyone has run once, and checks what they did; None is for a peer
        that computes something else. `flops`, `moved` (bytes, least) and `macs` as in Case.
        """
        present = {name: work for name, work in peers.items() if not isinstance(work, str)}
        loops = {name: loop for name, loop in (bare or {}).items() if loop is not None}
        results = {name: work() for name, work in {"ours": ours, **present, **loops}.items()}
        if callable(agree):
            agree()
        elif agree is not None:
            for name in present:
                check(results["ours"], results[name], agree, f"{name} and ours")
        del results
        if not timed:
            return None
        contestants = {"ours": ours, **present, **loops}
        timings, waited = take_turns(contestants, threads, rounds=self.rounds, budget_s=self.budget_s)
        least = {name: timings[name].ms for name in loops}
        rates = self.limits(threads)
        if flops and "fma_flops" in rates:
            least["arithmetic"] = flops / rates["fma_flops"] * 1e3
        if macs and "look_up_macs" in rates:
            least.setdefault("look-ups", macs / rates["look_up_macs"] * 1e3)
        missing = {name: why for name, why in peers.items() if isinstance(why, str)}
        self.missing |= missing
        case = Case(
            kernel, dict(params), threads, timings["ours"].ms, {name: timings[name].ms for name in present}, least,
            flops, moved, macs, waited, *_counts(timings), _doubtful(timings), list(missing),
        )  # fmt: skip
        self.cases.append(case)
        return case

    def write(self, folder: Path, command: str, *, again: bool = False) -> None:
        """`folder`/kernels-ISA.json, if anything was measured; `again` keeps the cases that are there already."""
        if self.cases:
            self.path = folder / f"kernels-{kernels.isa()}.json"
            measured = {str(threads): self.limits(threads) for threads in {case.threads for case in self.cases}}
            missing = limits.missing() | self.missing
            peers_isa = torch.backends.cpu.get_cpu_capability().lower()
            self.run = Run(
                kernels.isa(), peers_isa, process.machine(), process.versions(), measured, missing, self.cases, command
            )
            if again and self.path.exists():
                self.run = self.run.after(Run.read(self.path))
            self.run.write(self.path)

    def summary(self) -> list[str]:
        """What a reader has to know before reading the figures."""
        if not self.cases:
            return []
        run = self.run
        lines = [f"{len(self.cases)} cases, {run.isa}: {self.path}; `python -m benchmarks.report {self.path}`"]
        lines += [f"left out, {name}: {why}" for name, why in run.missing.items()]
        noise = "waited for a core {waited_mean:.1%} of the time, {samples_dropped:.1%} of samples dropped"
        lines.append(noise.format(**run.noise))
        doubtful = [case for case in run.cases if case.doubtful]
        if doubtful:
            lines.append(f"{len(doubtful)} cases are doubtful: too few clean samples, or work on threads not timed")
        return lines + [f"  {case.name} threads={case.threads}: {', '.join(case.doubtful)}" for case in doubtful]


SESSION = pytest.StashKey[Session]()


def check(ours: Any, theirs: Any, within: float, what: str) -> None:
    """Two results are the same but for `within` of our largest value."""
    expected, found = as_float(ours), as_float(theirs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * float(np.abs(expected).max()), err_msg=what)


def as_float(result: Any) -> NDArray[np.float64]:
    """Numbers of a result: a tensor's, or an array's, where uint16 holds the bits of bfloat16."""
    if isinstance(result, (list, tuple)):
        return np.stack([as_float(part) for part in result], axis=1)
    if isinstance(result, torch.Tensor):
        return result.detach().to(torch.float64).numpy()
    if result.dtype == np.uint16:
        return (result.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.asarray(result, np.float64)


def _counts(timings: Mapping[str, Timing]) -> tuple[int, int]:
    return sum(one.kept for one in timings.values()), sum(one.dropped for one in timings.values())


def _doubtful(timings: Mapping[str, Timing]) -> list[str]:
    return [name for name, timing in timings.items() if not timing.trusted]
