"""A run folder: its options, and one small JSON file for every stage that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nasrec.errors import InputError
from nasrec.files import read_json, write_json
from nasrec.options import CodesignOptions, options_from
from nasrec.workers import run_in_processes

RUN_FORMAT = "nasrec.run"
STAGE_FORMAT = "nasrec.stage"


@dataclass(frozen=True)
class Run:
    """A run: where it lives, what data it reads and its options."""

    folder: Path
    data: str
    options: CodesignOptions

    @classmethod
    def create(cls, folder: Path, data: str, options: CodesignOptions) -> Run:
        """Start a run in `folder`; a folder that holds another run already is refused."""
        marker = folder / "run.json"
        if marker.exists():
            raise InputError(f"{folder}: holds a run already: go on with --resume {folder}, or choose another --out")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file, not a folder for a run")
        folder.mkdir(parents=True, exist_ok=True)
        options_json = options.model_dump(mode="json")
        write_json(marker, {"format": RUN_FORMAT, "version": 1, "data": data, "options": options_json})
        return cls(folder, data, options)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open the run in `folder`; raises InputError naming the file that is missing or damaged."""
        marker = folder / "run.json"
        found = read_json(marker, format=RUN_FORMAT)
        if set(found) != {"data", "options"} or not isinstance(found["data"], str):
            raise InputError(f"{marker}: expected the fields data and options")
        return cls(folder, found["data"], options_from(found["options"], f"{marker}: options"))

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of stage `name`: read back if the stage is done, else `work()`, kept with its wall time."""
        done = self._stage_file(name)
        if done.exists():
            return self._read_stage(done)["result"]
        start = time.monotonic()
        result = work()
        write_json(
            done,
            {"format": STAGE_FORMAT, "version": 1, "wall_s": round(time.monotonic() - start, 3), "result": result},
        )
        return result

    def stages(self, jobs: Mapping[str, Callable[[], Any]], workers: int) -> dict[str, Any]:
        """The results of several independent stages, up to `workers` of them at a time in processes of their own.

        Jobs are `functools.partial` of module-level functions over picklable arguments. Each process computes with its
        share of the cores. An error in one job ends the others and is raised here.
        """
        waiting = {name: job for name, job in jobs.items() if not self.done(name)}
        if workers > 1 and len(waiting) > 1:
            run_in_processes([partial(self.stage, name, job) for name, job in waiting.items()], workers)
        return {name: self.stage(name, job) for name, job in jobs.items()}

    def done(self, name: str) -> bool:
        """Whether stage `name` has finished."""
        return self._stage_file(name).exists()

    def wall_s(self) -> dict[str, float]:
        """Seconds that each finished stage took in the process that finished it."""
        files = sorted((self.folder / "stages").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return {file.stem: float(self._read_stage(file)["wall_s"]) for file in files}

    def _stage_file(self, name: str) -> Path:
        return self.folder / "stages" / f"{name}.json"

    @staticmethod
    def _read_stage(file: Path) -> dict[str, Any]:
        found = read_json(file, format=STAGE_FORMAT)
        if set(found) != {"wall_s", "result"}:
            raise InputError(f"{file}: expected the fields wall_s and result")
        return dict(found)
