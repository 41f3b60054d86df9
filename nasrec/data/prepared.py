"""Prepared data: a folder with the arrays for training, the encoder, and `prepared.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.data.arrays import Arrays, Shapes, map_array
from nasrec.data.dataset import Dataset
from nasrec.data.encoder import Encoder, EncodingOptions
from nasrec.data.features import Features
from nasrec.data.schema import Schema
from nasrec.data.split import SPLITS, SplitMethod
from nasrec.errors import InputError
from nasrec.files import read_json

PREPARED_JSON = "prepared.json"
DIGESTED = ("labels.npy", *(f"{name}.npy" for name in SPLITS), "access.npy")
DIGEST_BYTES = 1 << 24


@dataclass(frozen=True)
class Prepared:
    """Data ready for training. `arrays` names every array file with its element type and shape; `optima` is the log
    loss of the planted truth by split, None where there is none; `access` sums up how often table rows are read.
    `split_method` and `noted_digest` (see `digest`) are None in folders that an older release made."""

    folder: Path
    source: str
    rows: int
    seed: int
    split_rows: dict[str, int]
    features: Features
    arrays: Shapes
    optima: dict[str, float] | None
    access: tuple[dict[str, Any], ...]
    split_method: SplitMethod | None = None
    noted_digest: str | None = None

    @classmethod
    def open(cls, folder: Path) -> Prepared:
        """Open what `nasrec.data.prepare` wrote and check that every array is whole.

        Raises InputError naming the folder or file that is not prepared data, cut off, or does not fit the others.
        """
        path = folder / PREPARED_JSON
        if not path.is_file():
            raise InputError(f"{folder}: not prepared data (no {PREPARED_JSON} in it)")
        prepared = cls.from_json(read_json(path, format="nasrec.prepared"), str(path), folder)
        for name in prepared.arrays:
            map_array(folder, name, prepared.arrays)
        return prepared

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that made these rows, to be applied to other logs of the same schema."""
        return Encoder.load(self.folder)

    @cached_property
    def digest(self) -> str:
        """What other rows, labels or splits do not share: `digest_of` the folder, read anew only if it is not noted."""
        return self.noted_digest or digest_of(self.folder)

    def require_rows(self, *splits: str) -> None:
        """Raise InputError naming the first of `splits` that has no rows."""
        for name in splits:
            if self.split_rows[name] == 0:
                raise InputError(f"{self.folder}: no row is for {name}: expected rows for {', '.join(splits)}")

    def split(self, name: str) -> Dataset:
        """The rows of "train", "validation" or "test", shuffled; or of "all", in the order of the log."""
        if name == "all":
            return Dataset(self._mapped, np.arange(self.rows))
        if name not in SPLITS:
            raise InputError(f"split {name!r}, allowed are {', '.join(SPLITS)} and all")
        return Dataset(self._mapped, map_array(self.folder, f"{name}.npy", self.arrays))

    def optimum(self, split: str) -> float | None:
        """Mean log loss (nats) of the planted probabilities on the rows of `split`; None for data without a truth."""
        return None if self.optima is None else self.optima.get(split)

    def access_counts(self) -> tuple[NDArray[np.int64], ...]:
        """For each table, how often the training rows read each of its rows, int64 [rows]."""
        counts = map_array(self.folder, "access.npy", self.arrays)
        return tuple(np.split(counts, np.cumsum([table.rows for table in self.features.tables])[:-1]))

    @cached_property
    def _mapped(self) -> Arrays:
        return Arrays(self.folder, self.features, self.arrays)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        later = {"split_method": self.split_method, "digest": self.noted_digest}
        return {
            "source": self.source,
            "rows": self.rows,
            "seed": self.seed,
            "split": self.split_rows,
            "features": self.features.to_json(),
            "arrays": {name: {"type": kind, "shape": list(shape)} for name, (kind, shape) in self.arrays.items()},
            "optimum": self.optima,
            "access": list(self.access),
            **{key: value for key, value in later.items() if value is not None},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str, folder: Path) -> Prepared:
        """Rebuild from `to_json`; raises InputError naming `where` and the key that is missing, unknown or unusable."""
        keys = {"source", "rows", "seed", "split", "features", "arrays", "optimum", "access"}
        for key in sorted(keys ^ (set(data) - {"split_method", "digest"})):
            raise InputError(f"{where}: key {key!r} is {'missing' if key in keys else 'unknown'}")
        method, digest = data.get("split_method"), data.get("digest")
        if method not in (None, *get_args(SplitMethod)):
            allowed = ", ".join(get_args(SplitMethod))
            raise InputError(f"{where}: key 'split_method' is {method!r}: allowed are {allowed}")
        if not isinstance(digest, str | None) or digest == "":
            raise InputError(f"{where}: key 'digest' is {digest!r}, expected a text")
        try:
            return cls(
                folder,
                str(data["source"]),
                int(data["rows"]),
                int(data["seed"]),
                {name: int(data["split"][name]) for name in SPLITS},
                Features.from_json(data["features"], f"{where}, key 'features'"),
                {name: (str(a["type"]), tuple(int(n) for n in a["shape"])) for name, a in data["arrays"].items()},
                None if data["optimum"] is None else {name: float(loss) for name, loss in data["optimum"].items()},
                tuple(dict(table) for table in data["access"]),
                method,
                digest,
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: not a description of prepared data: {error}") from None


def digest_of(folder: Path) -> str:
    """The SHA-256 of the files `DIGESTED` of prepared data, one after the other.

    Labels, splits, and how often training reads each row of a table stand for the inputs, which would take far longer.
    """
    found = sha256()
    for name in DIGESTED:
        with (folder / name).open("rb") as file:  # ordinary reads: a map would count as this process's memory
            while part := file.read(DIGEST_BYTES):
                found.update(part)
    return found.hexdigest()


class PreparedLog:
    """The source `prepared:FOLDER`: rows that are encoded already, through `.prepared`."""

    planted = False
    expected_frames = 0.0

    def __init__(self, folder: Path) -> None:
        self.prepared = Prepared.open(folder)
        self.spec = f"prepared:{folder}"
        self.schema: Schema = self.prepared.encoder.schema
        self.rows: int | None = self.prepared.rows
        self.files = (folder / PREPARED_JSON,)

    def encoded(self, encoder: Encoder | None, options: EncodingOptions | None) -> Prepared:
        """The data as they are; InputError if they were encoded by another encoder, or with other options."""
        mine = self.prepared.encoder
        if encoder is not None and encoder.digest() != mine.digest():
            raise InputError(f"{self.spec}: encoded with another vocabulary; give the log that it was made from")
        if encoder is None and options is not None and options != mine.options:
            raise InputError(
                f"{self.spec}: encoded with {mine.options.to_text()}, not {options.to_text()}; prepare the log anew"
            )
        return self.prepared

    def frames(self, start: int = 0) -> Iterator[pl.DataFrame]:
        """None: the rows that were read are not kept."""
        raise InputError(f"{self.spec}: holds encoded rows; give the log that it was made from")
