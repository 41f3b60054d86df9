"""Joules and seconds are far below 1e-12 at times, which pytest.approx takes for nothing at all."""

from __future__ import annotations

from typing import Any

import pytest


def near(value: Any) -> Any:
    """Equal but for rounding, however small the numbers are."""
    return pytest.approx(value, rel=1e-9, abs=0.0)
