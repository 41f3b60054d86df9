"""The kernels compile without a warning for AArch64, where they are plain C++; their tests run where QEMU is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kernel_tests import build, run_tests

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"


def build_for_aarch64() -> Path:
    if shutil.which(COMPILER) is None:
        pytest.skip(f"left out: no {COMPILER}")
    folder = build(
        "aarch64",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={COMPILER}",
        "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON",
        "-DKERNEL_OPTIMISATION=-O2",
        f"-DKERNEL_TEST_LAUNCHER={EMULATOR};-L;{SYSROOT}",
    )
    return folder


def test_compiles() -> None:
    build_for_aarch64()


@pytest.mark.slow
def test_runs() -> None:
    folder = build_for_aarch64()
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"left out: no {EMULATOR}")
    run_tests(folder, 40)
