"""Peers that may be absent: what each needs, and the reason when it cannot be had."""

from __future__ import annotations

import importlib
import os
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType

EXTRA = "pip install -e '.[peers]'"
CROSSSIM = "CROSSSIM"  # environment variable: a checkout of github.com/sandialabs/cross-sim, version 3.2


@cache
def module(name: str) -> ModuleType | str:
    """A package of the extra `peers`; the reason where it cannot be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a peer deprecates of itself is not our user's concern
            return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a library that it was linked with is absent
        return f"{name} cannot be imported ({error}); {EXTRA}"


def crosssim_checkout() -> Path | str:
    """The folder that holds CrossSim's package `simulator`; the reason where there is none."""
    folder = os.environ.get(CROSSSIM, "")
    if folder and (Path(folder) / "simulator").is_dir():
        return Path(folder)
    return f"no checkout of CrossSim: set {CROSSSIM} to its folder (found {folder!r})"
