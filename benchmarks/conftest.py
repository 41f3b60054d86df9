"""How a kernel is measured beside its peers: `beside` for the cases, `--results` for the file that a run leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import process

if TYPE_CHECKING:
    from benchmarks.session import Beside


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kernels", "kernels beside their peers")
    group.addoption("--isa", choices=["portable", "avx2", "avx512"], help="instruction set (default: the best one)")
    group.addoption("--results", type=Path, default=Path(".benchmarks"), help="folder of kernels-ISA.json")
    group.addoption("--again", action="store_true", help="keep the file's cases that this run does not measure")
    group.addoption("--rounds", type=int, default=21, help="clean samples of each contestant")
    group.addoption("--budget", type=float, default=8.0, help="seconds after which a case takes no more samples")


def pytest_configure(config: pytest.Config) -> None:
    process.prepare(config.getoption("--isa"))
    from benchmarks.session import SESSION, Session  # only now: it loads NumPy and torch

    option = config.getoption
    config.stash[SESSION] = Session(option("--isa"), option("--rounds"), option("--budget"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    from benchmarks.session import SESSION

    option = session.config.getoption
    session.config.stash[SESSION].write(option("--results"), " ".join(sys.argv[1:]), again=option("--again"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    from benchmarks.session import SESSION

    for line in config.stash[SESSION].summary():
        terminalreporter.write_line(line)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many threads for torch and for our kernels."""
    if request.param > process.cores():
        pytest.skip(f"{process.cores()} core for {request.param} threads")
    from benchmarks.session import SESSION

    with request.config.stash[SESSION].threads(request.param):
        yield request.param


@pytest.fixture
def beside(request: pytest.FixtureRequest, benchmark: Any, threads: int) -> Beside:
    """A function that measures `ours` in turns with its peers; see `Session.measure`."""
    from benchmarks.session import SESSION

    session = request.config.stash[SESSION]

    def compare(
        kernel: str, params: Mapping[str, Any], ours: Callable[[], Any], peers: Mapping[str, Any], **more: Any
    ) -> None:
        case = session.measure(kernel, params, threads, ours, peers, timed=not benchmark.disabled, **more)
        if case is not None:
            benchmark.extra_info.update(case.to_json())
        benchmark.pedantic(ours, rounds=3)  # pytest-benchmark's own table; the figures that count are in extra_info

    return compare
