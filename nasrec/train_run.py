"""One training on its own, by one process or several: its folder and what is in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from nasrec.arch_file import read_arch, write_arch
from nasrec.checkpoint import load_encoder, restore_file, save_weights
from nasrec.data.encoder import Encoder
from nasrec.data.features import Features
from nasrec.data.keepsake import VOCABULARY, KeptEncoder, keep_encoder
from nasrec.data.prepared import PREPARED_JSON, Prepared
from nasrec.data.split import SPLITS
from nasrec.distributed import team
from nasrec.errors import InputError
from nasrec.files import read_json, remove_leftovers, write_json
from nasrec.metrics import auc, log_loss
from nasrec.model.baselines import BASELINES, Baseline
from nasrec.model.optimizer import weights_of
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.model.untrained import untrained
from nasrec.predict import pick_device, predict
from nasrec.progress import Stage, stage
from nasrec.run import RUN_JSON
from nasrec.space import FULL, Space
from nasrec.train import TrainLog, TrainOptions, train_subnet, train_supernet

SUPERNET = "supernet"
CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
RESULT = "training.json"
ARCH = "arch.json"
FORMAT = "nasrec.training"

Model = Supernet | Subnet | Baseline


def train_model(
    name: str,
    data: Prepared,
    folder: Path,
    options: TrainOptions,
    *,
    space: Space,
    embedding_std: float | None = None,
    row_wise: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Train the model called `name` and write checkpoint, vocabulary, weights and result into `folder`; the result.

    `name` is "supernet" (of `space`), a baseline or the path of an `arch.json`. Called again with the same options it
    goes on from the checkpoint. Tables start Xavier normal, or as normal draws of deviation `embedding_std`; with
    `row_wise` they are trained with row-wise Adagrad. Within `joined_team` every process calls it; the first writes.
    Raises InputError where the checkpoint belongs to another training, or a split that is needed has no rows.
    """
    together = team()
    pick_device(device)  # before the folder is made
    data.require_rows(*(("train",) if name == SUPERNET else SPLITS))
    built = builder(name, data.features, space, options.seed, embedding_std)
    encoder = together.told(partial(_opened, folder, data))
    model = built()  # after the vocabulary was in memory
    if row_wise:
        model.embeddings.start_optimizer("row_wise_adagrad")
    with _leaders_stage(f"{name}: training") as progress:
        log = _train(model, data, options, folder / CHECKPOINT, progress, device, encoder, embedding_std)
        if progress is not None:
            progress.note(f"log loss {_last(log):.4f}")
    result = {
        "model": ARCH if isinstance(model, Subnet) else name,
        "options": options.to_json(),
        "embedding_std": embedding_std,
        "row_wise": row_wise,
        "processes": together.size,
        "log": log.to_json(),
        "test": None if isinstance(model, Supernet) else _tested(name, model, data, device),
    }
    if together.leads:
        weights = folder / WEIGHTS
        save_weights(weights, model, encoder.facts(weights))
        if isinstance(model, Subnet):
            write_arch(folder / ARCH, model.arch, data.features)
        write_json(folder / RESULT, {"format": FORMAT, "version": 1, **result})
    return result


def _opened(folder: Path, data: Prepared) -> KeptEncoder:
    """Make the training's folder, if it is new, and keep the encoder of `data` there.

    InputError for a folder that something else is in: its files would be taken for the training's, and the reverse.
    """
    own = (VOCABULARY, CHECKPOINT, WEIGHTS, RESULT)
    foreign = [name for name in (RUN_JSON, PREPARED_JSON) if (folder / name).exists()]
    if foreign or (folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in own)):
        what = f"holds {foreign[0]}" if foreign else "not empty"
        raise InputError(f"{folder}: {what}, and is no training's folder: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    return keep_encoder(folder / VOCABULARY, data)


def read_model(folder: Path) -> tuple[str, Subnet | Baseline, Encoder]:
    """Name and model of the finished training in `folder`, and the encoder that gives it rows.

    Raises InputError where it is a supernet's, or where a file is missing or does not fit.
    """
    name = str(read_json(folder / RESULT, format=FORMAT).get("model"))
    encoder = load_encoder(folder / WEIGHTS)
    model = builder(str(folder / ARCH) if name == ARCH else name, encoder.features, FULL, 0)()
    if isinstance(model, Supernet):
        raise InputError(f"{folder}: holds a supernet, which is many models: there is nothing to score")
    restore_file(folder / WEIGHTS, weights_of(model))
    return name, model, encoder


def builder(
    name: str, features: Features, space: Space, seed: int, embedding_std: float | None = None
) -> Callable[[], Model]:
    """What makes the untrained model called `name` for data with `features`; InputError where there is none."""
    if embedding_std is not None and not 0 < embedding_std < math.inf:
        raise InputError(f"training option embedding_std is {embedding_std!r}: allowed are positive numbers")
    make = _maker(name, features, space)
    return lambda: untrained(make, seed, embedding_std)


def _maker(name: str, features: Features, space: Space) -> Callable[[torch.Generator], Model]:
    if name == SUPERNET:
        return lambda generator: Supernet(space, features, generator=generator)
    if name in BASELINES:
        return lambda generator: BASELINES[name](features, generator=generator)
    if not name.endswith(".json"):
        raise InputError(f"model {name!r}: allowed are {SUPERNET}, {', '.join(BASELINES)} and the path of an arch.json")
    found = read_arch(Path(name))
    if found.features is not None and _shape(found.features) != _shape(features):
        raise InputError(f"{name}: for {_shape(found.features)}, the data have {_shape(features)}")
    return lambda generator: Subnet(found.arch, features, generator=generator)


def _shape(features: Features) -> str:
    return f"{features.dense} dense inputs and {len(features.tables)} tables"


def _train(
    model: Model,
    data: Prepared,
    options: TrainOptions,
    checkpoint: Path,
    progress: Stage | None,
    device: str,
    encoder: KeptEncoder,
    embedding_std: float | None,
) -> TrainLog:
    rows, start = data.split("train"), {"embedding_std": embedding_std, "model": _described(model)}
    if isinstance(model, Supernet):
        return train_supernet(
            model, rows, options, checkpoint=checkpoint, progress=progress, device=device, encoder=encoder, start=start
        )
    return train_subnet(
        model,
        rows,
        data.split("validation"),
        options,
        checkpoint=checkpoint,
        progress=progress,
        device=device,
        encoder=encoder,
        start=start,
    )


def _described(model: Model) -> str:
    """What a checkpoint belongs to: shapes alone would let one architecture go on with the weights of another."""
    if not isinstance(model, (Supernet, Subnet)):
        return type(model).__name__
    facts = asdict(model.space) if isinstance(model, Supernet) else model.arch.to_json()
    digest = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{type(model).__name__} {digest[:16]}"


def _tested(name: str, model: Model, data: Prepared, device: str) -> dict[str, Any]:
    rows = data.split("test")
    with _leaders_stage(f"{name}: scoring") as progress:
        logits = predict(model, rows, progress=progress, device=device, team=team())
    return {"rows": len(rows), "log_loss": log_loss(logits, rows.labels), "auc": auc(logits, rows.labels)}


def _leaders_stage(description: str) -> AbstractContextManager[Stage | None]:
    """A stage that the leader of several processes shows for all."""
    return stage(description, unit="rows") if team().leads else nullcontext()


def _last(log: TrainLog) -> float:
    """The validation log loss of the epoch that was kept; of a supernet, the last of training."""
    return log.scores[log.best_epoch - 1].log_loss if log.scores else log.losses[-1][1]
