"""Trainings that several processes do together: `torchrun train_together.py FOLDER` keeps what each process found.

`test_distributed.py` does them in one process too, and compares.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows
from safetensors.torch import save_file

from nasrec.arch import Precision
from nasrec.data.dataset import share_of
from nasrec.data.features import Features, Table
from nasrec.distributed import joined_team, team
from nasrec.model.baselines import DLRM
from nasrec.model.supernet import Supernet
from nasrec.predict import predict
from nasrec.space import Space
from nasrec.train import TrainLog, TrainOptions, train_subnet, train_supernet

SPACE = Space("tiny", blocks=2, dense_widths=(8, 16), sparse_widths=(4, 6), weight_bits=(32,), input_bits=(32,))
BAGS = Features(FEATURES.dense, (*FEATURES.tables[:2], Table("tags", 7, lookups=1.5, multi_hot=True)))
SUPERNET = TrainOptions(
    epochs=2, batch_size=64, learning_rate=0.03, seed=3, clip_norm=0.5
)  # 641 rows: the last batch has one
SUBNET = TrainOptions(epochs=6, batch_size=50, learning_rate=0.5, seed=1)


@dataclass
class BagRows:
    """Rows whose last table is multi-hot: a row has none, one or two of its ids."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int, *, seed: int | None, start: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator:
        order = np.random.default_rng(seed).permutation(len(self))
        for first in range(start * size, len(self), size):
            numbers = order[first : first + size]
            yield self.take(numbers[share_of(len(numbers), share)])

    def take(self, numbers: np.ndarray) -> Rows:
        rows = self.rows.take(numbers)
        counts = np.concatenate([np.ones(2 * len(numbers), np.int64), numbers % 3])
        bags = [id for id, count in zip(rows.ids[:, 2], numbers % 3, strict=True) for id in [id, 6 - id][:count]]
        ids = np.concatenate([rows.ids[:, 0], rows.ids[:, 1], np.array(bags, np.int64)])
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return Rows(rows.dense, ids, rows.labels, offsets)


TRAIN, _ = first_order_rows(641)  # the last batch of an epoch has one row: one process gets none
VALIDATION, _ = first_order_rows(301, seed=1)


def supernet(seed: int = 0) -> Supernet:
    return Supernet(SPACE, BAGS, generator=torch.Generator().manual_seed(seed))


def dlrm(seed: int = 0) -> DLRM:
    """A quantised model in float64: in float32 a last bit now and then changes a code, and with it the fifth digit."""
    generator = torch.Generator().manual_seed(seed)
    return DLRM(FEATURES, bottom=(8,), top=(16,), precision=Precision(8, 8), generator=generator).double()


def of_supernet(model: Supernet) -> TrainLog:
    return train_supernet(model, BagRows(TRAIN), SUPERNET)


def of_subnet(model: DLRM, checkpoint: Path, copy: Path | None = None) -> TrainLog:
    """Train to the best of six epochs; with `copy`, keep the checkpoint of the middle of the fifth there."""

    def report(done: int, total: int | None) -> None:
        if copy is not None and done >= 4 * 641 + 300 and not copy.exists():
            shutil.copytree(checkpoint.parent, copy)

    return train_subnet(model, TRAIN, VALIDATION, SUBNET, checkpoint=checkpoint, progress=report, save_every_s=0)


def main(folder: Path) -> None:
    """Each training with other first weights in each process: the leader's count."""
    torch.set_num_threads(1)
    with joined_team("cpu"):
        me = team().rank
        shared = supernet(me)
        log = of_supernet(shared)
        model = dlrm(me)
        (folder / "together").mkdir(exist_ok=True)
        subnet = of_subnet(model, folder / "together" / "c.safetensors", folder / "middle")
        resumed = dlrm(7 + me)
        again = of_subnet(resumed, folder / "alone" / "c.safetensors")
        for name, found in (("supernet", shared), ("subnet", model), ("resumed", resumed)):
            save_file(found.state_dict(), folder / f"{name}-{me}.safetensors")
        logs = {"supernet": log.to_json(), "subnet": subnet.to_json(), "resumed": again.to_json()}
        logits = predict(model, VALIDATION, 100, team=team()).tolist()
        (folder / f"found-{me}.json").write_text(json.dumps({**logs, "logits": logits}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
