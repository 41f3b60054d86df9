"""The data of a run: prepared at its first call, whatever the run is for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from nasrec.data.keepsake import VOCABULARY, KeptEncoder, keep_encoder
from nasrec.data.prepare import prepare
from nasrec.data.prepared import PREPARED_JSON, Prepared
from nasrec.data.source import open_source
from nasrec.data.split import SPLITS
from nasrec.errors import InputError
from nasrec.progress import stage
from nasrec.run import RunOf

STAGE = "data"


def prepared_data(run: RunOf[Any]) -> Prepared:
    """The run's data: the prepared folder it was pointed at, or its own, made at the first call.

    Raises InputError where they are not those of the first call, or a split has no rows: known now, and not at the end.
    """
    kind, _, place = run.data.partition(":")
    if kind == "prepared":
        data = Prepared.open(Path(place))
        data.require_rows(*SPLITS)
        run.stage(STAGE, partial(_noted, data))
    else:
        folder = run.folder / "data"
        run.stage(STAGE, partial(_prepare, run, folder))
        data = Prepared.open(folder)
        data.require_rows(*SPLITS)
    check_same(run, data)
    return data


def check_same(run: RunOf[Any], data: Prepared) -> None:
    """Raise InputError where `run` has begun with other data; an older release did not note which."""
    noted = run.stage(STAGE, dict).get("digest") if run.done(STAGE) else None
    if noted is not None and noted != data.digest:
        raise InputError(
            f"{data.folder}: other data than {run.folder} began with: digest {data.digest!r}, expected {noted!r}"
        )


def described(run: RunOf[Any], data: Prepared) -> dict[str, Any]:
    """The run's data as its summary tells of them: source, rows of each split, inputs."""
    return {"source": run.data, "rows": dict(data.split_rows), "features": data.features.to_json()}


def kept_encoder(run: RunOf[Any], data: Prepared) -> KeptEncoder:
    """The copy of the vocabulary of `data` that the run's checkpoints name; InputError where they name another."""
    return keep_encoder(run.folder / VOCABULARY, data)


def _noted(data: Prepared) -> dict[str, Any]:
    return {**data.split_rows, "digest": data.digest}


def _prepare(run: RunOf[Any], folder: Path) -> dict[str, Any]:
    section = run.options.data
    if (folder / PREPARED_JSON).exists():  # a run killed between the data and its mark that they are done
        return _noted(Prepared.open(folder))
    with stage("data: preparing", unit="rows") as progress:
        data = prepare(
            open_source(run.data),
            folder,
            seed=section.seed,
            options=section.encoding(),
            split=section.split,
            progress=progress,
        )
    return _noted(data)
