"""The folder of a search, and where its parts are."""

from __future__ import annotations

from pathlib import Path

from nasrec.nas.options import NasOptions
from nasrec.run import RunOf


class SearchRun(RunOf[NasOptions]):
    """A run of `nasrec search`."""

    FORMAT = "nasrec.search_run"

    @classmethod
    def kind(cls) -> type[NasOptions]:
        """The options of `nasrec search`."""
        return NasOptions

    @property
    def journal(self) -> Path:
        """The Optuna journal of the search."""
        return self.folder / "search.journal"

    @property
    def trainings(self) -> Path:
        """The checkpoints of trainings under way; gone at the end."""
        return self.folder / "trainings"

    @property
    def best(self) -> Path:
        """The winner: architecture, weights, and the encoder of its data."""
        return self.folder / "best"
