"""Peers that may be absent: what each needs, and the reason when it cannot be had."""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from types import ModuleType

EXTRA = "pip install -e '.[peers]'"


@cache
def module(name: str) -> ModuleType | str:
    """A package of the extra `peers`; the reason where it cannot be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a peer deprecates of itself is not our user's concern
            return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a library that it was linked with is absent
        return f"{name} cannot be imported ({error}); {EXTRA}"
