"""The supernet of a search: trained once, kept in its folder, read back by whoever scores with it."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from nasrec.checkpoint import load_checkpoint, restore, save_weights
from nasrec.data.features import Features
from nasrec.data.keepsake import VOCABULARY, KeptEncoder, keep_encoder
from nasrec.data.prepared import Prepared
from nasrec.model.optimizer import load_weights
from nasrec.model.supernet import Supernet
from nasrec.nas.options import NasOptions
from nasrec.nas.untrained import untrained_dlrm, untrained_supernet
from nasrec.progress import stage
from nasrec.train import TrainLog, train_subnet, train_supernet

CHECKPOINT = "training.safetensors"  # with the optimiser's state; gone when the training is done
EMBEDDINGS = "embeddings.safetensors"  # with `warm_start`: the DLRM's checkpoint, gone as well
WEIGHTS = "supernet.safetensors"


def train_nas_supernet(folder: Path, data: Prepared, options: NasOptions, title: str = "supernet") -> TrainLog:
    """Train the supernet of `options` on the training rows of `data` and write its weights into `folder`.

    With `warm_start`, it begins with the embedding tables of a DLRM, trained before. Killed and called again, it goes
    on from its last checkpoint in `folder`. Raises TrainingDiverged.
    """
    rows, encoder = data.split("train"), keep_encoder(folder / VOCABULARY, data)
    supernet = untrained_supernet(data.features, options)
    if options.supernet.warm_start:
        copy_tables(_trained_dlrm(folder, data, options, title, encoder), supernet)
    section = options.supernet.train_options(options.seed, len(rows))
    checkpoint = folder / CHECKPOINT
    with stage(f"{title}: training", unit="rows") as progress:
        log = train_supernet(supernet, rows, section, checkpoint=checkpoint, progress=progress, encoder=encoder)
        progress.note(f"log loss {log.losses[-1][1]:.4f}")
    save_weights(folder / WEIGHTS, supernet, encoder.facts(folder / WEIGHTS))
    return log


def _trained_dlrm(folder: Path, data: Prepared, options: NasOptions, title: str, encoder: KeptEncoder) -> nn.Module:
    """The DLRM at its best epoch on validation; its checkpoint stays until the supernet is done."""
    model = untrained_dlrm(data.features, options)
    section = options.supernet.warm_options(options.seed)
    train, validation = data.split("train"), data.split("validation")
    with stage(f"{title}: embeddings", unit="rows") as progress:
        train_subnet(
            model, train, validation, section, checkpoint=folder / EMBEDDINGS, progress=progress, encoder=encoder
        )
    return model


def copy_tables(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the embedding tables of `source`: a short training of shared weights learns them late."""
    name = "embeddings.tables."
    tables = {key: table for key, table in target.state_dict().items() if key.startswith(name)}
    found = {key: table for key, table in source.state_dict().items() if key.startswith(name)}
    restore(tables, found, "the trained embeddings")


def load_nas_supernet(folder: Path, features: Features, options: NasOptions) -> Supernet:
    """The trained supernet in `folder`, in evaluation mode; raises InputError naming a file that does not serve."""
    supernet = untrained_supernet(features, options)
    load_weights(supernet, load_checkpoint(folder / WEIGHTS).tensors)
    return supernet.eval()


def remove_training_state(folder: Path) -> None:
    """Delete the checkpoints of a finished training: more than twice the size of the weights, and of no more use."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    (folder / EMBEDDINGS).unlink(missing_ok=True)
