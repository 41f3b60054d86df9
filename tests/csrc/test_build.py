"""What the two extension modules have in common: settings, OpenMP, and loading without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nasrec._kernels
import pimsim._kernels

MODULES = [nasrec._kernels, pimsim._kernels]


def in_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


needs_maps = pytest.mark.skipif(sys.platform != "linux", reason="left out: reads /proc/self/maps, which only Linux has")
USE_ALL = """
import numpy as np, torch, nasrec._kernels, pimsim._kernels
for module in (nasrec._kernels, pimsim._kernels):
    module.set_threads(2)
nasrec._kernels.dot_interaction(np.ones((64, 5, 8), np.float32))
torch.ones(300, 300) @ torch.ones(300, 300)
"""
COUNT_RUNTIMES = """
maps = open("/proc/self/maps").read().split()
print(len({path for path in maps if "gomp" in path or "libomp" in path or "iomp" in path}))
"""


@needs_maps
@pytest.mark.parametrize("first", ["torch", "nasrec._kernels, pimsim._kernels", "pimsim._kernels, torch"])
def test_one_openmp_runtime(first: str) -> None:
    assert in_new_process(f"import {first}\n{USE_ALL}{COUNT_RUNTIMES}") == "1"


@needs_maps
def test_a_second_openmp_runtime_is_counted(tmp_path: Path) -> None:
    """What a bundled copy under another name would look like."""
    find = 'print(next(path for path in open("/proc/self/maps").read().split() if "libgomp" in path))'
    copy = tmp_path / "libgomp-1a2b3c.so.1.0.0"
    shutil.copy(in_new_process(f"{USE_ALL}{find}"), copy)
    assert in_new_process(f"{USE_ALL}import ctypes\nctypes.CDLL({str(copy)!r}){COUNT_RUNTIMES}") == "2"


@pytest.mark.parametrize("module", ["nasrec._kernels", "nasrec.kernels", "pimsim._kernels", "pimsim.crossbar"])
def test_loads_without_torch(module: str) -> None:
    assert in_new_process(f"import sys, {module}; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("module", MODULES)
def test_instruction_sets(module) -> None:
    best = module.best_isa()
    names = ["portable", "avx2", "avx512"]
    assert best in names
    try:
        for name in names[: names.index(best) + 1]:
            module.set_isa(name)
            assert module.isa() == name
        for name in names[names.index(best) + 1 :]:
            with pytest.raises(ValueError, match=f"no '{name}'"):
                module.set_isa(name)
    finally:
        module.set_isa(best)
    with pytest.raises(ValueError, match=r"'sse9' is not one of portable, avx2, avx512"):
        module.set_isa("sse9")
    assert module.isa() == best


@pytest.mark.parametrize("module", MODULES)
def test_threads(module) -> None:
    default = module.threads()
    assert default >= 1
    try:
        module.set_threads(3)
        assert module.threads() == 3
        for count in (-1, 1025):
            with pytest.raises(ValueError, match=rf"{count} is not in 1\.\.1024"):
                module.set_threads(count)
        module.set_threads(1024)
    finally:
        module.set_threads(0)
    assert module.threads() == default


def test_torch_governs_the_default_number_of_threads() -> None:
    code = "import torch, nasrec._kernels as k; torch.set_num_threads({}); print(k.threads())"
    assert in_new_process(code.format(1)) == "1"
    assert in_new_process(code.format(2)) == "2"


@pytest.mark.parametrize(
    ("module", "call"),
    [("nasrec", "dot_interaction(x)"), ("pimsim", "crossbar_mac(*arguments)")],
)
def test_the_interpreter_goes_on_while_a_kernel_runs(module: str, call: str) -> None:
    """The GIL is released: with no forced switching, this thread sees a call unfinished only if the call lets it."""
    code = f"""
import sys, threading, numpy as np
from {module} import _kernels
_kernels.set_threads(1)
_kernels.set_isa("portable")
x = np.ones((3000, 48, 64), np.float32)
shape = (32, 32, 4, 2, 1, 8)
arguments = (np.ones(shape, np.uint64), np.zeros((32, 32, 4, 8), np.int64), np.zeros((32, 32, 8), np.int64),
             np.arange(4, dtype=np.int32), 1024, 256, 32, np.ones((128, 1024), np.uint16), 8, False, 1, 8, 1)
def run():
    _kernels.{call}
    done.append(True)
sys.setswitchinterval(1000)
unfinished = 0
for attempt in range(10):
    done = []
    thread = threading.Thread(target=run)
    thread.start()
    unfinished += attempt > 0 and not done  # the very first thread starts in its own way
    thread.join()
print(unfinished > 0)
"""
    assert in_new_process(code) == "True"
