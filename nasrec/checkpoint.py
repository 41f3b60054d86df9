"""Training state in one file: tensors in the safetensors format, the rest as JSON in its header; whole or absent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nasrec.data.encoder import Encoder
from nasrec.data.keepsake import KeptEncoder
from nasrec.errors import InputError
from nasrec.files import atomic_path
from nasrec.model.optimizer import weights_of

FORMAT = "nasrec.checkpoint"
VERSION = 1
CHUNK_BYTES = 1 << 26
_TYPES = {  # how the file format calls what torch calls
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: `tensors` by name, and `facts`, the JSON values that say how to go on."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` and `facts` to `path`: a crash leaves the old file or the new one, never a part.

    Floats in `facts` come back bit for bit; NaN and infinity are refused with ValueError.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **facts}, allow_nan=False)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(ready, temporary, metadata={FORMAT: text})
        except SafetensorError as error:  # how the library reports a full disk
            raise OSError(f"{path}: cannot be written: {error}") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; raises InputError naming the file when it is damaged or of another kind."""
    with _opened(path) as (file, facts):
        return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118 (not a mapping)


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a checkpoint, its tensors left alone; raises InputError as `load_checkpoint` does."""
    with _opened(path) as (_, facts):
        return facts


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The file as the library reads it, and its facts."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file, _facts((file.metadata() or {}).get(FORMAT), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, not a readable safetensors file ({_one_line(error)})") from None


def _facts(text: str | None, path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(text or "")
    except json.JSONDecodeError:
        facts = None
    if not isinstance(facts, dict) or facts.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not a checkpoint: its header has no {FORMAT!r} entry")
    version = facts.pop("version", None)
    if version != VERSION:
        raise InputError(f"{path}: field 'version' is {version!r}, this release reads {VERSION}")
    return facts


def restore(target: Mapping[str, Tensor], saved: Mapping[str, Tensor], where: str) -> None:
    """Copy `saved` into the tensors of `target` (a state_dict, whose tensors share memory with their module).

    Raises InputError naming `where` and the first tensor that is missing, unknown, or of another shape or type;
    nothing has been copied then.
    """
    _check_fit(target, {name: _shape(tensor) for name, tensor in saved.items()}, where)
    for name, tensor in target.items():
        tensor.detach().copy_(saved[name])


def restore_file(path: Path, target: Mapping[str, Tensor], prefix: str = "") -> None:
    """`restore` what the file calls `prefix` + name, other tensors left alone, without ever holding it in memory.

    A file is mapped, and mapped pages count as memory until it is closed: it is opened anew every `CHUNK_BYTES`.
    """
    with _opened(path) as (file, _):
        found = {name: file.get_slice(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
        shapes = {
            name.removeprefix(prefix): f"{_TYPES.get(part.get_dtype(), part.get_dtype())} {list(part.get_shape())}"
            for name, part in found.items()
        }
        del found
    _check_fit(target, shapes, str(path))
    waiting = [(name, tensor.detach(), rows) for name, tensor in target.items() for rows in _chunks(tensor.detach())]
    while waiting:
        with _opened(path) as (file, _):
            copied = 0
            while waiting and copied < CHUNK_BYTES:
                name, tensor, rows = waiting.pop()
                part = file.get_tensor(prefix + name) if rows is None else file.get_slice(prefix + name)[rows]
                (tensor if rows is None else tensor[rows]).copy_(part)
                copied += part.numel() * part.element_size()
                del part


def save_weights(path: Path, model: nn.Module, facts: Mapping[str, Any] | None = None) -> None:
    """Write what inference needs of `model`, without the optimiser's accumulators, as a plain safetensors file."""
    save_checkpoint(path, weights_of(model), {"kind": "weights", **(facts or {})})


def load_encoder(path: Path) -> Encoder:
    """The encoder that the checkpoint or weights in `path` name: with it they read raw rows.

    Raises InputError where they name none, or where another one lies at its place.
    """
    named = read_facts(path).get("encoder")
    if not isinstance(named, dict) or set(named) != {"folder", "digest"}:
        raise InputError(f"{path}: names no encoder: it was not trained on a run's prepared data")
    folder = path.parent / str(named["folder"])
    encoder = Encoder.load(folder)
    if encoder.digest() != named["digest"]:
        raise InputError(f"{folder}: holds another vocabulary than the one that {path} was trained with")
    return encoder


def check_encoder(path: Path, kept: KeptEncoder) -> None:
    """Raise InputError where the checkpoint in `path` names another encoder than `kept`."""
    named = read_facts(path).get("encoder", {}).get("digest", kept.digest)
    if named != kept.digest:
        raise InputError(f"{path}: trained with another vocabulary than the one kept in {kept.folder}")


class SaveClock:
    """Says when it is time to save: every `every_s` seconds, and never for more than a twentieth of the time."""

    def __init__(self, every_s: float) -> None:
        """Start counting now; with `every_s` 0 every moment is due."""
        self.every_s = every_s
        self._last = time.monotonic()
        self._cost_s = 0.0

    def due(self) -> bool:
        """Whether a save should happen now."""
        if self.every_s == 0:
            return True
        return time.monotonic() - self._last >= max(self.every_s, 20 * self._cost_s)

    def saved(self, started: float) -> None:
        """Note that a save, begun at `started` (time.monotonic), has just ended."""
        self._last = time.monotonic()
        self._cost_s = self._last - started


def _check_fit(target: Mapping[str, Tensor], found: Mapping[str, str], where: str) -> None:
    """Raise InputError unless `found` names the tensors of `target` with the `_shape` of each."""
    for name, tensor in target.items():
        if name not in found:
            raise InputError(f"{where}: does not fit the model: tensor {name!r} is missing")
        if found[name] != _shape(tensor):
            raise InputError(
                f"{where}: does not fit the model: tensor {name!r} is {found[name]}, expected {_shape(tensor)}"
            )
    unknown = sorted(set(found) - set(target))
    if unknown:
        raise InputError(f"{where}: does not fit the model: unknown tensor {unknown[0]!r}")


def _chunks(tensor: Tensor) -> list[slice | None]:
    """The tensor's rows in pieces of at most `CHUNK_BYTES` where it has rows; else None, the whole."""
    if tensor.dim() == 0 or tensor.numel() == 0:
        return [None]
    rows = max(1, CHUNK_BYTES * len(tensor) // (tensor.numel() * tensor.element_size()))
    return [slice(begin, begin + rows) for begin in range(0, len(tensor), rows)]


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
