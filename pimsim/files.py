"""Files that are whole or absent: workloads as JSON, tables as Parquet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pimsim.errors import InputError
from pimsim.workload import Workload


def require_file_name(path: Path) -> None:
    """InputError where `path` is a folder and so no place for a file."""
    if not path.name or path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it when the block succeeds, delete it when it fails."""
    require_file_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; InputError names a file that is absent, a folder or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None


def read_workload(path: Path) -> Workload:
    """Read a workload file; InputError names the file, the place in it and what is allowed."""
    try:
        data = json.loads(read_text(path), object_pairs_hook=_each_key_once)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{path}: not a workload: nested too deeply") from None
    except KeyError as error:
        raise InputError(f"{path}: key {error.args[0]!r} stands twice in one object") from None
    return Workload.from_json(data, str(path))


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys and values; KeyError with a key that stands twice, of which json would keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise KeyError(key)
        found[key] = value
    return found


def write_workload(path: Path, workload: Workload) -> None:
    """Write a workload file, whole or not at all."""
    write_text(path, json.dumps(workload.to_json(), indent=1, allow_nan=False) + "\n")
