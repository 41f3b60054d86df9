"""Fixtures shared by every room's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and real logs beside the checkout; a test that needs it is left out where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("left out: no folder 'shared' beside the checkout (reference outputs and real logs)")
    return folder


@pytest.fixture(scope="session")
def options_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The options of a run that takes seconds."""
    file = tmp_path_factory.mktemp("options") / "small.toml"
    file.write_text(small_run.OPTIONS)
    return file


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, options_file: Path) -> Path:
    """The folder of a small run of the whole job, done once by one worker; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    small_run.succeed(
        "nasrec", "codesign", "--data", small_run.ROWS, "--config", options_file, "--out", folder, "--workers", 1
    )
    return folder
