"""A sweep on a cluster, one of whose workers is killed: nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from polars.testing import assert_frame_equal

from pimsim import Gather, InputError, MatVec, Workload, presets
from pimsim.sweep import Space, front_to_parquet, sweep_to_parquet
from pimsim.sweep.cluster import Cluster

WORKLOAD = Workload("w", (
    Gather("t", 5000, 16), MatVec("a", 429, 300, after=("t",)), MatVec("b", 27, 20, vectors=400, after=("t",)),
    MatVec("h", 490, 1, after=("a", "b"))))
SPACE = Space(presets.isaac().with_tiles(None), {
    "encoding": ("offset", "differential"), "flip": (False,), "rows": (64, 128, 256), "cell_bits": (1, 2, 4),
    "columns": (32, 128), "dac_bits": (1, 2), "adc_bits": (None, 5, 6),
    "budget_area_m2": tuple(np.linspace(4e-6, 40e-6, 20).tolist())})


def test_one_of_four_workers_is_killed_midway(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    alone = tmp_path / "alone.parquet", tmp_path / "alone_front.parquet"
    found = tmp_path / "found.parquet", tmp_path / "found_front.parquet"
    designs = sweep_to_parquet(WORKLOAD, SPACE, alone[0], chunk=40)
    assert front_to_parquet(WORKLOAD, SPACE, alone[1], chunk=40) == designs
    with distributed.LocalCluster(4, threads_per_worker=1, dashboard_address=None) as local:
        cluster = Cluster(local.scheduler_address)
        killed: list[int] = []
        seen: list[int] = []

        def progress(done: int) -> None:
            seen.append(done)
            if sum(seen) > len(SPACE) // 4 and not killed:
                killed.append(_pid(local))
                os.kill(killed[0], signal.SIGKILL)

        assert sweep_to_parquet(WORKLOAD, SPACE, found[0], chunk=40, workers=cluster, progress=progress) == designs
        assert killed
        assert sum(seen) == len(SPACE)
        assert front_to_parquet(WORKLOAD, SPACE, found[1], chunk=40, workers=cluster) == designs
        cluster.close()
    for one, other in zip(found, alone, strict=True):
        assert_frame_equal(polars.read_parquet(one), polars.read_parquet(other))


def _pid(local: Any) -> int:
    return int(next(iter(local.workers.values())).pid)


def test_a_cluster_that_is_not_there_is_refused() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="needs the extra 'cluster'"):
            Cluster("tcp://127.0.0.1:1")
    else:
        with pytest.raises(InputError, match="expected tcp://host:port"):
            Cluster("nowhere://x")
