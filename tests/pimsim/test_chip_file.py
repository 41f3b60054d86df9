"""Chip files, space files and settings: round trip and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pimsim import Chip, InputError, presets
from pimsim.chip_file import (
    chip_from_toml,
    chip_named,
    chip_to_toml,
    copies_named,
    placing_named,
    write_chip,
)
from pimsim.space_file import space_from_toml
from pimsim.tables import TablePlan

ISAAC = presets.isaac()


@pytest.mark.parametrize("chip", [
    ISAAC, ISAAC.with_tiles(None), ISAAC.with_tiles(12),
    ISAAC.with_options(rows=64, columns=256, cell_bits=4, dac_bits=2, adc_bits=None, columns_per_adc=8),
    ISAAC.with_options(active_rows=9, encoding="differential", flip=False, adc_model="survey", adc_bits=3),
    ISAAC.with_options(rows=64).with_tiles(None).at_node(65), ISAAC.with_options(adc_model="survey").at_node(7),
    presets.neurram().at_node(65)])
def test_a_chip_file_reads_back_to_an_equal_chip(chip: Chip, tmp_path: Path) -> None:
    write_chip(tmp_path / "chip.toml", chip)
    assert chip_from_toml(tmp_path / "chip.toml") == chip
    assert chip_named(str(tmp_path / "chip.toml")) == chip


def test_a_short_file_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_text('preset = "isaac"\n[crossbar]\nrows = 256\n')
    assert chip_from_toml(path) == ISAAC.with_options(rows=256)
    changed = chip_from_toml(path, ["crossbar.rows=64", "adc.bits=lossless", "tiles=sized", "readout.flip=false"])
    assert changed == ISAAC.with_options(rows=64, adc_bits=None, flip=False).with_tiles(None)
    assert chip_named("isaac", ["adc.model=survey"]) == ISAAC.with_options(adc_model="survey")
    assert chip_named("isaac", ["node_nm=65", "crossbar.rows=64"]) == ISAAC.with_options(rows=64).at_node(65)
    assert chip_from_toml(path, ["node_nm=32"]) == ISAAC.with_options(rows=256)


@pytest.mark.parametrize(("text", "message"), [
    ("preset = ", "not valid TOML"),
    ('preset = "isaac"\nnode_nm = 28', "chip.toml: technology: no scaling for 28 nm, allowed: 130, 90, 65"),
    ("tiles = 3", "key 'preset' is missing"),
    ('preset = "isacc"', "no chip preset 'isacc', allowed: isaac"),
    ('preset = "isaac"\nrows = 3', "unknown key 'rows', allowed: format, version, preset, tiles, node_nm, crossbar"),
    ('preset = "isaac"\n[crossbar]\nrow = 3', "unknown key 'crossbar.row', allowed: rows, columns, cell_bits"),
    ('preset = "isaac"\n[crossbar]\nrows = 1', "key 'crossbar.rows' is 1, allowed: whole numbers from 2 to 4096"),
    ('preset = "isaac"\n[crossbar]\nrows = "128"', "key 'crossbar.rows' is '128', allowed: whole numbers"),
    ('preset = "isaac"\n[crossbar]\nrows = 128.0', "key 'crossbar.rows' is 128.0"),
    ('preset = "isaac"\ncrossbar = 3', "key 'crossbar' is 3"),
    ('preset = "isaac"\n[adc]\nbits = 0', "key 'adc.bits' is 0, allowed: whole numbers from 1 to 25, or \"lossless\""),
    ('preset = "isaac"\n[adc]\ncolumns_per_adc = 256', "columns_per_adc is 256, allowed: 1 to 128"),
    ('preset = "isaac"\n[adc]\nmodel = "flash"', "key 'adc.model' is 'flash', allowed: Input should be 'isaac'"),
    ('preset = "isaac"\ntiles = 0', "key 'tiles' is 0"),
    ('preset = "isaac"\nversion = 2', "key 'version' is 2"),
    ('preset = "isaac"\nformat = "x"', "key 'format' is 'x'"),
])
def test_bad_chip_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        chip_from_toml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("setting", "message"), [
    ("crossbar.row=3", "--set crossbar.row=3: allowed: key=value with a key of preset, tiles, node_nm, mapping.copies"),
    ("crossbar.rows", "--set crossbar.rows: allowed: key=value"),
    ("crossbar.rows=0", "chip isaac: key 'crossbar.rows' is 0"),
    ("crossbar.rows=many", "chip isaac: key 'crossbar.rows' is 'many'"),
])
def test_bad_settings_are_refused(setting: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        chip_named("isaac", [setting])
    assert message in str(caught.value)


def test_a_chip_with_changed_components_cannot_be_written() -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="its components were changed"):
        chip_to_toml(replace(ISAAC, vector_unit=replace(ISAAC.vector_unit, lanes=5)))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        chip_from_toml(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is a folder"):
        chip_from_toml(tmp_path)


SPACE = """
[chip]
preset = "isaac"
tiles = "sized"
[chip.readout]
flip = false
[crossbar]
rows = [64, 128]
[adc]
bits = ["lossless", 6]
[mapping]
copies = [1, 4, 16]
"""


def test_a_space_file(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    space = space_from_toml(path)
    assert space.chip == ISAAC.with_tiles(None).with_options(flip=False)
    assert space.axes == {"rows": (64, 128), "adc_bits": (None, 6), "copies": (1, 4, 16)}
    assert len(space) == 12


@pytest.mark.parametrize(("old", "new", "message"), [
    ("[64, 128]", "[64, 0]", "key 'crossbar.rows.1' is 0, allowed: whole numbers from 2 to 4096"),
    ("[64, 128]", "[]", "key 'crossbar.rows' is []"),
    ("[64, 128]", "64", "key 'crossbar.rows' is 64"),
    ("[mapping]", "[maping]", "unknown key 'maping', allowed: format, version, chip"),
    ("flip = false", "flop = false", "unknown key 'chip.readout.flop', allowed: active_rows, encoding, flip"),
])
def test_bad_space_files_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE.replace(old, new))
    with pytest.raises(InputError) as caught:
        space_from_toml(path)
    assert message in str(caught.value)


def test_the_examples_of_the_documentation_are_read(tmp_path: Path) -> None:
    """Every fenced example in the formats page is a file that the readers take."""
    import re

    from pimsim.files import read_workload

    docs = Path(__file__).resolve().parents[2] / "docs"
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(docs.glob("formats*.md")))
    found = 0
    readers = (("chip", "toml", chip_from_toml), ("workload", "json", read_workload),
               ("space", "toml", space_from_toml))
    for kind, suffix, read in readers:
        for text in re.findall(rf"```{suffix}\n(.*?)```", pages, re.DOTALL):
            if f'"pimsim.{kind}"' in text:
                path = tmp_path / f"example.{suffix}"
                path.write_text(text)
                read(path)
                found += 1
    assert found >= 3


def test_a_file_says_how_to_place(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_text('preset = "isaac"\ntiles = "sized"\n[mapping]\ncopies = "budget"\nbudget_crossbars = 40\n'
                    '[tables]\ntier = "split"\nhot_share = 0.25\nreplicas = 2\n')
    assert placing_named(str(path)) == {"copies": "budget", "budget_crossbars": 40,
                                        "tables": TablePlan("split", 0.25, 2)}
    assert placing_named("isaac", ["tables.tier=in_crossbar", "tables.layout=grouped"]) == {
        "copies": 1, "budget_crossbars": None, "tables": TablePlan("in_crossbar", layout="grouped")}
    with pytest.raises(InputError, match="allowed here: a whole number"):
        copies_named(str(path))
    path.write_text(path.read_text().replace("budget_crossbars = 40", "budget_area_mm2 = 2.0"))
    assert placing_named(str(path)) == {"copies": "budget", "budget_crossbars": None, "budget_area_m2": 2e-6,
                                        "tables": TablePlan("split", 0.25, 2)}
    with pytest.raises(InputError, match=r"isaac: tables\.layout is 'grouped', allowed with tier 'bank'"):
        placing_named("isaac", ["tables.layout=grouped"])
    with pytest.raises(InputError, match=r"key 'tables\.hot_share' is 2"):
        placing_named("isaac", ["tables.hot_share=2.0"])
