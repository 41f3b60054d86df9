"""The rules of the house as tests: who may import whom, how long a file may be, how a file may be named."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON_FILES = sorted(path for room in ("nasrec", "pimsim") for path in (ROOT / room).rglob("*.py"))
KERNEL_FILES = sorted(path for path in (ROOT / "csrc").iterdir() if path.suffix in (".h", ".cpp"))
PIMSIM_RING = {  # everything else is the core
    "cli", "cli_sweep", "explain_tables", "files", "chip_file", "importers", "report", "space_file", "sweep",
    "uncertainty_tables", "validation"}
SIMULATOR_RING = {
    "polars",
    "pydantic",
    "typer",
    "rich",
    "moocore",
    "plotly",
    "matplotlib",
    "distributed",
    "torch",
    "onnx",
}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "types"}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that `path` imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_doors(path: Path) -> None:
    roots = {module.split(".")[0] for module in imports_of(path)}
    if relative(path).startswith("pimsim/"):
        assert "nasrec" not in roots
        if path.relative_to(ROOT / "pimsim").parts[0].removesuffix(".py") not in PIMSIM_RING:
            assert not roots & SIMULATOR_RING, "the simulator's core imports NumPy, SciPy and itself only"
        if path.parent.name != "importers":
            assert not roots & {"torch", "onnx"}
    elif not relative(path).startswith("nasrec/hardware/"):
        assert "pimsim" not in roots, "nasrec.hardware is the only importer of pimsim"


@pytest.mark.parametrize("path", [*PYTHON_FILES, *KERNEL_FILES], ids=relative)
def test_size_and_name(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in FORBIDDEN_NAMES


def test_median_length() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in PYTHON_FILES if path.name != "__init__.py")
    assert lengths[len(lengths) // 2] <= 150


def test_one_parallel_region() -> None:
    with_pragma = [path.name for path in KERNEL_FILES if "#pragma omp parallel" in path.read_text()]
    assert with_pragma == ["parallel.h"]


def test_python_headers_only_in_bindings() -> None:
    for path in KERNEL_FILES:
        text = path.read_text()
        if not path.name.startswith("bind_"):
            assert "pybind11" not in text and "Python.h" not in text, path.name


def test_pimsim_does_not_load_torch() -> None:
    code = "import pimsim, sys; print(sorted({'torch', 'polars', 'pydantic', 'typer', 'nasrec'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
