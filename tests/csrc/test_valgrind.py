"""The C++ tests of the kernels under valgrind: no use of memory that nobody wrote, which no sanitizer of GCC sees.

Valgrind shows programs a machine without AVX-512: the plain and the AVX2 code run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kernel_tests import build, require_compiler, run_tests

LAUNCHER = [
    "valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
]  # fmt: skip


def run_valgrind(cases: int, tmp_path: Path, *tests: str) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("left out: valgrind is not installed")
    require_compiler(tmp_path, "-fopenmp")
    launcher = f"-DKERNEL_TEST_LAUNCHER={';'.join(LAUNCHER)}"
    options = (launcher, "-DKERNEL_OPTIMISATION=-O1", "-DKERNEL_BEST_ISA=avx2")
    folder = build("valgrind", *options, targets=tests or ("all",))
    run_tests(folder, cases, *(("-R", f"^({'|'.join(tests)})$") if tests else ()))


def test_clean_in_a_few_cases(tmp_path: Path) -> None:
    run_valgrind(4, tmp_path, "test_embedding_bag", "test_dot_interaction")


@pytest.mark.slow
def test_clean(tmp_path: Path) -> None:
    run_valgrind(100, tmp_path)
