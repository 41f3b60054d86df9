"""The weights of the best epoch of a training, while later epochs change the model."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from nasrec.checkpoint import restore, restore_file, save_weights
from nasrec.distributed import Team
from nasrec.errors import InputError
from nasrec.model.optimizer import weights_of


class BestEpoch:
    """Keeps them in a file beside the checkpoint, so that large tables are not held twice; without one, in memory.

    The file's name holds the epoch: a checkpoint never meets the weights of an epoch that it does not know.
    """

    def __init__(self, model: nn.Module, checkpoint: Path | None, team: Team) -> None:
        """Start with nothing kept; `checkpoint` is the training's, of which only the team's leader has the file."""
        self.model, self.checkpoint, self.team = model, checkpoint, team
        self._clone: dict[str, Tensor] = {}

    def keep(self, epoch: int) -> None:
        """Keep the weights that the model has now; those of other epochs stay until `forget`."""
        if self.checkpoint is None:
            self._clone = {name: tensor.clone() for name, tensor in weights_of(self.model).items()}
        elif self.team.leads:
            save_weights(self._file(self.checkpoint, epoch), self.model)

    def give_back(self, epoch: int) -> None:
        """Let the model have the weights of `epoch` again."""
        weights = weights_of(self.model)
        if self.checkpoint is None:
            restore(weights, self._clone, "the best epoch")
            return
        if self.team.leads:
            restore_file(self._file(self.checkpoint, epoch), weights)
        self.team.copy_from_leader(weights.values())

    def check(self, epoch: int) -> None:
        """Raise InputError where the weights of `epoch` were kept and are no longer there."""
        if self.checkpoint is not None and not self._file(self.checkpoint, epoch).exists():
            missing = self._file(self.checkpoint, epoch)
            raise InputError(f"{missing}: no such file: {self.checkpoint} needs the weights of its best epoch")

    def forget(self, *, but: int | None = None) -> None:
        """Remove what is kept, except the weights of the epoch `but`."""
        if but is None:
            self._clone = {}
        if self.checkpoint is None or not self.team.leads:
            return
        kept = None if but is None else self._file(self.checkpoint, but)
        stem = self._file(self.checkpoint, 0).name.removesuffix(f"0{self.checkpoint.suffix}")
        for file in self.checkpoint.parent.iterdir():
            if file.name.startswith(stem) and file != kept:
                file.unlink(missing_ok=True)

    @staticmethod
    def _file(checkpoint: Path, epoch: int) -> Path:
        return checkpoint.with_name(f"{checkpoint.stem}.best-{epoch}{checkpoint.suffix}")
