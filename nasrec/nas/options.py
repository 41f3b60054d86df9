"""The options of `nasrec search` and `nasrec rank`: TOML or `--set`, validated; `nasrec.nas.presets` has whole sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from nasrec.options import DataOptions, ScoreOptions, SpaceOptions
from nasrec.sections import Bits, Count, Rate, Rates, Section, Seed, Seeds, Values
from nasrec.space import DENSE_WIDTHS, SPARSE_WIDTHS, Sampling
from nasrec.train_options import TrainOptions

Share = Annotated[float, Field(ge=0, le=1)]


class NasSpaceOptions(SpaceOptions):
    """The architectures: a whole NASRec space in float, unless cut."""

    blocks: Annotated[int, Field(ge=1, le=7)] = 7
    dense_widths: Values[Count] = DENSE_WIDTHS
    sparse_widths: Values[Count] = SPARSE_WIDTHS
    weight_bits: Values[Bits] = (32,)
    input_bits: Values[Bits] = (32,)


class NasSupernetOptions(Section):
    """The supernet's training.

    Each step trains one architecture of the space, so a short log, which gives few steps, teaches little. Where
    `epochs` of batches of `batch_size` rows make less than `least_steps` steps, batches are halved, to `least_batch`
    rows at least, and then the epochs are raised, to `most_epochs` at most.
    `full_path` is the share of the steps over which the probability of training the full path falls from 1 to 0:
    NASRec's 15,000 steps are 0.21 of its epoch of Criteo, 12,500 are 0.2 of Avazu, 20,000 are 0.17 of KDD.
    `full_path_steps` gives their number instead. `sampling` and `path_warmup`: see `nasrec.sampling`.
    """

    epochs: Count = 1
    batch_size: Count = 512
    least_steps: Annotated[int, Field(ge=0)] = 15_000
    least_batch: Count = 128
    most_epochs: Count = 4
    learning_rate: Rate = 0.12
    full_path: Share = 0.2
    full_path_steps: Annotated[int, Field(ge=0)] | None = None
    sampling: Sampling = "single-operator"
    path_warmup: Literal["full-path", "per-block", "any-path"] = "full-path"
    layernorm: bool = True
    embedding_std: Rate | None = None  # of the tables as they start; None: Xavier normal
    warm_start: bool = False  # begin with the embedding tables of a DLRM, which start by `embedding_std`
    warm_epochs: Count = 1  # of that DLRM, at most: the best on validation counts
    warm_batch_size: Count = 256
    warm_learning_rate: Rate = 0.12

    def train_options(self, seed: int, rows: int) -> TrainOptions:
        """The trainer's options with this section's values, for a training on `rows` rows."""
        epochs, batch = self._length(rows)
        warm = self.full_path_steps
        if warm is None:
            warm = round(self.full_path * epochs * -(-rows // batch))
        return TrainOptions(
            epochs=epochs,
            batch_size=batch,
            learning_rate=self.learning_rate,
            seed=seed,
            full_path_steps=warm,
            sampling=self.sampling,
            path_warmup=self.path_warmup,
        )

    def warm_options(self, seed: int) -> TrainOptions:
        """The trainer's options for the DLRM of a warm start."""
        return TrainOptions(
            epochs=self.warm_epochs,
            batch_size=self.warm_batch_size,
            learning_rate=self.warm_learning_rate,
            seed=seed,
            patience=1,
        )

    def _length(self, rows: int) -> tuple[int, int]:
        """Epochs, and rows of a batch."""
        batch = self.batch_size
        while self.epochs * -(-rows // batch) < self.least_steps and batch > self.least_batch:
            batch = max(self.least_batch, batch // 2)
        wanted = -(-self.least_steps // max(1, -(-rows // batch)))
        return max(self.epochs, min(wanted, self.most_epochs)), batch


class NasScoreOptions(ScoreOptions):
    """What one architecture costs to score with a supernet's weights; in float more rows are judged than on a chip.

    Its last layer is fine-tuned in `fine_tune_steps` steps of `fine_tune_batch` rows out of `fine_tune_rows` training
    rows; it is judged on the first `rows` validation rows. A supernet that has read its training rows several times
    knows them too well for that: with `fine_tune_on` "validation" the rows are the first of validation (half of it at
    most), and the judged ones follow them. `calibration_rows` (of training) set the ranges of quantised operators.
    """

    fine_tune_on: Literal["train", "validation"] = "train"
    fine_tune_rows: Count = 65_536
    fine_tune_steps: Annotated[int, Field(ge=0)] = 500
    rows: Count = 1_228_800


class EvolutionOptions(Section):
    """Regularised evolution (Real et al., AAAI 2019), as NASRec runs it.

    `population` random architectures, then `generations` of `children`, whose parent wins a tournament of `tournament`
    of the living (of all, where they are fewer); the oldest leave. A child differs from its parent by `mutations`
    mutations in the first generation, falling evenly to 1 in the last. `connections`: how the number of a block's
    inputs is drawn (see `Space`). With `target_macs`, an architecture's score is its log loss plus `beta` times
    (MACs / target - 1).
    """

    population: Annotated[int, Field(ge=2)] = 128
    generations: Annotated[int, Field(ge=0)] = 240
    children: Count = 8
    tournament: Count = 64
    mutations: Count = 6
    connections: Literal["binomial", "uniform"] = "uniform"
    beta: Annotated[float, Field(ge=0)] = 0.0
    target_macs: Annotated[Count | None, Field(validate_default=True)] = None

    @field_validator("target_macs")
    @classmethod
    def _beta_has_its_target(cls, target_macs: int | None, info: ValidationInfo) -> int | None:
        if target_macs is None and info.data.get("beta", 0) > 0:
            raise ValueError("beta counts only with target_macs")
        return target_macs

    @property
    def evaluations(self) -> int:
        """The number of architectures that a search scores."""
        return self.population + self.generations * self.children

    def mutations_at(self, generation: int) -> int:
        """Mutations of each child of `generation` (from 0); NASRec: (240 - g) // 48 + 1."""
        return (self.generations - generation) * (self.mutations - 1) // self.generations + 1


class RetrainOptions(Section):
    """Training from scratch: of the search's best `top` architectures, then of the winner.

    Each, and what `refine` adds, is trained with the first of `learning_rates` for at most `epochs` epochs, until
    validation has not improved for `patience` of them. The best `finals` are trained with every learning rate, and at
    their best one with every one of `seeds`; the best mean over seeds wins (with a target, MACs count as in the
    search). Tables start Xavier normal, as NASRec's, or as normal draws of deviation `embedding_std`: on a short log,
    starting near 0 keeps rare values from overfitting.
    """

    top: Count = 15
    finals: Count = 3
    learning_rates: Rates = (0.12, 0.06)
    epochs: Count = 5
    patience: Count = 1
    batch_size: Count = 256
    embedding_std: Rate | None = None
    seeds: Seeds = (0, 1, 2, 3, 4)

    def train_options(self, seed: int, learning_rate: float) -> TrainOptions:
        """The trainer's options with this section's values."""
        return TrainOptions(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=learning_rate,
            seed=seed,
            patience=self.patience,
        )


class RefineOptions(Section):
    """Evolution that goes on with training from scratch, between the search and the choice of the winner.

    Beside the search's best, `fresh` random architectures are trained (first learning rate and seed of `retrain`); then
    come `rounds` of `children`, each one or two mutations (more, until it is a network not trained yet) away from one
    of the best `parents` so far, in turn. What is minimised is the search's: validation log loss, and MACs with a
    target. A random search draws its children at random. Worth it where a training takes seconds: shared weights order
    networks of a short log badly.
    """

    fresh: Annotated[int, Field(ge=0)] = 0
    rounds: Annotated[int, Field(ge=0)] = 0
    children: Count = 8
    parents: Count = 4


class NasOptions(Section):
    """Everything that decides the result of a search, besides its data; the defaults are the preset `paper`."""

    seed: Seed = 0
    strategy: Literal["evolution", "random"] = "evolution"
    data: DataOptions = DataOptions()
    space: NasSpaceOptions = NasSpaceOptions()
    supernet: NasSupernetOptions = NasSupernetOptions()
    score: NasScoreOptions = NasScoreOptions()
    evolution: EvolutionOptions = EvolutionOptions()
    refine: RefineOptions = RefineOptions()
    retrain: RetrainOptions = RetrainOptions()
