"""The C++ tests of the kernels under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer.

ThreadSanitizer does not understand how GCC's OpenMP waits: in its build `parallel_rows` uses POSIX threads
(csrc/parallel.h). Optimisation makes checked code compile many times longer (a minute for one file): without it, most
of the time of a short run is still the compiler's.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_tests import ROOT, SHORT, WHOLE, build, require_compiler, run_tests

SANITIZERS = {"address,undefined": "-O0", "thread": "-Og"}  # and the optimisation


def test_every_kernel_has_a_test() -> None:
    """A kernel is a pair of files that share a name."""
    kernels = {path.stem for path in (ROOT / "csrc").glob("*.cpp") if path.with_suffix(".h").exists()} - {"isa"}
    assert {f"test_{name}" for name in kernels} <= {path.stem for path in (ROOT / "tests" / "csrc").glob("*.cpp")}


def run_sanitized(sanitizer: str, cases: int, tmp_path: Path) -> None:
    require_compiler(tmp_path, f"-fsanitize={sanitizer}")
    name = f"sanitize-{sanitizer.partition(',')[0]}"
    run_tests(build(name, f"-DKERNEL_SANITIZER={sanitizer}", f"-DKERNEL_OPTIMISATION={SANITIZERS[sanitizer]}"), cases)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_clean(sanitizer: str, tmp_path: Path) -> None:
    run_sanitized(sanitizer, SHORT, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_clean_in_many_cases(sanitizer: str, tmp_path: Path) -> None:
    run_sanitized(sanitizer, WHOLE, tmp_path)


@pytest.mark.slow
def test_right_as_optimised(tmp_path: Path) -> None:
    """The same tests with the flags that users get."""
    require_compiler(tmp_path, "-fopenmp")
    run_tests(build("kernel-tests"), WHOLE)
