"""Training state in one file: tensors in the safetensors format, the rest as JSON in its header; whole or absent."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nasrec.errors import InputError
from nasrec.files import atomic_path
from nasrec.model.optimizer import weights_of

FORMAT = "nasrec.checkpoint"
VERSION = 1


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
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            text = (opened.metadata() or {}).get(FORMAT)
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                tensors[name] = opened.get_tensor(name)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, not a readable safetensors file ({_one_line(error)})") from None
    try:
        facts = json.loads(text or "")
    except json.JSONDecodeError:
        facts = None
    if not isinstance(facts, dict) or facts.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not a checkpoint: its header has no {FORMAT!r} entry")
    version = facts.pop("version", None)
    if version != VERSION:
        raise InputError(f"{path}: field 'version' is {version!r}, this release reads {VERSION}")
    return Checkpoint(tensors, facts)


def restore(target: Mapping[str, Tensor], saved: Mapping[str, Tensor], where: str) -> None:
    """Copy `saved` into the tensors of `target` (a state_dict, whose tensors share memory with their module).

    Raises InputError naming `where` and the first tensor that is missing, unknown, or of another shape or type;
    nothing has been copied then.
    """
    for name, tensor in target.items():
        if name not in saved:
            raise InputError(f"{where}: does not fit the model: tensor {name!r} is missing")
        found = saved[name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise InputError(
                f"{where}: does not fit the model: tensor {name!r} is {_shape(found)}, expected {_shape(tensor)}"
            )
    unknown = sorted(set(saved) - set(target))
    if unknown:
        raise InputError(f"{where}: does not fit the model: unknown tensor {unknown[0]!r}")
    for name, tensor in target.items():
        tensor.detach().copy_(saved[name])


def save_weights(path: Path, model: nn.Module) -> None:
    """Write what inference needs of `model`, without the optimiser's accumulators, as a plain safetensors file."""
    save_checkpoint(path, weights_of(model), {"kind": "weights"})


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


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
