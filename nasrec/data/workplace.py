"""Where prepared data are made: a folder beside the final one, which a killed process leaves to its successor."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasrec.errors import InputError
from nasrec.files import is_running, read_json, remove_leftovers, write_json

JOB_JSON = "job.json"
VERSION = 2  # raised where what is half done can no longer be gone on with: since 2, logs are read in smaller blocks
BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def workplace(out: Path, identity: dict[str, Any]) -> Iterator[Path]:
    """The folder `.NAME.preparing` beside `out`: it becomes `out` when the block succeeds and vanishes when it fails.

    What a killed or interrupted process left there is kept if that process had the same `identity` (plain JSON values)
    since the machine started; otherwise it is removed first. Raises InputError while another process works there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.preparing")
    # What was written before a crash of the machine may never have reached the disk.
    started = BOOT.read_text().strip() if BOOT.exists() else None
    mine = {**identity, "started": started}
    before = _job(folder)
    if before is not None:
        process = before.pop("process", None)
        if process != os.getpid() and is_running(str(process)):
            raise InputError(f"{out}: process {process} is preparing data there; wait for it, or end it")
    if before != mine:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    remove_leftovers(folder)
    try:
        write_json(folder / JOB_JSON, {"format": "nasrec.job", "version": VERSION, **mine, "process": os.getpid()})
        yield folder
        (folder / JOB_JSON).unlink()
        folder.replace(out)
    except Exception:  # not KeyboardInterrupt: who stops a preparation may go on with it
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _job(folder: Path) -> dict[str, Any] | None:
    try:
        found = read_json(folder / JOB_JSON, format="nasrec.job", version=VERSION)
    except InputError:
        return None
    return dict(found)
