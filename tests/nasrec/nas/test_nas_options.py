"""Options of a search: the published numbers, settings by key, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasrec.errors import InputError
from nasrec.nas.options import NasOptions, NasSupernetOptions
from nasrec.nas.presets import PRESETS, preset, scaled
from nasrec.sections import changed, read_toml, set_by_key, validated
from nasrec.space import FULL, SMALL


def test_paper_has_the_published_numbers() -> None:
    paper = preset("paper")
    evolution = paper.evolution
    assert (evolution.population, evolution.generations, evolution.children, evolution.tournament) == (128, 240, 8, 64)
    assert evolution.evaluations == 2048
    assert [evolution.mutations_at(g) for g in range(240)] == [(240 - g) // 48 + 1 for g in range(240)]
    assert paper.space.space() == FULL
    assert set_by_key(paper, ["space.name=small"]).space.space() == SMALL
    assert (paper.score.fine_tune_steps, paper.score.fine_tune_batch) == (500, 512)
    assert paper.score.fine_tune_learning_rate == 0.04
    supernet = paper.supernet
    assert (supernet.epochs, supernet.batch_size, supernet.learning_rate) == (1, 512, 0.12)
    assert paper.retrain.top == 15
    assert paper.score.rows == 150 * 8192
    assert PRESETS["fast"].evolution.evaluations == 512


@pytest.mark.parametrize(
    ("rows", "given", "epochs", "batch", "warm"),
    [
        (36_672_495, {}, 1, 512, 14_325),  # Criteo: 0.2 of its epoch; published: 15,000
        (15_000 * 512, {}, 1, 512, 3_000),  # just enough rows, and one too few
        (15_000 * 512 - 512, {}, 1, 256, 6_000),
        (473_117, {}, 4, 128, 2_958),  # MovieLens: 14,788 steps
        (3 * 5_000 * 128, {}, 1, 128, 3_000),
        (5_000 * 128, {}, 3, 128, 3_000),
        (1000, {"epochs": 6}, 6, 128, 10),
        (1000, {"batch_size": 64}, 4, 64, 13),
        (1000, {"least_steps": 0}, 1, 512, 0),
        (1000, {"full_path_steps": 7}, 4, 128, 7),
    ],
)
def test_the_length_of_the_supernets_training(
    rows: int, given: dict[str, int], epochs: int, batch: int, warm: int
) -> None:
    options = NasSupernetOptions(**given).train_options(3, rows)
    assert (options.epochs, options.batch_size, options.full_path_steps) == (epochs, batch, warm)
    assert options.seed == 3


@pytest.mark.parametrize("factor", [1.0, 0.1, 0.001])
def test_scaling_shrinks_the_search_and_stays_valid(factor: float) -> None:
    small = scaled(preset("paper"), factor)
    assert 2 <= small.evolution.tournament <= small.evolution.population <= 128
    assert small.evolution.evaluations <= max(2048 * factor * 1.05, 10)
    assert 1 <= small.retrain.finals <= small.retrain.top
    assert small.score == preset("paper").score
    assert factor < 1 or small == preset("paper")
    refined = changed(preset("paper"), {"refine": {"fresh": 20, "rounds": 2}, "retrain": {"finals": 18}}, "here")
    less = scaled(refined, factor)
    trained = less.retrain.top + less.refine.fresh + less.refine.rounds * less.refine.children
    assert trained <= max(51 * factor * 1.2, 3) and less.retrain.finals <= trained
    assert factor < 1 or less == refined
    last = small.evolution.generations - 1
    assert small.evolution.mutations_at(0) == 6 and (last == 0 or small.evolution.mutations_at(last) < 6)


@pytest.mark.parametrize("factor", [0, -1, 1.01, float("nan")])
def test_another_factor_is_refused(factor: float) -> None:
    with pytest.raises(InputError, match="allowed are numbers above 0 up to 1"):
        scaled(preset("fast"), factor)


def test_keys_are_set_as_in_toml() -> None:
    options = set_by_key(
        preset("fast"), ["retrain.learning_rates=[0.1, 0.2]", "data.split = time", "supernet.layernorm=false"]
    )
    assert options.retrain.learning_rates == (0.1, 0.2)
    assert (options.data.split, options.supernet.layernorm) == ("time", False)
    assert options.evolution == preset("fast").evolution


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("evolution.popul=3", "--set evolution.popul=3: unknown key 'evolution.popul': allowed are population,"),
        ("evolution.population=1", "evolution.population is 1: Input should be greater than or equal to 2"),
        ("data.split=sideways", "data.split is 'sideways': Input should be 'random'"),
        ("retrain.seeds=[]", "retrain.seeds is []"),
        ("retrain.seeds=[1, 1]", "every value is allowed once"),
        ("retrain.learning_rates=[0.1, 0.1]", "every value is allowed once"),
        ("space.dense_widths=[]", "space.dense_widths is []"),
        ("evolution.beta=0.1", "evolution.target_macs is None: beta counts only with target_macs"),
        ("space.blocks=true", "space.blocks is True: true and false are not allowed here"),
        ("space.dense_widths=[16, false]", "space.dense_widths is [16, False]: true and false are not allowed here"),
        ('space.blocks="3"', "space.blocks is '3': text is not allowed here"),
        ('retrain.learning_rates=["0.1"]', "retrain.learning_rates is ['0.1']: text is not allowed here"),
        ("supernet.layernorm=off", "supernet.layernorm is 'off': allowed are true and false"),
        ("supernet.layernorm=1", "supernet.layernorm is 1: allowed are true and false"),
        ("supernet.embedding_std=tiny", "supernet.embedding_std is 'tiny': text is not allowed here"),
        ("evolution=3", "evolution is 3"),
        ("population", "--set population: expected SECTION.KEY=VALUE"),
        ("evolution.population.x=1", "evolution.population is {'x': 1}"),
    ],
)
def test_a_bad_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        set_by_key(NasOptions(), [setting])
    assert message in str(caught.value)


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text("[evolution]\nchildren = 4\n")
    options = changed(preset("fast"), read_toml(path), str(path))
    assert options.evolution.children == 4 and options.evolution.population == 64
    with pytest.raises(InputError, match="no such file"):
        read_toml(tmp_path / "absent.toml")
    assert validated(NasOptions, options.model_dump(mode="json"), "run.json") == options


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(InputError, match="allowed are paper, fast"):
        preset("slow")


def test_operators_are_left_out_by_name() -> None:
    options = changed(NasOptions(), {"space": {"name": "extended", "leave_out": ["attention", "fc"]}}, "here")
    space = options.space.space()
    assert space.sparse_ops == ("efc", "skip") and space.dense_ops == ("dot", "gating", "sum", "deep", "bilinear")
    for name, gone, message in (
        ("full", ["deep"], "'deep' is no operator of the space: allowed are fc, dot, gating, sum, efc, attention$"),
        ("full", ["efc", "attention"], "no sparse operator is left: one of efc, attention must stay"),
        ("small", ["fc", "dot"], "no dense operator is left"),
    ):
        with pytest.raises(InputError, match="^here: space.leave_out is .*" + message):
            changed(NasOptions(), {"space": {"name": name, "leave_out": gone}}, "here")
    both = ['space.leave_out=["skip"]', "space.name=extended"]
    assert set_by_key(NasOptions(), both) == set_by_key(NasOptions(), both[::-1])
