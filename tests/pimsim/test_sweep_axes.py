"""Axes of words, settings of the chip file, and what a space file refuses."""

from __future__ import annotations

from pathlib import Path

import polars
import pytest

from pimsim import Gather, InputError, MatMul, MatVec, Workload, evaluate, presets
from pimsim.space_file import space_from_toml
from pimsim.sweep import Space, Threads, sweep, sweep_to_front, sweep_to_parquet
from pimsim.tables import TablePlan

WORKLOAD = Workload("w", (
    Gather("t", 5000, 16, lookups=3.0), MatVec("a", 429, 300, input_density=0.2, after=("t",)),
    MatVec("b", 27, 20, vectors=16, after=("t",)), MatMul("d", 20, 16, 20, after=("b",)),
    MatVec("h", 490, 1, after=("a", "d"))))
SIZED = presets.isaac().with_tiles(None)
WORDS = {
    "preset": ("puma", "isaac"), "encoding": ("offset", "differential"), "flip": (False, True),
    "adc_model": ("isaac", "survey"), "interconnect": ("flat", "mesh", "htree"), "gating": ("always_on", "idle_gated"),
    "execution": ("pipelined", "sequential"), "zero_skipping": (True, False)}


def test_designs_of_words_equal_evaluate_to_the_last_bit(tmp_path: Path) -> None:
    space = Space(SIZED, {"rows": (64, 128), **WORDS, "active_rows": (9, 32), "copies": (1, 4)})
    out = tmp_path / "all.parquet"
    written = sweep_to_parquet(WORKLOAD, space, out)
    table = polars.read_parquet(out)
    assert table.columns[:len(space.axes)] == [*WORDS, "rows", "active_rows", "copies"]
    # Differential pairs cannot be flipped, and PUMA has its own converter only.
    assert written == table.height
    assert table.filter((polars.col("encoding") == "differential") & polars.col("flip")).height == 0
    assert len(space) * 3 // 8 <= written <= len(space) * 3 // 4
    for row in table.sample(200, seed=4).iter_rows(named=True):
        chip = presets.preset(row["preset"]).with_tiles(None).with_options(
            **{name: row[name] for name in space.axes
               if name not in ("preset", "gating", "execution", "copies")})
        report = evaluate(WORKLOAD, chip, copies=row["copies"], gating=row["gating"], execution=row["execution"])
        for name in ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2", "crossbars"):
            assert getattr(report, name) == row[name], name


@pytest.mark.parametrize("topology", ["flat", "mesh"])
def test_a_budget_in_the_chip_file_holds_for_all_designs(topology: str) -> None:
    plan = TablePlan("in_crossbar")
    space = Space(SIZED, {"rows": (64, 128), "interconnect": (topology,), "cell_bits": (1, 2, 4)},
                  settings={"copies": "budget", "budget_crossbars": 150, "tables": plan})
    found = polars.concat([polars.DataFrame(part) for part in sweep(WORKLOAD, space)])
    assert found.height == 6
    for row in found.iter_rows(named=True):
        chip = SIZED.with_options(**{name: row[name] for name in space.axes})
        report = evaluate(WORKLOAD, chip, copies="budget", budget_crossbars=150, tables=plan)
        assert (report.energy_j, report.latency_s, report.area_m2) == (
            row["energy_j"], row["latency_s"], row["area_m2"])


def test_a_space_of_words_alone() -> None:
    space = Space(SIZED, {"encoding": ("differential", "offset"), "flip": (False,)},
                  settings={"copies": "budget", "budget_area_m2": 5e-6})
    (first,), (second,) = (part["latency_s"].tolist() for part in sweep(WORKLOAD, space))
    for name, found in (("differential", first), ("offset", second)):
        chip = SIZED.with_options(encoding=name, flip=False)
        assert evaluate(WORKLOAD, chip, copies="budget", budget_area_m2=5e-6).latency_s == found
    front, count = sweep_to_front(WORKLOAD, space, objectives=("latency_s",))
    assert count == 2 and front["latency_s"].tolist() == [min(first, second)]
    none, count = sweep_to_front(WORKLOAD, Space(SIZED, {}))
    assert count == 1 and none["energy_j"].tolist() == [evaluate(WORKLOAD, SIZED).energy_j]


def test_the_front_does_not_depend_on_the_number_of_workers() -> None:
    space = Space(SIZED, {"encoding": ("offset", "differential"), "rows": (64, 128, 256), "flip": (False,),
                          "cell_bits": (1, 2, 4), "columns_per_adc": (4, 8, 16, 32), "copies": (1, 2, 4, 16)})
    fronts = [sweep_to_front(WORKLOAD, space, chunk=7, workers=Threads(count))[0] for count in (1, 2, 5)]
    assert len(fronts[0]["rows"]) >= 5
    for front in fronts[1:]:
        assert {name: values.tolist() for name, values in front.items()} == {
            name: values.tolist() for name, values in fronts[0].items()}


def test_a_space_in_which_no_words_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"chip.flip is True, allowed with encoding 'differential': only False"):
        list(sweep(WORKLOAD, Space(SIZED, {"encoding": ("differential",), "flip": (True,)})))


def test_presets_that_cannot_sum_tables_are_left_out(tmp_path: Path) -> None:
    axes = {"preset": ("isaac", "neurram", "puma"), "rows": (64, 128)}
    summed = {"tables": TablePlan("in_crossbar")}
    one = Space(SIZED, {**axes, "preset": ("isaac", "puma")}, settings=summed)
    out = tmp_path / "all.parquet"
    assert sweep_to_parquet(WORKLOAD, Space(SIZED, axes, settings=summed), out) == 4
    table = polars.read_parquet(out)
    assert table["preset"].to_list() == ["isaac", "isaac", "puma", "puma"]
    assert table["energy_j"].to_list() == [energy for part in sweep(WORKLOAD, one) for energy in part["energy_j"]]
    _, designs = sweep_to_front(WORKLOAD, Space(SIZED, axes, settings=summed))
    assert designs == 4
    # Nothing to sum in crossbars: all presets are there.
    for workload, settings in ((Workload("w", (MatVec("m", 64, 64),)), {}), (WORKLOAD, {"dram": True}),
                               (WORKLOAD, {"dram_tables": ["t"]}), (WORKLOAD, {"tables": {}})):
        parts = list(sweep(workload, Space(SIZED, axes, settings=summed), **settings))
        assert sum(len(part["rows"]) for part in parts) == 6, settings


def test_a_space_in_which_no_preset_sums_tables_is_refused() -> None:
    with pytest.raises(InputError, match=r"^t: tables.tier is 'in_crossbar', allowed on this chip: bank, dram, split"):
        list(sweep(WORKLOAD, Space(SIZED, {"preset": ("neurram",)}, settings={"tables": TablePlan("in_crossbar")})))


@pytest.mark.parametrize(("axes", "message"), [
    ({"encoding": ("offset", "both")}, "axis 'encoding' has 'both', allowed: offset, differential"),
    ({"preset": ("isac",)}, "axis 'preset' has 'isac', allowed: isaac"),
    ({"rows": (64, 64)}, "allowed: each value once"),
    ({"copies": (1,), "budget_area_m2": (1e-5,)}, "'copies' and 'budget_area_m2' are both given")])
def test_words_that_no_chip_has_are_refused(axes: dict[str, tuple[object, ...]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Space(SIZED, axes)
    assert message in str(caught.value)


SPACE = """\
preset = ["isaac", "puma"]
gating = ["always_on"]
[chip]
preset = "isaac"
tiles = "sized"
[chip.crossbar]
cell_bits = 1
[chip.mapping]
copies = 3
[chip.tables]
tier = "dram"
[crossbar]
rows = [64, 128]
[adc]
bits = ["lossless", 6]
[readout]
encoding = ["offset"]
"""


def test_a_space_file_with_words_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    space = space_from_toml(path)
    assert space.settings["copies"] == 3
    assert space.settings["tables"].tier == "dram"
    assert space.presets["puma"] == presets.preset("puma").with_tiles(None).with_options(cell_bits=1)
    table = polars.concat([polars.DataFrame(part) for part in sweep(WORKLOAD, space)])
    assert table.height == 8
    for row in table.iter_rows(named=True):
        chip = space.presets[row["preset"]].with_options(rows=row["rows"], adc_bits=row["adc_bits"])
        report = evaluate(WORKLOAD, chip, copies=3, tables=TablePlan("dram"), gating="always_on")
        assert (report.energy_j, report.latency_s) == (row["energy_j"], row["latency_s"])


@pytest.mark.parametrize(("old", "new", "message"), [
    ('encoding = ["offset"]', 'encoding = "offset"', "key 'readout.encoding'"),
    ('encoding = ["offset"]', 'encode = ["offset"]', "unknown key 'readout.encode', allowed: active_rows"),
    ('["isaac", "puma"]', '["isaac", "pumas"]', "'pumas'"),
    ('["always_on"]', '["off"]', "key 'gating.0' is 'off'"),
    ("[64, 128]", "[64, 1]", "key 'crossbar.rows.1' is 1, allowed: whole numbers from 2 to 4096"),
    ("[64, 128]", "64", "key 'crossbar.rows' is 64, allowed: a list of one or more, whole numbers from 2 to 4096"),
    ("[64, 128]", "[]", "key 'crossbar.rows' is [], allowed: a list of one or more, whole numbers from 2 to 4096"),
    ('tiles = "sized"', "tiles = 0", "key 'chip.tiles' is 0, allowed: whole numbers from 1 to 1000000, or \"sized\""),
    ('preset = ["isaac", "puma"]', 'preset = ["neurram"]', "chip.encoding is 'offset', allowed with pairs 'rows'"),
    ("copies = 3", "copies = 0", "key 'chip.mapping.copies"),
    ('tier = "dram"', 'tier = "dram"\nreplicas = 4', "tables.replicas is 4, allowed with tier 'dram': only 1")])
def test_a_space_file_is_refused_with_its_name_and_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE.replace(old, new))
    with pytest.raises(InputError) as caught:
        space_from_toml(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
