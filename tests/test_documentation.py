"""What the documentation shows is true: its examples are read by the real readers, the files it names exist."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nasrec.arch import Candidate
from nasrec.arch_file import read_arch
from nasrec.data.encoder import Encoder
from nasrec.data.features import Features, Table
from nasrec.data.prepared import Prepared
from nasrec.data.table import TableLog
from nasrec.files import read_json
from nasrec.hardware import counts_of
from nasrec.nas.options import NasOptions
from nasrec.nas.presets import preset
from nasrec.nas.rank import RankRun
from nasrec.nas.rank_options import RankOptions
from nasrec.nas.rank_picture import save_rank_picture
from nasrec.nas.rank_summary import correlations, noise, subnet_rows
from nasrec.nas.run import SearchRun
from nasrec.options import CodesignOptions, load_options, options_from
from nasrec.report.summary import Quality, Summary
from nasrec.run import Run
from nasrec.sections import changed, validated
from pimsim import evaluate
from pimsim.chip_file import chip_from_toml
from pimsim.files import read_workload
from pimsim.space_file import space_from_toml

ROOT = Path(__file__).resolve().parents[1]
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(toml|json)\n(.*?)```", FORMATS, re.DOTALL)


def kind_of(language: str, text: str) -> str:
    """The format that an example claims, or what it is recognised by where files carry none."""
    data = tomllib.loads(text) if language == "toml" else json.loads(text)
    if isinstance(data, list):
        return "scores"
    by_key = {"format": data.get("format"), "files": "schema", "winners": "options", "refine": "search options"}
    by_key |= {"evolution": "preset fast", "micro": "official", "macs": "counts"}
    return str(next((name for key, name in by_key.items() if key in data), "unknown"))


def example(kind: str) -> str:
    (text,) = [text for language, text in EXAMPLES if kind_of(language, text) == kind]
    return text


def read_table_schema(path: Path) -> None:
    """Read `schema.toml` and, with it, a log that has the columns it describes."""
    data = tomllib.loads(path.read_text())
    values = {"label": "4", "dense": "1.5", "category": "x", "bag": "a|b", "time": "7", "split": "train", "ignore": "?"}
    kinds = {name: entry if isinstance(entry, str) else entry["kind"] for name, entry in data["columns"].items()}
    for name in data["files"]:
        with (path.parent / name).open("w", newline="") as file:
            csv.writer(file).writerows([list(kinds), [values[kind] for kind in kinds.values()]])
    (frame,) = TableLog(path).frames()
    assert frame.columns == [name for name, kind in kinds.items() if kind != "ignore"]
    assert set(kinds.values()) == set(values), "the example shows every kind of column"


def read_winners_arch(path: Path) -> None:
    assert read_arch(path).features is not None


def read_official(path: Path) -> None:
    assert read_arch(path).official


def read_counts(path: Path) -> None:
    """The counts are those of the page's own official JSON."""
    (path.parent / "official.json").write_text(example("official"))
    found, shown = read_arch(path.parent / "official.json"), json.loads(path.read_text())
    tables = tuple(Table(f"C{index}", 1) for index in range(shown["sparse"]))
    counts = json.loads(json.dumps(counts_of(found.arch, Features(shown["dense"], tables)).to_json()))
    assert shown == {
        "space": found.space, "blocks": len(found.arch.blocks), "dense": shown["dense"], "sparse": shown["sparse"],
        **counts, "embedding_parameters": None,
    }  # fmt: skip


def read_prepared(path: Path) -> None:
    data = read_json(path, format="nasrec.prepared")
    assert Prepared.from_json(data, str(path), path.parent).to_json() == data


def read_encoder(path: Path) -> None:
    path.rename(path.with_name("encoder.json"))
    Encoder.load(path.parent)


def read_run(path: Path) -> None:
    path.rename(path.with_name("run.json"))
    Run.open(path.parent)


def read_search_run(path: Path) -> None:
    path.rename(path.with_name("run.json"))
    SearchRun.open(path.parent)


def read_search_options(path: Path) -> None:
    """All keys of the preset `paper`, with its values; those that are commented out are keys as well."""
    text = path.read_text()
    shown = tomllib.loads(text)
    assert validated(NasOptions, shown, str(path)) == preset("paper")
    optional = tomllib.loads(re.sub(r"^# (\w+ =)", r"\1", text, flags=re.MULTILINE))
    validated(NasOptions, optional, str(path))
    assert set(keys_of(optional)) == set(keys_of(NasOptions().model_dump()))


def read_preset_fast(path: Path) -> None:
    """What it changes in the preset `paper`, all of it and nothing else."""
    shown, paper = tomllib.loads(path.read_text()), preset("paper").model_dump(mode="json")
    assert changed(preset("paper"), shown, str(path)) == preset("fast")
    assert all(paper[name][key] != value for name, section in shown.items() for key, value in section.items())


def read_stage(path: Path) -> None:
    run = Run.create(path.parent / "run", "synthetic", CodesignOptions())
    (run.folder / "stages").mkdir()
    path.rename(run.folder / "stages" / "data.json")
    assert run.done("data")
    assert run.wall_s()["data"] > 0


def read_summary(path: Path) -> None:
    data = read_json(path, format="nasrec.summary")
    options_from(data["options"], str(path))
    summary = Summary.parse(data, str(path))
    assert all(winner.genotype() for winner in summary.winners)
    for strategy in summary.search.strategies.values():
        for seed in strategy.seeds:
            for trial in seed.trials:
                Candidate.from_json(trial.candidate)


def read_rank_run(path: Path) -> None:
    path.rename(path.with_name("run.json"))
    RankRun.open(path.parent)


def read_rank(path: Path) -> None:
    """The page's figures make a picture, and have the fields of a real study."""
    shown = read_json(path, format="nasrec.rank")
    RankOptions.model_validate(shown["options"])
    save_rank_picture(shown, path.with_name("rank.png"))
    trained = {"log_loss": 0.3, "test": {"log_loss": 0.3}}
    score = {"before": 0.5, "after": 0.4, "auc": None}
    rows = subnet_rows({(0, 0, 0.12): trained, (0, 1, 0.12): trained}, {"single-operator": {1: {0: score}}})
    found = correlations(rows, "single-operator", resamples=1, seed=0)
    assert_fields(shown["subnets"], rows)
    assert_fields(shown["truth"], {**noise(rows, resamples=1, seed=0), "wall_s": 1.0})
    strategy = {**found, "by_supernet": {"1": found}, "supernet_s": 1.0, "scores_s": 1.0}
    assert_fields(shown["strategies"], {"single-operator": strategy})


def assert_fields(shown: Any, real: Any) -> None:
    """Both have the same keys, at every depth."""
    if isinstance(real, dict):
        assert set(shown) == set(real)
        for key in real:
            assert_fields(shown[key], real[key])
    elif isinstance(real, list):
        for one in shown:
            assert_fields(one, real[0])


def read_scores(path: Path) -> None:
    for entry in json.loads(path.read_text()):
        assert set(entry) == {"winner", *Quality.model_fields}
        Quality.model_validate(entry)


def read_report(path: Path) -> None:
    """The report is that of the page's own workload on the page's own chip, up to what the page leaves out."""
    (path.parent / "workload.json").write_text(example("pimsim.workload"))
    (path.parent / "chip.toml").write_text(example("pimsim.chip"))
    report = evaluate(read_workload(path.parent / "workload.json"), chip_from_toml(path.parent / "chip.toml"))
    real, shown = report.to_json(), json.loads(path.read_text())
    ops = {op["name"]: op for op in real["by_op"]}
    assert set(shown) == set(real)
    for name, part in shown.pop("by_component").items():
        assert_shown(part, real["by_component"][name])
    for op in shown.pop("by_op"):
        assert_shown(op, ops[op["name"]])
    del real["by_component"], real["by_op"]
    assert_shown(shown, real)


def assert_shown(shown: Any, real: Any) -> None:
    """`shown` is `real`, its figures rounded."""
    if isinstance(real, dict):
        assert set(shown) == set(real)
        for key in real:
            assert_shown(shown[key], real[key])
    else:
        assert shown == (pytest.approx(real, rel=2e-3) if isinstance(real, float) else real)


READERS: dict[str, Callable[[Path], Any]] = {
    "schema": read_table_schema,
    "options": load_options,
    "scores": read_scores,
    "nasrec.prepared": read_prepared,
    "nasrec.encoder": read_encoder,
    "nasrec.run": read_run,
    "nasrec.search_run": read_search_run,
    "search options": read_search_options,
    "preset fast": read_preset_fast,
    "nasrec.stage": read_stage,
    "nasrec.arch": read_winners_arch,
    "official": read_official,
    "counts": read_counts,
    "nasrec.summary": read_summary,
    "nasrec.rank_run": read_rank_run,
    "nasrec.rank": read_rank,
    "pimsim.chip": chip_from_toml,
    "pimsim.workload": read_workload,
    "pimsim.space": space_from_toml,
    "pimsim.report": read_report,
}


def test_every_format_has_one_example() -> None:
    assert sorted(kind_of(*one) for one in EXAMPLES) == sorted(READERS)


@pytest.mark.parametrize("kind", READERS)
def test_an_example_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "example"
    path.write_text(example(kind), encoding="utf-8")
    READERS[kind](path)


def test_the_options_shown_are_the_defaults_in_full() -> None:
    text = example("options")
    shown = tomllib.loads(text)
    assert options_from(shown, "docs/formats.md") == CodesignOptions()
    optional = tomllib.loads(re.sub(r"^# (\w+ =)", r"\1", text, flags=re.MULTILINE))
    options_from(optional, "docs/formats.md")
    assert set(keys_of(optional)) == set(keys_of(CodesignOptions().model_dump()))
    defaults = CodesignOptions().model_dump(exclude_none=True)
    assert set(keys_of(shown)) == set(keys_of(defaults))


def keys_of(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_links_within_the_formats_page() -> None:
    titles = re.findall(r"^#+ (.*)$", FORMATS, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(#([^)]*)\)", FORMATS)
    assert links
    assert set(links) <= anchors


def tree() -> list[str]:
    """The paths that CONTRIBUTING's annotated tree names, folders with a slash at their end."""
    (block,) = re.findall(r"```text\n(.*?)```", CONTRIBUTING, re.DOTALL)
    folders: list[tuple[int, str]] = []
    paths = []
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.split(r"\s{2,}", line.strip())[0]
        folders = [(depth, folder) for depth, folder in folders if depth < indent]
        for name in names.split(", "):
            paths.append((folders[-1][1] if folders else "") + name)
            if name.endswith("/"):
                folders.append((indent, paths[-1]))
    return paths


def test_the_tree_names_what_exists() -> None:
    missing = [path for path in tree() if not (ROOT / path).exists() or (ROOT / path).is_dir() != path.endswith("/")]
    assert not missing, f"CONTRIBUTING's tree names what is not there: {missing}"
    assert len(set(tree())) == len(tree())


def test_the_tree_is_complete() -> None:
    """Every folder with code is in it, and a folder that lists any of its files lists all of them."""
    named = set(tree())
    code = [path for top in ("nasrec", "pimsim", "csrc", "tests", "benchmarks") for path in (ROOT / top).rglob("*")]
    files = [path.relative_to(ROOT) for path in code if path.suffix in (".py", ".h", ".cpp")]
    folders = {f"{folder.as_posix()}/" for file in files for folder in file.parents if folder != Path()}
    assert folders <= named, f"not in CONTRIBUTING's tree: {sorted(folders - named)}"
    listing = {path.rpartition("/")[0] for path in named if path.endswith((".py", ".h", ".cpp"))}
    wanted = {file.as_posix() for file in files if file.parent.as_posix() in listing and file.name != "__init__.py"}
    assert wanted <= named, f"not in CONTRIBUTING's tree: {sorted(wanted - named)}"


def test_contributing_names_files_that_exist() -> None:
    """Paths in backticks, outside the tree."""
    text = re.sub(r"```.*?```", "", CONTRIBUTING, flags=re.DOTALL)
    paths = {path for path in re.findall(r"`(?:\.venv/bin/pytest )?([\w./-]+/[\w./-]*)", text) if path[0] != "."}
    assert len(paths) > 30
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert not missing, f"CONTRIBUTING names what is not there: {missing}"


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, at any depth; `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_imports_point_up_the_list() -> None:
    """Within nasrec a module imports from its own line of CONTRIBUTING's list and from those above."""
    lines = re.findall(r"^\d+\. ((?:`\w+`(?:, )?)+)$", CONTRIBUTING, re.MULTILINE)
    level = {name: number for number, line in enumerate(lines) for name in re.findall(r"`(\w+)`", line)}
    for path in sorted((ROOT / "nasrec").rglob("*.py")):
        room = path.relative_to(ROOT / "nasrec").parts[0].removesuffix(".py")
        for module in imports_of(path):
            package, _, name = module.partition(".")
            other = name.partition(".")[0]
            if package == "nasrec" and other in level:
                assert level[other] <= level[room], f"{path.relative_to(ROOT)} imports {module}"
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "nasrec").iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.stem for path in (ROOT / "nasrec").glob("*.py")} - {"__init__"}
    assert rooms == set(level), "CONTRIBUTING's list of doors has every room"


def test_the_core_of_pimsim_imports_itself() -> None:
    """What CONTRIBUTING's tree does not mark as ring imports the standard library, NumPy, SciPy and the core."""
    tree = CONTRIBUTING.partition("\npimsim/")[2].partition("\nnasrec/")[0]
    rooms = re.findall(r"^  (\w+)(?:\.py|/) +(ring)?", tree, re.M)
    core = {name for name, ring in rooms if not ring}
    allowed = {*sys.stdlib_module_names, "numpy", "scipy"}
    for name in core:
        room = ROOT / "pimsim" / name
        for file in sorted(room.rglob("*.py")) if room.is_dir() else [room.with_suffix(".py")]:
            for module in imports_of(file):
                package, _, inner = module.partition(".")
                inside = package == "pimsim" and inner.partition(".")[0] in core | {"_kernels", ""}
                assert inside or package in allowed, f"{file.relative_to(ROOT)} imports {module}"


def test_formulas_are_where_the_page_says() -> None:
    """Every function that docs/formulas.md names is there, and every file with formulas is on the page."""
    text = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(pimsim(?:\.\w+)+)`", text))
    for name in named:
        module, found = name.split("."), None
        for cut in range(len(module), 1, -1):
            if (ROOT.joinpath(*module[:cut]).with_suffix(".py")).exists():
                found = importlib.import_module(".".join(module[:cut]))
                for attribute in module[cut:]:
                    found = getattr(found, attribute)
                break
        assert found is not None, name
    rows = [line for line in text.splitlines() if line.startswith("| ") and "| where |" not in line]
    assert len(rows) > 35
    assert all(len(row.split(" | ")) == 3 and row.split(" | ")[2].strip(" |") for row in rows)
    files = {name.split(".")[1] for name in named}
    assert {"charge", "charge_table", "readout", "tile", "survey", "interconnect", "mapping", "life"} <= files
