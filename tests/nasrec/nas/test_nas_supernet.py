"""Training the supernet of a search, interrupted on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from nasrec.data.prepare import prepare
from nasrec.data.synthetic import SyntheticLog
from nasrec.errors import InputError
from nasrec.nas import supernet
from nasrec.nas.options import NasOptions, NasSpaceOptions, NasSupernetOptions


def test_embeddings_do_not_go_on_with_another_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while the DLRM trains, before the supernet has begun."""

    def stop(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    space = NasSpaceOptions(blocks=1, dense_widths=(16,), sparse_widths=(16,))
    options = NasOptions(space=space, supernet=NasSupernetOptions(warm_start=True))
    data, other = (prepare(SyntheticLog(300, seed), tmp_path / f"data{seed}", seed=0) for seed in (0, 1))
    monkeypatch.setattr(supernet, "train_subnet", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            supernet.train_nas_supernet(tmp_path / "run", data, options)
    with pytest.raises(InputError, match="data1: encoded with another vocabulary"):
        supernet.train_nas_supernet(tmp_path / "run", other, options)
