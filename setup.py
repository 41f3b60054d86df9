"""Builds the two extension modules with CMake and Ninja; everything else is in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build" / f"cmake-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"


class CMakeBuild(build_ext):
    """Builds every extension in one CMake tree that stays, so that a second build compiles only what changed."""

    def run(self) -> None:
        if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
            raise SystemExit("Python.h is missing: install Python's development files (Debian: python3-dev)")
        import cmake
        import ninja
        import pybind11

        tool = str(Path(cmake.CMAKE_BIN_DIR) / "cmake")
        configure = [
            tool, "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]  # fmt: skip
        subprocess.run(configure, check=True)
        subprocess.run([tool, "--build", str(BUILD)], check=True)
        super().run()

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        built = BUILD / ext.name.split(".")[0] / self.get_ext_filename("_kernels")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Into place by rename: a process that has the old library mapped keeps it.
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copy2(built, temporary)
        temporary.replace(target)


setup(
    ext_modules=[Extension("nasrec._kernels", []), Extension("pimsim._kernels", [])],
    cmdclass={"build_ext": CMakeBuild},
)
