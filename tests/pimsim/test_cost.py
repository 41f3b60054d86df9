"""Composition of costs and footprints."""

from __future__ import annotations

import numpy as np
import pytest

from pimsim import Cost, Footprint
from pimsim.cost import added_parts, total_footprint


def test_then_adds_up_and_the_busiest_resource_sets_the_interval() -> None:
    total = Cost(1.0, 2.0, {"a": 2.0, "b": 1.0}).then(Cost(10.0, 3.0, {"b": 3.0}))
    assert (total.energy_j, total.latency_s, total.busy_s, total.interval_s) == (11.0, 5.0, {"a": 2.0, "b": 4.0}, 4.0)


def test_beside_takes_the_longer_and_refuses_a_shared_resource() -> None:
    total = Cost(1.0, 2.0, {"a": 2.0}).beside(Cost(1.0, 5.0, {"b": 5.0}))
    assert (total.energy_j, total.latency_s, total.interval_s) == (2.0, 5.0, 5.0)
    with pytest.raises(ValueError, match="both use a"):
        Cost(1.0, 2.0, {"a": 2.0}).beside(Cost(1.0, 5.0, {"a": 5.0}))


def test_times_repeats() -> None:
    total = Cost(1.0, 2.0, {"a": 0.5}).times(3)
    assert (total.energy_j, total.latency_s, total.busy_s) == (3.0, 6.0, {"a": 1.5})
    assert Cost(1.0, 2.0).interval_s == 2.0


def test_costs_of_a_sweep_are_taken_design_by_design() -> None:
    total = Cost(1.0, np.array([1.0, 9.0]), {"a": np.array([1.0, 9.0])}).beside(Cost(1.0, 5.0, {"b": 5.0}))
    assert total.latency_s.tolist() == total.interval_s.tolist() == [5.0, 9.0]


def test_footprints_add_up_by_name() -> None:
    parts = added_parts([{"a": Footprint(1, 2, 3), "b": Footprint(1, 1, 1)}, {"a": Footprint(1, 1, 1).times(2)}])
    assert parts["a"] == Footprint(3, 4, 5)
    assert total_footprint(parts) == Footprint(4, 5, 6)
