"""The whole equals its parts; time follows the longest path; leakage follows the gating policy."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec, Workload, evaluate, presets
from pimsim.workload import Op
from tests.pimsim.near import near

FIXED, SIZED = presets.isaac(), presets.isaac().with_tiles(None)
TABLES = tuple(Gather(f"t{i}", 50 * 4**i, 16) for i in range(6))
NETWORK = Workload("network", (
    *TABLES,
    MatVec("bottom", 13, 64),
    MatVec("wide", 96, 256, after=tuple(op.name for op in TABLES)),
    Elementwise("relu", "relu", 256, 16, after=("wide",)),
    MatVec("projection", 7, 10, vectors=16, after=("t0", "bottom")),
    MatMul("dot", 10, 16, 10, symmetric=True, after=("projection",)),
    MatVec("head", 301, 1, after=("relu", "dot")),
))


@pytest.mark.parametrize("chip", [FIXED, SIZED])
@pytest.mark.parametrize("options", [{}, {"copies": 4}, {"dram": True}, {"gating": "always_on"}])
def test_total_is_the_sum_over_operators_and_over_components(chip: object, options: dict[str, object]) -> None:
    report = evaluate(NETWORK, chip, **options)  # type: ignore[arg-type]
    assert sum(op.cost.energy_j for op in report.by_op.values()) == report.dynamic_j
    parts = report.by_component.values()
    assert sum(part.dynamic_j for part in parts) == near(report.dynamic_j)
    assert sum(part.static_j for part in parts) == near(report.static_j)
    assert sum(part.footprint.area_m2 for part in parts) == near(report.area_m2)
    assert report.energy_j == report.total.energy_j == report.dynamic_j + report.static_j
    assert report.static_j == near(report.footprint.leakage_w * report.on_s)
    assert 0 < report.interval_s <= report.latency_s


def test_latency_is_the_longest_path() -> None:
    report = evaluate(NETWORK, SIZED)
    time = {name: op.cost.latency_s for name, op in report.by_op.items()}
    tables = max(time[op.name] for op in TABLES)
    upper = tables + time["wide"] + time["relu"]
    lower = max(time["t0"], time["bottom"]) + time["projection"] + time["dot"]
    assert report.latency_s == near(max(upper, lower) + time["head"])


def test_operators_that_share_the_vector_unit_cannot_finish_before_it_is_free() -> None:
    both = Workload("w", tuple(Elementwise(f"e{i}", "relu", 32_000, 16) for i in range(2)))
    one = evaluate(Workload("w", both.ops[:1]), SIZED)
    report = evaluate(both, SIZED)
    assert report.interval_s == near(2 * one.interval_s)
    assert report.latency_s >= report.interval_s


def test_idle_gated_leaks_for_the_latency_and_always_on_between_arrivals() -> None:
    gated = evaluate(NETWORK, FIXED)
    assert gated.on_s == gated.latency_s
    assert evaluate(NETWORK, FIXED, arrival_rate_hz=10.0).on_s == gated.latency_s
    always = evaluate(NETWORK, FIXED, gating="always_on", arrival_rate_hz=10.0)
    assert always.static_j == near(always.footprint.leakage_w * 0.1)
    full = 1.0 / gated.interval_s
    assert evaluate(NETWORK, FIXED, arrival_rate_hz=full).on_s == near(gated.interval_s)
    assert evaluate(NETWORK, FIXED, gating="always_on").on_s == gated.interval_s
    with pytest.raises(InputError, match=r"arrival_rate_hz is .* at most"):
        evaluate(NETWORK, FIXED, arrival_rate_hz=full * 1.001)
    with pytest.raises(InputError, match="arrival_rate_hz is 0"):
        evaluate(NETWORK, FIXED, arrival_rate_hz=0.0)
    with pytest.raises(InputError, match="arrival_rate_hz is '5', allowed: a number"):
        evaluate(NETWORK, FIXED, arrival_rate_hz="5")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="gating is 'never', allowed: idle_gated, always_on"):
        evaluate(NETWORK, FIXED, gating="never")  # type: ignore[arg-type]


def test_a_second_chip_doubles_area_and_pays_for_links() -> None:
    one, two = evaluate(NETWORK, FIXED), evaluate(NETWORK, FIXED, chips=2)
    assert two.area_m2 == near(2 * one.area_m2)
    assert one.by_component["link"].dynamic_j == 0.0 == one.by_component["link"].static_j
    assert two.by_component["link"].dynamic_j > 0.0 < two.by_component["link"].static_j
    assert two.latency_s > one.latency_s


def test_a_sized_chip_takes_up_less_and_leaks_less() -> None:
    fixed, sized = evaluate(NETWORK, FIXED), evaluate(NETWORK, SIZED)
    assert sized.dynamic_j == fixed.dynamic_j
    assert sized.area_m2 < fixed.area_m2 / 10
    assert sized.static_j < fixed.static_j / 10
    assert sized.by_component["link"].footprint.area_m2 == 0.0


def test_dram_moves_tables_off_the_chip() -> None:
    report = evaluate(NETWORK, SIZED, dram=True)
    assert report.mapping.banks == 0
    assert report.by_component["dram"].footprint.area_m2 == 0.0
    assert report.by_component["dram"].dynamic_j == near(6 * 512 * 15e-12)
    assert "dram" not in evaluate(NETWORK, SIZED).by_component


def test_programming_and_lifetime() -> None:
    report = evaluate(Workload("w", (MatVec("m", 128, 32),)), SIZED)
    written = report.programming
    assert written.cells == 128 * 128
    assert written.energy_j == near(676e-9 / 32)
    assert written.time_s == near(351e-6 / 32)
    assert written.lifetime_s(1.0) == near(1e6 * 86_400)


@settings(max_examples=30, deadline=None)
@given(rows=st.sampled_from([32, 64, 128, 256]), columns=st.sampled_from([32, 128]), cell_bits=st.integers(1, 4),
       dac_bits=st.integers(1, 4), adc_bits=st.one_of(st.none(), st.integers(1, 12)), shared=st.sampled_from([4, 32]))
def test_any_chip_gives_positive_finite_figures(rows: int, columns: int, cell_bits: int, dac_bits: int,
                                                adc_bits: int | None, shared: int) -> None:
    chip = SIZED.with_options(rows=rows, columns=columns, cell_bits=cell_bits, dac_bits=dac_bits, adc_bits=adc_bits,
                              columns_per_adc=shared)
    report = evaluate(NETWORK, chip, copies=4)
    for figure in (report.dynamic_j, report.static_j, report.latency_s, report.area_m2, report.footprint.peak_w):
        assert 0 < figure < 100
    assert 0 < report.mapping.utilization <= 1


def test_report_json_is_plain_and_complete() -> None:
    report = evaluate(NETWORK, FIXED, copies=2)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (data["format"], data["version"]) == ("pimsim.report", 1)
    assert data["energy_j"] == report.energy_j
    assert [op["name"] for op in data["by_op"]] == [op.name for op in NETWORK.ops]
    assert sum(part["static_j"] for part in data["by_component"].values()) == near(data["static_j"])


def test_facts_of_a_two_million_mac_recommender() -> None:
    """Dynamic energy of 1 to 3 M MACs on ISAAC-like chips is a few microjoules; an idle ISAAC's leakage is far more."""
    layers: list[Gather | MatVec] = [Gather(f"t{i}", 1000, 16) for i in range(26)]
    size, after = 429, tuple(op.name for op in layers)
    for i, width in enumerate((1024, 1024, 512, 256)):
        layers.append(MatVec(f"fc{i}", size, width, after=after))
        size, after = width, (f"fc{i}",)
    report = evaluate(Workload("dlrm", tuple(layers)), FIXED)
    assert 2e6 < sum(op.macs for op in layers) < 3e6
    assert 0.8e-6 < report.dynamic_j < 3.2e-6
    assert 10e-6 < report.static_j < 830e-6


def test_ops_share_the_router_of_their_tile() -> None:
    """96 matrices of one crossbar each fill a tile; all their inputs pass its router, as those of a long matrix do."""
    many = Workload("many", tuple(MatVec(f"m{i}", 128, 32) for i in range(96)))
    one = Workload("one", (MatVec("m", 96 * 128, 32),))
    found = [evaluate(workload, SIZED) for workload in (many, one)]
    assert [report.mapping.tiles for report in found] == [1, 1]
    assert [report.interval_s for report in found] == [near(96 * 128 * 8 / 32e9)] * 2


def test_ops_share_the_links_between_chips() -> None:
    workload = Workload("w", tuple(MatVec(f"m{i}", 2048, 64) for i in range(200)))
    two = evaluate(workload, FIXED, chips=2)
    half = 200 * 2048 * 8 / 2  # bits that come from the other chip
    assert two.total.busy_s["links"] == near(half / (8 * 6.4e9 * 8))  # 4 links of 6.4 GB/s on each
    assert two.interval_s == two.total.busy_s["links"] > evaluate(workload, FIXED).interval_s


@pytest.mark.parametrize(("tables", "banks"), [(1, 1), (26, 1), (200, 4)])
def test_tables_share_the_arrays_that_banks_read_at_a_time(tables: int, banks: int) -> None:
    """A row of 16 numbers of 8 bits: 64 cells of 2 bits, read one after the other."""
    workload = Workload("w", tuple(Gather(f"t{i}", 1000, 16) for i in range(tables)))
    report = evaluate(workload, SIZED)
    row_s = 64 * SIZED.crossbar.cell.read_time.value
    assert report.mapping.banks == banks
    assert report.interval_s == near(max(row_s, tables * row_s / banks))
    assert report.latency_s >= report.interval_s


def test_vector_units_of_tiles_come_with_the_tiles() -> None:
    """PUMA has one in each of 8 cores: by tile, however many there are."""
    scaled = Workload("w", (MatVec("m", 128, 32), Elementwise("scale", "rescale", 320, 16, after=("m",))))
    puma = presets.puma()
    one, ten, whole = (evaluate(scaled, puma.with_tiles(tiles)) for tiles in (None, 10, 138))
    areas = [report.by_component["vector_unit"].footprint.area_m2 for report in (one, ten, whole)]
    assert areas == near([8 * puma.vector_unit.area.value * tiles for tiles in (1, 10, 138)])
    assert one.total.busy_s["vector_unit"] == near(80e-9)  # 2 x 320 steps on 8 lanes at 1 GHz
    assert ten.total.busy_s["vector_unit"] < one.total.busy_s["vector_unit"]
    assert evaluate(Workload("w", (Elementwise("relu", "relu", 320),)), puma.with_tiles(None)).mapping.tiles == 1


@pytest.mark.parametrize(("op", "tiles"), [
    (Elementwise("e", "relu", 320), 1), (MatMul("d", 4, 8, 4), 1), (Gather("t", 1000, 16), 0)])
def test_a_buffer_that_is_used_takes_up_room(op: Op, tiles: int) -> None:
    """Without a matrix too; a bank has a bus of its own."""
    report = evaluate(Workload("w", (op,)), SIZED)
    assert report.mapping.tiles == tiles
    assert all(part.footprint.area_m2 > 0.0 for part in report.by_component.values() if part.dynamic_j)
    assert evaluate(Workload("w", (op, MatVec("m", 4, 4))), SIZED).mapping.tiles == 1


def test_what_comes_from_off_chip_memory_passes_a_tiles_bus() -> None:
    report = evaluate(Workload("w", (Gather("t", 1000, 16),)), SIZED, dram=True)
    assert (report.mapping.tiles, report.mapping.banks) == (1, 0)
    assert report.by_component["bus"].footprint.area_m2 == SIZED.tile.bus.area.value


def test_an_area_without_room_for_the_only_tile_is_refused() -> None:
    workload = Workload("w", (Elementwise("e", "relu", 320),))
    area = evaluate(workload, SIZED).area_m2 * (1 + 1e-12)
    assert evaluate(workload, SIZED, copies="budget", budget_area_m2=area).area_m2 <= area
    with pytest.raises(InputError, match="above the budget"):
        evaluate(workload, SIZED, copies="budget", budget_area_m2=0.999 * area)


def test_writing_a_full_bank_takes_its_rows_in_turn() -> None:
    workload = Workload("w", (Gather("t", 16 * 256 * 128 * 2, 16),))  # two rows to a line of 128 cells
    report = evaluate(workload, SIZED)
    assert report.mapping.banks == 16
    assert report.programming.time_s == near(256 * 128 * SIZED.crossbar.cell.write_time.value)


def test_a_budget_below_what_stands_beside_matrices_is_refused() -> None:
    workload = Workload("w", (Gather("t", 1_000_000, 16),))
    with pytest.raises(InputError, match=r"what there is beside matrices is .* crossbars above the budget"):
        evaluate(workload, SIZED, copies="budget", budget_area_m2=1e-6)
    with pytest.raises(InputError, match="budget_area_m2 is inf, allowed: above 0, finite"):
        evaluate(workload, SIZED, copies="budget", budget_area_m2=float("inf"))
