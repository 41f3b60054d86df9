"""Files that hold an architecture: ours, a winner's with its features, the official code's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasrec.arch import Arch
from nasrec.data.features import Features
from nasrec.errors import InputError
from nasrec.files import read_json, write_json
from nasrec.official import arch_from_official, nodes_of, official_from_arch, space_of

ARCH_FORMAT = "nasrec.arch"
_OURS = {"autoctr": "small", "xlarge": "full"}


@dataclass(frozen=True)
class ArchFile:
    """What a file says: the architecture, its space ("small" or "full", None where nobody said), and its features.

    `official` tells the official JSON from ours; only a winner's `arch.json` has `features`.
    """

    arch: Arch
    space: str | None
    features: Features | None
    official: bool


def read_arch(path: Path, space: str | None = None) -> ArchFile:
    """Read `path`, an official JSON, an `arch.json`, or the bare output of `Arch.to_json`.

    `space` ("small" or "autoctr", "full" or "xlarge") is what the architecture has to belong to. Raises InputError
    naming the file and field that is missing or bad, or that contradicts `space`.
    """
    if space is not None:
        nodes_of(space, "--space")
    data = read_json(path)
    if not isinstance(data, Mapping) or not {"blocks", "micro"} & set(data):
        raise InputError(f"{path}: not an architecture: expected a field 'blocks' (ours) or 'micro' (official)")
    if "micro" in data:
        official = space_of(data, str(path), space)
        return ArchFile(arch_from_official(data, str(path), space=space), _OURS[official], None, True)
    if "format" in data:
        data = read_json(path, format=ARCH_FORMAT)
    plain: dict[str, Any] = dict(data)
    features = Features.from_json(plain.pop("features"), f"{path}: features") if "features" in plain else None
    arch = Arch.from_json(plain, str(path))
    if space is None:
        return ArchFile(arch, None, features, False)
    try:
        official = official_from_arch(arch, space)["config"]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return ArchFile(arch, _OURS[official], features, False)


def write_arch(path: Path, arch: Arch, features: Features | None = None) -> None:
    """Write `arch`, with the `features` that it reads where they are known, as an `arch.json`."""
    extra = {} if features is None else {"features": features.to_json()}
    write_json(path, {"format": ARCH_FORMAT, "version": 1, **arch.to_json(), **extra})
