"""The C++ tests of the kernels under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer.

ThreadSanitizer does not understand how GCC's OpenMP waits: in its build `parallel_rows` uses POSIX threads
(csrc/parallel.h). Optimisation makes checked code compile many times longer (a minute for one file): without it, most
of the time of a short run is still the compiler's.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_tests import ROOT, SHORT, WHOLE, build, require_compiler, run_tests

from nasrec import kernels

SANITIZERS = {"address,undefined": "-O0", "thread": "-Og"}  # and the optimisation


def test_every_kernel_has_a_test() -> None:
    """A kernel is a pair of files that share a name."""
    kernels = {path.stem for path in (ROOT / "csrc").glob("*.cpp") if path.with_suffix(".h").exists()} - {"isa"}
    assert {f"test_{name}" for name in kernels} <= {path.stem for path in (ROOT / "tests" / "csrc").glob("*.cpp")}


def run_sanitized(sanitizer: str, cases: int, tmp_path: Path, *options: str, name: str = "sanitize") -> None:
    require_compiler(tmp_path, f"-fsanitize={sanitizer}")
    options = (f"-DKERNEL_SANITIZER={sanitizer}", f"-DKERNEL_OPTIMISATION={SANITIZERS[sanitizer]}", *options)
    run_tests(build(f"{name}-{sanitizer.partition(',')[0]}", *options), cases)


def test_no_access_is_out_of_bounds_or_undefined(tmp_path: Path) -> None:
    """On the instruction sets of this machine: most of the time goes into compiling, and others could not run."""
    run_sanitized("address,undefined", SHORT, tmp_path, f"-DKERNEL_BEST_ISA={kernels.isa()}", name="sanitize-here")


def test_no_threads_race(tmp_path: Path) -> None:
    """In plain C++ alone: how work is shared out does not depend on the instruction set, and most of a build does."""
    run_sanitized("thread", SHORT, tmp_path, "-DKERNEL_BEST_ISA=portable", name="sanitize-here")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_clean_in_many_cases(sanitizer: str, tmp_path: Path) -> None:
    run_sanitized(sanitizer, WHOLE, tmp_path)


@pytest.mark.slow
def test_right_as_optimised(tmp_path: Path) -> None:
    """The same tests with the flags that users get."""
    require_compiler(tmp_path, "-fopenmp")
    run_tests(build("kernel-tests"), WHOLE)
