"""A sweep gives, design by design, what `evaluate` gives, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars
import pytest

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec, Workload, evaluate, presets
from pimsim.sweep import COUNTS, Space, sweep, sweep_to_parquet

WORKLOAD = Workload("w", (
    Gather("t", 5000, 16),
    MatVec("a", 429, 300, after=("t",)),
    Elementwise("r", "relu", 300, 16, after=("a",)),
    MatVec("b", 27, 20, vectors=16, weight_bits=4, signed_inputs=True, input_density=0.3, after=("t",)),
    MatMul("d", 20, 16, 20, symmetric=True, after=("b",)),
    MatVec("h", 490, 1, after=("r", "d")),
))
SPACE = Space(presets.isaac().with_tiles(None), {
    "rows": (64, 100, 512), "columns": (32, 128), "cell_bits": (1, 3), "dac_bits": (1, 4), "adc_bits": (None, 6),
    "columns_per_adc": (8, 64), "active_rows": (16, 100), "copies": (1, 5)})


def test_every_design_equals_evaluate_to_the_last_bit() -> None:
    parts = list(sweep(WORKLOAD, SPACE, chunk=100))
    table = polars.concat([polars.DataFrame(part) for part in parts])
    possible = sum(c <= w and a <= r for r in (64, 100, 512) for w in (32, 128) for c in (8, 64) for a in (16, 100))
    assert table.height == possible * 16
    rng = np.random.default_rng(1)
    for row in table.sample(200, seed=int(rng.integers(1000))).iter_rows(named=True):
        chip = SPACE.chip.with_options(**{name: row[name] for name in SPACE.axes if name != "copies"})
        report = evaluate(WORKLOAD, chip, copies=row["copies"])
        for name in ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2", "crossbars"):
            assert getattr(report, name) == row[name], name
        assert (report.mapping.utilization, report.mapping.tiles) == (row["utilization"], row["tiles"])


def test_results_do_not_depend_on_the_chunk() -> None:
    whole = next(iter(sweep(WORKLOAD, SPACE, chunk=10**6)))
    pieces = list(sweep(WORKLOAD, SPACE, chunk=7))
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([piece[name] for piece in pieces]))


def test_designs_that_the_workload_does_not_fit_are_left_out() -> None:
    chip = presets.isaac().with_tiles(1)
    space = Space(chip, {"rows": (16, 128), "cell_bits": (1, 2)})
    kept = next(iter(sweep(WORKLOAD, space)))
    fits = [(r, c) for r in (16, 128) for c in (1, 2) if _fits(chip.with_options(rows=r, cell_bits=c))]
    assert list(zip(kept["rows"].tolist(), kept["cell_bits"].tolist(), strict=True)) == fits
    assert 0 < len(fits) < 4
    none = next(iter(sweep(WORKLOAD, Space(chip, {"rows": (2, 3)}))))
    assert all(len(values) == 0 for values in none.values())


def _fits(chip: object) -> bool:
    try:
        evaluate(WORKLOAD, chip)  # type: ignore[arg-type]
    except InputError:
        return False
    return True


def test_parquet_holds_every_design_and_progress_reaches_the_end(tmp_path: Path) -> None:
    out, seen = tmp_path / "new" / "sweep.parquet", []
    written = sweep_to_parquet(WORKLOAD, SPACE, out, progress=seen.append, chunk=100)
    table = polars.read_parquet(out)
    assert table.height == written
    assert sum(seen) == len(SPACE)
    assert set(COUNTS) < set(table.columns)
    assert table["energy_j"].min() > 0  # type: ignore[operator]
    assert [path.name for path in out.parent.iterdir()] == ["sweep.parquet"]


def test_a_failing_sweep_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chips is 2"):
        sweep_to_parquet(WORKLOAD, SPACE, tmp_path / "x.parquet", chips=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("axes", "message"), [
    ({"row": (1,)}, "no axis 'row', allowed: rows, columns"), ({"rows": ()}, "axis 'rows' has ()"),
    ({"rows": 64}, "axis 'rows' has 64, allowed: a tuple"), ({"rows": np.arange(64, 66)}, "axis 'rows' has array"),
    ({"rows": (64, None)}, "axis 'rows' has")])
def test_bad_spaces_are_refused(axes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Space(presets.isaac(), axes)
    assert message in str(caught.value)
