"""What a search scores next: the published numbers, nothing twice, and the same after a resume at any trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasrec.arch import Arch
from nasrec.errors import InputError
from nasrec.liveness import canonical
from nasrec.nas import evolution
from nasrec.nas.evaluate import value_of
from nasrec.nas.evolution import next_architectures
from nasrec.nas.options import EvolutionOptions
from nasrec.nas.presets import preset
from nasrec.nas.score import ArchCost, ArchScore
from nasrec.nas.search import best_trials, cost_of_one
from nasrec.nas.trials import Trial, Trials
from nasrec.space import FULL, Space

SPACE = replace(FULL, blocks=3)
SMALL = EvolutionOptions(population=10, generations=6, children=4, tournament=5)


def loss_of(arch: Arch) -> float:
    """A made-up loss that evolution can lower gene by gene."""
    return sum(np.log2(block.dense_width) + block.sparse_width / 16 + block.dsi for block in arch.blocks)


def trial_of(arch: Arch, loss: float | None = None) -> Trial:
    found = loss_of(arch) if loss is None else loss
    return Trial(arch, found, ArchScore(found, 0.5, found + 1), 1000, ArchCost(1.0, 2.0, 3.0, 4.0))


def whole_search(options: EvolutionOptions, strategy: str = "evolution", seed: int = 0, space: Space = SPACE):
    known: list[Trial] = []
    while archs := next_architectures(known, space, options, strategy, seed):
        known += [trial_of(arch) for arch in archs]
    return known


@pytest.mark.parametrize("strategy", ["evolution", "random"])
def test_a_search_goes_on_alike_after_any_trial(strategy: str) -> None:
    known = whole_search(SMALL, strategy)
    assert len(known) == SMALL.evaluations == 34
    for done in range(len(known)):
        archs = next_architectures(known[:done], SPACE, SMALL, strategy, 0)
        assert archs == [trial.arch for trial in known[done : done + len(archs)]]
        assert done + len(archs) in (10, 14, 18, 22, 26, 30, 34)
    assert next_architectures(known, SPACE, SMALL, strategy, 0) == []
    assert whole_search(SMALL, strategy, seed=1) != known


def test_the_first_population_has_as_many_inputs_as_the_official_one() -> None:
    """One to four alike, as NASRec's search draws; or as its supernet's training does."""
    options = EvolutionOptions(population=200, generations=0)
    for connections, mean in (("uniform", 2.5), ("binomial", 2.5)):
        chosen = options.model_copy(update={"connections": connections})
        counts = [len(arch.blocks[6].dense_inputs) for arch in next_architectures([], FULL, chosen, "evolution", 0)]
        assert np.mean(counts) == pytest.approx(mean, abs=0.25)
        assert np.mean(np.array(counts) == 4) == pytest.approx(1 / 4 if connections == "uniform" else 1 / 8, abs=0.08)


def test_no_network_comes_twice() -> None:
    known = whole_search(SMALL)
    assert len({canonical(trial.arch) for trial in known}) == len(known)
    tiny = Space("tiny", 1, ("fc",), ("efc",), (16,), (16,))  # 4 networks: dsi and fm
    known = whole_search(SMALL, space=tiny)
    assert len(known) == 34 and len({canonical(trial.arch) for trial in known}) == 4


def test_evolution_beats_random_search() -> None:
    options = EvolutionOptions(population=20, generations=30, children=4, tournament=10)
    for seed in range(3):
        best = {name: min(t.value for t in whole_search(options, name, seed)) for name in ("evolution", "random")}
        assert best["evolution"] < best["random"]


def test_parents_are_the_newest_and_their_children_differ_by_the_mutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old best one is dead; tournaments of all the living give the best of them; 6 mutations, in the end 1."""
    counted: list[Arch] = []
    mutate = Space.mutate

    def counting(self, arch, rng):
        counted.append(arch)
        return mutate(self, arch, rng)

    monkeypatch.setattr(Space, "mutate", counting)
    monkeypatch.setattr(evolution, "fresh", lambda arch, again, seen: arch)
    paper = preset("paper").evolution
    archs = [SPACE.sample(np.random.default_rng([7, n])) for n in range(128 + 239 * 8)]
    for generation, mutations in ((0, 6), (47, 5), (48, 5), (49, 4), (239, 1)):
        count = 128 + generation * 8
        losses = np.arange(count, dtype=float)  # the oldest of the living is the best
        known = [trial_of(arch, loss) for arch, loss in zip(archs, losses, strict=False)]
        counted.clear()
        options = paper.model_copy(update={"tournament": 128})
        assert len(next_architectures(known, SPACE, options, "evolution", 0)) == 8
        assert len(counted) == 8 * mutations == 8 * ((240 - generation) // 48 + 1)
        assert all(counted[place] == archs[count - 128] for place in range(0, len(counted), mutations))


def test_the_children_of_a_generation_have_one_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the better half of the living where two compete; another generation has another."""
    monkeypatch.setattr(Space, "mutate", lambda self, arch, rng: arch)
    monkeypatch.setattr(evolution, "fresh", lambda arch, again, seen: arch)
    options = preset("paper").evolution.model_copy(update={"tournament": 2})
    archs = [SPACE.sample(np.random.default_rng([7, n])) for n in range(128 + 20 * 8)]
    parents = []
    for generation in range(20):
        known = [trial_of(arch, float(place % 128)) for place, arch in enumerate(archs[: 128 + generation * 8])]
        children = next_architectures(known, SPACE, options, "evolution", 0)
        assert len(children) == 8
        assert all(child == children[0] for child in children)
        parents.append(archs.index(children[0]) % 128)
    assert len(set(parents)) > 10
    assert np.mean(parents) == pytest.approx(127 / 3, abs=25)  # the lesser of two of 0 to 127


def test_trials_are_kept(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    trials = Trials(journal, SPACE)
    archs = [SPACE.sample(np.random.default_rng(n)) for n in range(3)]
    for arch in archs:
        trials.append(trial_of(arch))
    trials.append(replace(trial_of(archs[0]), cost=None))
    again = Trials(journal, SPACE)
    assert again.known == trials.known and [trial.arch for trial in again.known[:3]] == archs
    with journal.open("a") as file:
        file.write('{"half a line')  # a process killed while it wrote
    assert Trials(journal, SPACE).known == trials.known
    assert best_trials(again.known, 2) == sorted(enumerate(trials.known[:3]), key=lambda item: item[1].value)[:2]
    assert cost_of_one(again.known) == {
        "extract_s": 1.0, "features_s": 2.0, "fine_tune_s": 3.0, "judge_s": 4.0, "total_s": 10.0}  # fmt: skip


def test_a_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    trials = Trials(journal, SPACE)
    trials.append(trial_of(SPACE.sample(np.random.default_rng(0))))
    text = journal.read_text().replace('"log_loss_before"', '"loss_before"')
    journal.write_text(text)
    with pytest.raises(InputError, match=r"search\.journal: trial 0: expected the fields log_loss,"):
        Trials(journal, SPACE)


@pytest.mark.parametrize(("macs", "value"), [(2000, 0.5 + 0.1), (1000, 0.5), (500, 0.5 - 0.05)])
def test_the_hardware_criterion(macs: int, value: float) -> None:
    options = EvolutionOptions(beta=0.1, target_macs=1000)
    assert value_of(ArchScore(0.5, None, 0.6), macs, options) == pytest.approx(value)
    assert value_of(ArchScore(0.5, None, 0.6), macs, EvolutionOptions(target_macs=1000)) == 0.5
