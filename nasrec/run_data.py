"""The data of a run: prepared at its first call, whatever the run is for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

from nasrec.data.keepsake import VOCABULARY, KeptEncoder, keep_encoder
from nasrec.data.prepare import prepare
from nasrec.data.prepared import PREPARED_JSON, Prepared, PreparedLog
from nasrec.data.source import Source, open_source
from nasrec.data.split import SPLITS
from nasrec.errors import InputError
from nasrec.options import DataOptions
from nasrec.progress import stage
from nasrec.run import RunOf
from nasrec.sections import Options

STAGE = "data"


def with_data_options(options: Options, source: Source, given: DataOptions | None = None) -> Options:
    """`options` of a run whose `[data]` says how `source` was prepared, where that is known already.

    Raises InputError for an option that was set (in `given`, or else in `options`) and is not what prepared data were
    made with: it would change nothing.
    """
    if not isinstance(source, PreparedLog):
        return options
    section = cast(Any, options).data
    given = section if given is None else given
    made = made_with(source.prepared)
    for name in sorted(given.model_fields_set & set(made)):
        if getattr(given, name) != made[name]:
            raise InputError(
                f"data.{name} is {getattr(given, name)!r}, but {source.spec} was made with {made[name]!r}: "
                "leave it out, or prepare the log anew"
            )
    return options.model_copy(update={"data": section.model_copy(update=made)})


def made_with(data: Prepared) -> dict[str, Any]:
    """What prepared data were made with, by the names of `[data]`; without the split where the folder does not say."""
    encoding = data.encoder.options
    known = {"seed": data.seed, "max_rows": encoding.max_rows, "min_count": encoding.min_count}
    known |= {"hashing": encoding.categories == "hash"}
    return known if data.split_method is None else {**known, "split": data.split_method}


def prepared_data(run: RunOf[Any]) -> Prepared:
    """The run's data: the prepared folder it was pointed at, or its own, made at the first call.

    Raises InputError where they are not those of the first call, or a split has no rows, or no column is a category or
    a bag: known now, and not at the end.
    """
    kind, _, place = run.data.partition(":")
    if kind == "prepared":
        data = Prepared.open(Path(place))
        _check_usable(data)
        run.stage(STAGE, partial(_noted, data))
    else:
        folder = run.folder / "data"
        run.stage(STAGE, partial(_prepare, run, folder))
        data = Prepared.open(folder)
        _check_usable(data)
    check_same(run, data)
    return data


def _check_usable(data: Prepared) -> None:
    data.require_rows(*SPLITS)
    if not data.features.tables:
        raise InputError(f"{data.folder}: no category and no bag: the sparse operators of the space need one at least")


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
