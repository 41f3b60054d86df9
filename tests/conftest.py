"""Fixtures shared by every room's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and real logs beside the checkout; a test that needs it is left out where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("left out: no folder 'shared' beside the checkout (reference outputs and real logs)")
    return folder
