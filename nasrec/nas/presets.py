"""Whole sets of options: the published numbers, and fewer of everything."""

from __future__ import annotations

from nasrec.errors import InputError
from nasrec.nas.options import EvolutionOptions, NasOptions, NasScoreOptions, NasSupernetOptions, RetrainOptions
from nasrec.sections import changed

FUXICTR_STD = 1e-4  # of the normal draws that embeddings start with (FuxiCTR 2.3.10, `embedding_initializer`)

PAPER = NasOptions()
"""NASRec's numbers, from its official code: 128 random architectures and 240 generations of 8, tournaments of 64,
6 mutations a child falling to 1; 500 fine-tuning steps of 512 rows at 0.04; at most 150 validation batches of 8192;
Adagrad at 0.12 in batches of 512; the best 15 retrained.

What differs is an option each. The fine-tuning steps draw their batches from 65,536 rows instead of 256,000
(`score.fine_tune_rows`), whose features are most of the cost. A log too short for 15,000 supernet steps is read in
smaller batches and more often (`supernet.least_steps`). Retraining stops early, and so also serves logs that want
several epochs (published: `retrain.epochs = 1`), tries the rates 0.12 and 0.06 (published: one of 0.1 to 0.2)
and trains the best three with five seeds. Rows are split at random, tables hold the values of a vocabulary and at most
500,000 rows (published: a stratified split, values hashed into tables of their full size; `[data]`)."""

FAST = NasOptions(
    supernet=NasSupernetOptions(
        learning_rate=0.03,
        most_epochs=1,
        full_path=0.0,
        embedding_std=FUXICTR_STD,
        warm_start=True,
        warm_epochs=3,
        warm_batch_size=512,
        warm_learning_rate=0.25,
    ),
    score=NasScoreOptions(
        fine_tune_on="validation",
        fine_tune_rows=32_768,
        fine_tune_steps=256,
        fine_tune_learning_rate=0.01,
        rows=16_384,
    ),
    evolution=EvolutionOptions(population=64, generations=56, tournament=32),
    retrain=RetrainOptions(
        top=4, finals=2, learning_rates=(0.25, 0.12), batch_size=512, embedding_std=FUXICTR_STD, seeds=(0, 1)
    ),
)
"""A search for two cores: 512 architectures instead of 2,048, each fine-tuned on 32,768 rows and judged
on 16,384; fewer architectures retrained, with fewer seeds. Fewer steps than 500 ask for a lower rate: at 0.04 the first
of them throw some last layers far off. In place of the path warm-up, the supernet starts with the embeddings of a DLRM
that was trained until validation got no better, and moves them at a low rate. Networks of their own start with
embeddings near 0."""

PRESETS = {"paper": PAPER, "fast": FAST}


def preset(name: str) -> NasOptions:
    """The options called `name`; raises InputError naming those that there are."""
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: allowed are {', '.join(PRESETS)}")
    return PRESETS[name]


def scaled(options: NasOptions, factor: float) -> NasOptions:
    """`options` for a smaller machine: `factor` (0 to 1) of the architectures searched and retrained.

    Population, generations, tournament and `top` shrink, as do `fresh` and the children of a round of refinement; how
    the supernet is trained and what scoring one architecture takes stay. Raises InputError for another factor.
    """
    if not 0 < factor <= 1:
        raise InputError(f"scale is {factor!r}: allowed are numbers above 0 up to 1")

    def part(count: int, least: int) -> int:
        return max(least, round(count * factor))

    evolution, refine, retrain = options.evolution, options.refine, options.retrain
    population = part(evolution.population, 2)
    top, fresh, children = part(retrain.top, 1), part(refine.fresh, 0), part(refine.children, 1)
    changes = {
        "evolution": {
            "population": population,
            "generations": part(evolution.generations, min(1, evolution.generations)),
            "tournament": min(population, part(evolution.tournament, 2)),
        },
        "refine": {"fresh": fresh, "children": children},
        "retrain": {"top": top, "finals": min(retrain.finals, top + fresh + refine.rounds * children)},
    }
    return changed(options, changes, f"scale {factor}")
