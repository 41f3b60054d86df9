"""What a trained model needs of its data once they are gone: the encoder, and a few rows that set its input ranges."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.array_file import ArrayFile
from nasrec.data.arrays import Arrays, Shapes, bag_ids, bag_offsets
from nasrec.data.dataset import Dataset
from nasrec.data.encoder import ENCODER_JSON, Encoder
from nasrec.data.prepared import Prepared
from nasrec.errors import InputError
from nasrec.files import read_json, write_json

KEEPSAKE_JSON = "rows.json"
VOCABULARY = "vocabulary"  # in a run's folder: what `keep_encoder` writes


@dataclass(frozen=True)
class KeptEncoder:
    """An encoder kept in `folder`, and its digest: what the ids mean that a model was trained on.

    `data` is the digest of the prepared data that it was taken from: what a training may go on with.
    """

    folder: Path
    digest: str
    data: str

    def facts(self, checkpoint: Path) -> dict[str, Any]:
        """How the file `checkpoint` names it: the folder as seen from the file, and the digest."""
        return {"encoder": {"folder": os.path.relpath(self.folder, checkpoint.parent), "digest": self.digest}}


def keep_encoder(folder: Path, data: Prepared) -> KeptEncoder:
    """Keep a copy of the encoder of `data` in `folder`, for all checkpoints of a run.

    Raises InputError where `folder` keeps another one: what was trained on its ids knows nothing of these.
    """
    encoder = Encoder.load(data.folder)  # not `data.encoder`, which would stay in memory
    digest = encoder.digest()
    if not (folder / ENCODER_JSON).exists():
        folder.mkdir(parents=True, exist_ok=True)
        encoder.save(folder)
    elif Encoder.load(folder).digest() != digest:
        raise InputError(f"{data.folder}: encoded with another vocabulary than the one kept in {folder}")
    return KeptEncoder(folder, digest, data.digest)


def save_keepsake(folder: Path, encoder: Encoder, rows: Dataset) -> None:
    """Write the encoder and all of `rows` (some hundreds) into `folder`; `rows.json` comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder.save(folder)
    batch, tables = rows.batch(slice(None)), encoder.features.tables
    count = len(batch)
    arrays: dict[str, NDArray[np.generic]] = {"labels.npy": batch.labels.astype(np.uint8), "dense.npy": batch.dense}
    if batch.offsets is None:
        plain = list(batch.ids.T)
    else:
        plain = []
        for table, described in enumerate(tables):
            offsets = batch.offsets[table * count : (table + 1) * count + 1]
            ids = batch.ids[offsets[0] : offsets[-1]]
            if described.multi_hot:
                arrays |= {bag_ids(table): ids.astype(np.int32), bag_offsets(table): offsets - offsets[0]}
            else:
                plain.append(ids)
    arrays["ids.npy"] = np.stack(plain, axis=1).astype(np.int32) if plain else np.zeros((count, 0), np.int32)
    for name, array in arrays.items():
        with ArrayFile(folder / name, array.dtype, array.shape[1:]) as file:
            file.append(array)
    shapes = {name: {"type": str(array.dtype), "shape": list(array.shape)} for name, array in arrays.items()}
    write_json(folder / KEEPSAKE_JSON, {"format": "nasrec.rows", "version": 1, "arrays": shapes})


def load_keepsake(folder: Path) -> tuple[Encoder, Dataset]:
    """Read what `save_keepsake` wrote; raises InputError naming the file that is missing or does not fit."""
    path = folder / KEEPSAKE_JSON
    found = read_json(path, format="nasrec.rows")
    try:
        shapes: Shapes = {
            name: (str(array["type"]), tuple(int(size) for size in array["shape"]))
            for name, array in found["arrays"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a description of rows: {error}") from None
    encoder = Encoder.load(folder)
    arrays = Arrays(folder, encoder.features, shapes)
    return encoder, Dataset(arrays, np.arange(len(arrays.labels)))
