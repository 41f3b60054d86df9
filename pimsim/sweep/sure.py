"""Which designs of a sweep's Pareto set are really apart, given how sure their figures are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pimsim.apart import compare, design_of
from pimsim.errors import InputError
from pimsim.sweep.read import FrontFile
from pimsim.sweep.space import Space
from pimsim.workload import Workload

MOST_COMPARED = 300  # designs of a front that are compared, evenly spaced by the first objective
_NEAR = 1e-9


def with_uncertainty(found: FrontFile, workload: Workload, space: Space, *, samples: int, seed: int,
                     **settings: Any) -> FrontFile:
    """`found` with its designs compared under common draws of their figures; see `pimsim.apart`.

    `workload`, `space` and `settings` are those of the sweep: InputError where the file says something else. A longer
    front is thinned to `MOST_COMPARED` designs.
    """
    rows = np.unique(np.linspace(0, found.front.height - 1, MOST_COMPARED).round().astype(np.int64))
    front = found.front[rows]
    designs = [design_of(row) for row in front.iter_rows(named=True)]
    compared = compare(workload, space.chip, designs, found.objectives, samples=samples, seed=seed,
                       presets=space.presets, **{**space.settings, **settings})
    for k, name in enumerate(found.objectives):
        there = front[name].to_numpy()
        other = np.flatnonzero(~np.isclose(there, compared.nominal[:, k], rtol=_NEAR, atol=0.0))
        if len(other):
            raise InputError(f"{found.path}: {name} is {there[other[0]]!r}, but {compared.nominal[other[0], k]!r} with "
                             "this workload, space and settings, needed: those of the sweep")
    return replace(found, front=front, compared=compared, left_out=found.front.height - front.height)
