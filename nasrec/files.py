"""Files that are either whole or absent: write to a temporary name, then rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasrec.errors import InputError

TEMPORARY = ".*.tmp"  # what `atomic_path` calls a file that is not whole yet: .NAME.PROCESS.tmp


def require_file_name(path: Path) -> None:
    """InputError where `path` is a folder and so no place for a file."""
    if not path.name or path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, delete it when it fails.

    The data are flushed to disk before the rename, so a crash leaves the old file or the new one, never a part.
    An OSError that names no file (a full disk) is raised again with the name of this one.
    """
    require_file_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files below `folder` whose process was killed before it could rename or delete them.

    Files of this process count as such too: call it while nothing is being written here.
    """
    for leftover in folder.rglob(TEMPORARY):
        process = leftover.name.split(".")[-2]
        if process == str(os.getpid()) or not is_running(process):
            leftover.unlink(missing_ok=True)


def is_running(process: str) -> bool:
    """Whether there is a process with the id `process`; False for a text that is no id."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write `data` as indented JSON, whole or not at all; NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, *, format: str | None = None, version: int = 1) -> Any:
    """Read JSON from `path`; with `format`, check the file's `format` and `version` fields and remove them.

    Raises InputError naming the file (and line, for a syntax error) if it is absent, unreadable or of another kind.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_key_once)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except KeyError as error:
        raise InputError(f"{path}: key {error.args[0]!r} stands twice in one object") from None
    if format is None:
        return data
    if not isinstance(data, dict) or data.get("format") != format:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise InputError(f"{path}: field 'format' is {found!r}, expected {format!r}")
    if data.get("version") != version:
        raise InputError(f"{path}: field 'version' is {data.get('version')!r}, this release reads {version}")
    return {key: value for key, value in data.items() if key not in ("format", "version")}


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys and values; KeyError with a key that stands twice, of which json would keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise KeyError(key)
        found[key] = value
    return found
