"""Every function of the extension modules, called with arguments of any kind: it returns or raises, and never crashes.

Each runs in a process of its own, so that a crash is seen as one: for half a second in `make test`; for a minute in
`make fuzz`, and for a third of one with the modules built with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pybind11
import pytest
from hostile_arguments import MAKERS
from kernel_tests import COMPILER, build, require_compiler

import nasrec._kernels
import pimsim._kernels

MODULES = {"nasrec": nasrec._kernels, "pimsim": pimsim._kernels}
PATIENCE = 90.0  # seconds in which the call that is being made has to end, on a busy machine
SETTINGS = {"threads", "isa", "best_isa", "lookup_index_bits"}  # take no arguments


def test_no_function_is_left_out() -> None:
    names = {f"{room}.{name}" for room, module in MODULES.items() for name in dir(module) if not name.startswith("_")}
    assert names - {f"{room}.{name}" for room in MODULES for name in SETTINGS} == set(MAKERS)


def call(target: str, module: str, seconds: float, folder: Path, **environment: str) -> None:
    notes = folder / "call"
    worker = Path(__file__).with_name("hostile_calls.py")
    command = [sys.executable, "-X", "faulthandler", str(worker), module, target, str(seconds), "1", str(notes)]
    environment = {"PATH": "/usr/bin:/bin", "OMP_WAIT_POLICY": "passive", **environment}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE, env=environment)
    except subprocess.TimeoutExpired:
        pytest.fail(f"does not come back: {notes.read_text()[:2000]}")
    assert done.returncode == 0, f"{done.stderr[-5000:]}\nthe last call:\n{notes.read_text()[:2000]}"
    ends = json.loads(done.stdout)
    assert ends["returned"] > 0.1 * sum(ends.values()), ends
    assert ends["TypeError"] > 0, ends


@pytest.mark.parametrize("target", MAKERS)
def test_no_crash(target: str, tmp_path: Path) -> None:
    call(target, MODULES[target.partition(".")[0]].__file__, 0.5, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", MAKERS)
def test_no_crash_for_a_minute(target: str, tmp_path: Path) -> None:
    call(target, MODULES[target.partition(".")[0]].__file__, 60.0, tmp_path)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the modules built with sanitizers."""
    require_compiler(tmp_path_factory.mktemp("compiler"), "-fsanitize=address,undefined")
    return build(
        "fuzz",
        "-DKERNEL_TESTS=OFF",
        "-DKERNEL_SANITIZER=address,undefined",
        "-DKERNEL_OPTIMISATION=-O0",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", MAKERS)
def test_no_sanitizer_reports(target: str, sanitized: Path, tmp_path: Path) -> None:
    (module,) = (sanitized / target.partition(".")[0]).glob("_kernels*.so")
    # In this order: the sanitizer wants to be first, and to find the C++ library whose exceptions it follows.
    names = ("libasan.so", "libstdc++.so.6")
    libraries = [subprocess.check_output([COMPILER, f"-print-file-name={name}"], text=True).strip() for name in names]
    call(
        target,
        str(module),
        20.0,
        tmp_path,
        LD_PRELOAD=":".join(libraries),
        ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
