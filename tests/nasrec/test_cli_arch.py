"""`nasrec arch`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run import call, refused
from typer.testing import CliRunner

from nasrec.arch import Precision
from nasrec.arch_file import read_arch, write_arch
from nasrec.cli_arch import arch_app
from nasrec.data.features import Features, Table
from nasrec.errors import InputError
from nasrec.space import FULL, SMALL

PUBLISHED = Path(__file__).resolve().parents[2] / "examples" / "published"
CRITEO = ("--dense", 13, "--sparse", 26)


def run(*arguments: object) -> str:
    """What a command that must succeed prints."""
    done = CliRunner().invoke(arch_app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def counted(*arguments: object) -> dict[str, Any]:
    return json.loads(run("show", *arguments, "--json"))


def test_show_prints_whole_numbers() -> None:
    found = counted(PUBLISHED / "criteo_full.json", "--space", "full", *CRITEO)
    assert found["macs"] == 1_448_297
    assert found["dense_parameters"] == 2_217_268
    assert found["live_dense_parameters"] == 749_764
    assert found["live_blocks"] == 4
    assert (found["space"], found["blocks"], found["embedding_parameters"]) == ("full", 7, None)
    assert counted(PUBLISHED / "criteo_full.json", "--space", "xlarge", *CRITEO) == found
    assert counted(PUBLISHED / "criteo_full.json", *CRITEO) == found
    assert counted(PUBLISHED / "criteo_small.json", "--space", "autoctr", *CRITEO)["macs"] == 2_207_808


def test_rows_give_the_tables() -> None:
    one = counted(PUBLISHED / "kdd_full.json", "--dense", 3, "--sparse", 10, "--rows", 5)
    assert one["embedding_parameters"] == 10 * 5 * 16
    each = counted(PUBLISHED / "kdd_full.json", "--dense", 3, "--sparse", 10, "--rows", ",".join("1234567891"))
    assert each["embedding_parameters"] == 46 * 16


def test_show_is_a_table_for_people() -> None:
    text = run("show", PUBLISHED / "criteo_full.json", *CRITEO)
    assert "1,448,297 MACs" in text
    assert "4 of 7 blocks live" in text
    assert "(1,304,880)" in text  # of a dead block
    assert all(len(line) <= 80 for line in text.splitlines()[:10])


def test_any_number_of_blocks(tmp_path: Path) -> None:
    config = json.loads((PUBLISHED / "criteo_full.json").read_text())
    for count in (1, 3, 6):
        short = {**config, "micro": config["micro"][:count], "macro": config["macro"][:count]}
        (tmp_path / "short.json").write_text(json.dumps(short))
        found = counted(tmp_path / "short.json", *CRITEO)
        assert found["blocks"] == count
        assert len(found["parts"]) == count + 1


def test_out_and_in_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, space in (("small", SMALL), ("full", FULL)):
        arch = space.sample(rng).with_precision(Precision(4, 8))
        (tmp_path / "ours.json").write_text(json.dumps(arch.to_json()))
        run("export", tmp_path / "ours.json", "--space", name, "--out", tmp_path / "official.json")
        run("import", tmp_path / "official.json", "--out", tmp_path / "back.json")
        assert read_arch(tmp_path / "back.json").arch == arch.with_precision(Precision())
        assert read_arch(tmp_path / "official.json").space == name


def test_import_keeps_a_published_architecture(tmp_path: Path) -> None:
    for path in PUBLISHED.iterdir():
        run("import", path, "--out", tmp_path / "ours.json")
        assert read_arch(tmp_path / "ours.json").arch == read_arch(path).arch
        space = str(read_arch(path).space)
        run("export", tmp_path / "ours.json", "--space", space, "--out", tmp_path / "again.json")
        published, again = (json.loads(file.read_text()) for file in (path, tmp_path / "again.json"))
        for block in published["macro"]:
            block["dense_idx"].sort()
            block["sparse_idx"].sort()
        assert again == published


def test_a_winners_file_knows_its_features(tmp_path: Path) -> None:
    arch = FULL.sample(np.random.default_rng(1))
    write_arch(tmp_path / "arch.json", arch, Features(2, (Table("a", 10), Table("b", 20))))
    found = counted(tmp_path / "arch.json")
    assert (found["dense"], found["sparse"], found["embedding_parameters"]) == (2, 2, 30 * 16)
    assert found["space"] is None
    other = counted(tmp_path / "arch.json", *CRITEO)
    assert (other["dense"], other["sparse"], other["embedding_parameters"]) == (13, 26, None)


def test_draw(tmp_path: Path) -> None:
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<svg")):
        run("draw", PUBLISHED / "criteo_full.json", "--out", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


def test_the_size_of_a_space() -> None:
    assert "8.1e+43 architectures" in run("space", "--space", "full")
    assert "1.9e+32 architectures" in run("space", "--space", "small")
    found = json.loads(run("space", "--space", "full", "--blocks", 1, "--json"))
    # 4 dense and 2 sparse operators, 8 and 4 widths, two switches; one input to choose from.
    assert found == {"space": "full", "blocks": 1, "architectures": 4 * 2 * 8 * 4 * 2 * 2}


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (None, CRITEO, "no such file"),
        ("{", CRITEO, "line 1: not valid JSON"),
        ('{"format": 1, "format": 2}', CRITEO, "key 'format' stands twice in one object"),
        ("[]", CRITEO, "expected a field 'blocks' .* or 'micro'"),
        ('{"micro": []}', CRITEO, "'config' is missing"),
        ('{"micro": [], "macro": [], "config": "xlarge"}', CRITEO, "blocks is empty"),
        ('{"micro": [], "config": "huge"}', CRITEO, "'huge': allowed are autoctr, xlarge"),
        ('{"micro": 3, "macro": [], "config": "xlarge"}', CRITEO, "micro is 3: expected a list"),
        ('{"micro": [{"active_nodes": ["x"]}], "macro": [{}], "config": "xlarge"}', CRITEO, "holds 'x'"),
        ('{"blocks": [], "head": {}, "colour": 1}', CRITEO, "unknown field 'colour'"),
        ("criteo_full", ("--space", "small", *CRITEO), "'config' is 'xlarge', which is not the space 'small'"),
        ("criteo_full", ("--space", "tiny", *CRITEO), "'tiny': allowed are"),
        ("criteo_full", ("--dense", 13), "give --sparse"),
        ("criteo_full", (*CRITEO, "--rows", "1,2"), "names 2 tables: one number or 26"),
        ("criteo_full", (*CRITEO, "--rows", "many"), "holds 'many'"),
    ],
)
def test_what_show_refuses(text: str | None, arguments: tuple[object, ...], words: str, tmp_path: Path) -> None:
    path = tmp_path / "arch.json"
    if text == "criteo_full":
        path = PUBLISHED / f"{text}.json"
    elif text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        run("show", path, *arguments)
    assert "\n" not in str(caught.value)


def test_what_the_others_refuse(tmp_path: Path) -> None:
    write_arch(tmp_path / "arch.json", FULL.sample(np.random.default_rng(2)))
    full = PUBLISHED / "criteo_full.json"
    for words, arguments in (
        ("is an arch.json already", ("import", tmp_path / "arch.json", "--out", tmp_path / "x.json")),
        ("uses 'gating': space 'small' has", ("export", _ours(full, tmp_path), "--space", "small", "--out", "x.json")),
        ("allowed are names that end in .png or .svg", ("draw", full, "--out", tmp_path / "x.pdf")),
        ("'tiny': allowed are small", ("space", "--space", "tiny")),
    ):
        with pytest.raises(InputError, match=words):
            run(*arguments)
    assert not (tmp_path / "x.json").exists()


def _ours(official: Path, folder: Path) -> Path:
    write_arch(folder / "ours.json", read_arch(official).arch)
    return folder / "ours.json"


def test_from_outside_bad_input_is_one_line_and_exit_code_2() -> None:
    line = refused(call("nasrec", "arch", "show", PUBLISHED / "criteo_full.json", "--space", "small", *CRITEO))
    assert "which is not the space 'small'" in line
