"""A run folder: its options, and one small JSON file for every stage that is done."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from nasrec.errors import InputError
from nasrec.files import read_json, remove_leftovers, write_json
from nasrec.memory import peak_memory
from nasrec.options import CodesignOptions
from nasrec.sections import Options, validated
from nasrec.workers import run_in_processes

RUN_JSON = "run.json"
RUN_FORMAT = "nasrec.run"
STAGE_FORMAT = "nasrec.stage"


@dataclass(frozen=True)
class RunOf(ABC, Generic[Options]):
    """A run: where it lives, what data it reads, its options, and how many stages it does at a time.

    `workers` belongs to the run because it decides how many threads a stage gets, and torch's sums depend on that. A
    subclass says what its options are and what its `run.json` is called.
    """

    folder: Path
    data: str
    options: Options
    workers: int = 1

    FORMAT: ClassVar[str]

    VERSION: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def kind(cls) -> type[Options]:
        """The class of the options."""

    @classmethod
    def create(cls, folder: Path, data: str, options: Options, workers: int = 1) -> Self:
        """Start a run in `folder`, which must be new or empty."""
        marker = folder / RUN_JSON
        if marker.exists():
            raise InputError(f"{folder}: holds a run already: go on with --resume {folder}, or choose another --out")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file, not a folder for a run")
        remove_leftovers(folder)
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: not empty, and no run: a run needs a folder of its own, choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        options_json = options.model_dump(mode="json")
        write_json(
            marker,
            {"format": cls.FORMAT, "version": cls.VERSION, "data": data, "options": options_json, "workers": workers},
        )
        return cls(folder, data, options, workers)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the run in `folder`; raises InputError naming the file that is missing or damaged."""
        marker = folder / RUN_JSON
        found = read_json(marker, format=cls.FORMAT, version=cls.VERSION)
        if set(found) != {"data", "options", "workers"} or not isinstance(found["data"], str):
            raise InputError(f"{marker}: expected the fields data and options and workers")
        if type(found["workers"]) is not int or found["workers"] < 1:
            raise InputError(f"{marker}: field 'workers' is {found['workers']!r}, expected a whole number from 1")
        options = validated(cls.kind(), found["options"], f"{marker}: options")
        return cls(folder, found["data"], options, found["workers"])

    def discard_if_untouched(self) -> None:
        """Remove the run's folder if nothing but `run.json` has come of it: its data could not be used."""
        if [entry.name for entry in self.folder.iterdir()] == [RUN_JSON]:
            (self.folder / RUN_JSON).unlink()
            self.folder.rmdir()

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of stage `name`: read back if the stage is done, else `work()`, kept with its time and memory."""
        done = self._stage_file(name)
        if done.exists():
            return self._read_stage(done)["result"]
        start = time.monotonic()
        with peak_memory() as peak:
            result = work()
        spent = {"wall_s": round(time.monotonic() - start, 3), "peak_bytes": peak.bytes}
        write_json(done, {"format": STAGE_FORMAT, "version": 1, **spent, "result": result})
        return result

    def stages(self, jobs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """The results of several independent stages, up to `workers` of them at a time in processes of their own.

        Jobs are `functools.partial` of module-level functions over picklable arguments. Each process computes with its
        share of the cores. An error in one job ends the others and is raised here.
        """
        waiting = {name: job for name, job in jobs.items() if not self.done(name)}
        # From all jobs, not from those that a resume finds left: a stage must compute alike, with as many threads.
        processes = min(self.workers, len(jobs))
        if processes > 1 and waiting:
            try:
                run_in_processes([partial(self.stage, name, job) for name, job in waiting.items()], processes)
            finally:
                remove_leftovers(self.folder)
        return {name: self.stage(name, job) for name, job in jobs.items()}

    def done(self, name: str) -> bool:
        """Whether stage `name` has finished."""
        return self._stage_file(name).exists()

    def wall_s(self) -> dict[str, float]:
        """Seconds that each finished stage took in the process that finished it."""
        return {name: float(stage["wall_s"]) for name, stage in self._finished()}

    def peak_bytes(self) -> dict[str, int]:
        """The most memory that each finished stage held in the process that finished it."""
        return {name: int(stage["peak_bytes"]) for name, stage in self._finished() if "peak_bytes" in stage}

    def _finished(self) -> Iterator[tuple[str, dict[str, Any]]]:
        files = sorted((self.folder / "stages").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return ((file.stem, self._read_stage(file)) for file in files)

    def _stage_file(self, name: str) -> Path:
        return self.folder / "stages" / f"{name}.json"

    @staticmethod
    def _read_stage(file: Path) -> dict[str, Any]:
        found = read_json(file, format=STAGE_FORMAT)
        if set(found) - {"peak_bytes"} != {"wall_s", "result"}:  # a release before had no peaks
            raise InputError(f"{file}: expected the fields wall_s and peak_bytes and result")
        return dict(found)


class Run(RunOf[CodesignOptions]):
    """A run of the joint search of model and chip."""

    FORMAT = RUN_FORMAT

    @classmethod
    def kind(cls) -> type[CodesignOptions]:
        """The options of `nasrec codesign`."""
        return CodesignOptions
