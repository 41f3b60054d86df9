"""Builds the C++ tests of the kernels in one of several ways, and runs them with ctest."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cmake
import ninja
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(cmake.CMAKE_BIN_DIR)
SHORT = 30  # random cases per kernel in `make test`
WHOLE = 1000
COMPILER = os.environ.get("CXX", "c++")


def run(command: list[str | Path], **environment: str) -> str:
    """The output of a command; where it fails, the test fails with that output."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


def build(name: str, *options: str, targets: Sequence[str] = ("all",)) -> Path:
    """The folder build/<name> with these tests in it; it stays, so that the next build compiles only what changed."""
    folder = ROOT / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    tool = TOOLS / "cmake"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of tests may want the same
        run(
            [
                tool, "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
                "-DKERNEL_TESTS=ON", "-DCMAKE_BUILD_TYPE=None", *options,
            ]
        )  # fmt: skip
        run([tool, "--build", folder, "--target", *targets])
    return folder


def run_tests(folder: Path, cases: int, *options: str) -> None:
    """Runs every test of a build with so many random cases, two at a time."""
    output = run(
        [TOOLS / "ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error", "-j2", *options],
        KERNEL_TEST_CASES=str(cases),
        OMP_WAIT_POLICY="passive",  # two tests of four threads each: who waits must not take a core
        ASAN_OPTIONS="detect_stack_use_after_return=1:strict_init_order=1",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    assert "100% tests passed" in output


def require_compiler(tmp_path: Path, *flags: str) -> None:
    """Leaves the test out where programs cannot be compiled and run with these flags."""
    source, program = tmp_path / "empty.cpp", tmp_path / "empty"
    source.write_text("int main() {}\n")
    for command in ([COMPILER, *flags, str(source), "-o", str(program)], [str(program)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            pytest.skip(f"left out: {error}")
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            pytest.skip(f"left out: {' '.join(flags) or 'a program'} does not work here ({last})")
