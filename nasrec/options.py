"""The options of a run: TOML, validated; every default is what `nasrec codesign` does without a config file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.data.encoder import EncodingOptions
from nasrec.data.split import SplitMethod
from nasrec.sections import Bits, Count, Rate, Rates, Section, Seed, Seeds, Values, read_toml, validated
from nasrec.space import SPACES, Space
from nasrec.train_options import TrainOptions

Target = Annotated[float, Field(gt=0)]


class DataOptions(Section):
    """How the raw log is prepared."""

    seed: Seed = 0
    max_rows: Count = 500_000  # rows of the largest table, as NASRec caps them while searching
    min_count: Count = 2
    hashing: bool = False
    split: SplitMethod = "random"

    def encoding(self) -> EncodingOptions:
        """How values become ids."""
        return EncodingOptions("hash" if self.hashing else "vocabulary", self.min_count, self.max_rows)


class SpaceOptions(Section):
    """The architectures: a NASRec space, cut to the blocks and widths that two cores search in minutes.

    `leave_out` names operators of the space that are not wanted; both branches keep one at least.
    """

    name: Literal["small", "full", "extended", "autoctr", "xlarge"] = "full"
    leave_out: tuple[str, ...] = ()
    blocks: Annotated[int, Field(ge=1, le=7)] = 3
    dense_widths: Values[Count] = (32, 64, 128)
    sparse_widths: Values[Count] = (16, 32)
    weight_bits: Values[Bits] = (4, 8)
    input_bits: Values[Bits] = (4, 8)

    @field_validator("leave_out")
    @classmethod
    def _leaves_operators(cls, left_out: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        base = SPACES[info.data.get("name", "full")]
        operators = base.dense_ops + base.sparse_ops
        for name in left_out:
            if name not in operators:
                raise ValueError(f"{name!r} is no operator of the space: allowed are {', '.join(operators)}")
        for branch, names in (("dense", base.dense_ops), ("sparse", base.sparse_ops)):
            if set(names) <= set(left_out):
                raise ValueError(f"no {branch} operator is left: one of {', '.join(names)} must stay")
        return left_out

    def space(self) -> Space:
        """The search space of architectures."""
        base = SPACES[self.name]
        return Space(
            base.name,
            self.blocks,
            self._kept(base.dense_ops),
            self._kept(base.sparse_ops),
            self.dense_widths,
            self.sparse_widths,
            self.weight_bits,
            self.input_bits,
        )

    def _kept(self, operators: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in operators if name not in self.leave_out)


class ChipOptions(Section):
    """The values that each gene of a chip may take."""

    rows: Values[Annotated[int, Field(ge=2, le=4096)]] = ChipSpace.rows
    columns: Values[Annotated[int, Field(ge=1, le=4096)]] = ChipSpace.columns
    cell_bits: Values[Annotated[int, Field(ge=1, le=4)]] = ChipSpace.cell_bits
    dac_bits: Values[Annotated[int, Field(ge=1, le=4)]] = ChipSpace.dac_bits
    adc_bits: Values[Annotated[int, Field(ge=3, le=12)]] = ChipSpace.adc_bits
    columns_per_adc: Values[Annotated[int, Field(ge=1, le=4096)]] = ChipSpace.columns_per_adc
    copies: Values[Count] = ChipSpace.copies


class SupernetOptions(Section):
    """The supernet's training: many small steps, because each trains only one architecture of the space."""

    epochs: Count = 4
    batch_size: Count = 128
    learning_rate: Rate = 0.25
    warm_start: bool = True  # begin with the embedding tables of the DLRM baseline

    def train_options(self, seed: int) -> TrainOptions:
        """The trainer's options with this section's values."""
        return TrainOptions(epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate, seed=seed)


class TrainSection(Section):
    """A training from scratch, with each learning rate in turn; the one best on validation is kept.

    Tables start Xavier normal, or as normal draws of deviation `embedding_std`: on a short log, starting near 0 keeps
    rare values from overfitting.
    """

    epochs: Count = 2
    batch_size: Count = 512
    learning_rates: Rates = (0.04, 0.12)
    embedding_std: Rate | None = None

    def train_options(self, seed: int) -> tuple[TrainOptions, ...]:
        """The trainer's options, one for each learning rate."""
        return tuple(
            TrainOptions(epochs=self.epochs, batch_size=self.batch_size, learning_rate=rate, seed=seed)
            for rate in self.learning_rates
        )


class WinnerOptions(TrainSection):
    """Retraining: how many finalists of the joint search, and how; the winners are chosen among them.

    `rows` validation rows judge each finalist on those chips of the space that may be the best for it. Then come
    `rounds` of `children` more finalists, each one or two mutations (more, until it is a network not trained yet) away
    from one of the winners so far, in turn: worth it where a training takes seconds.
    """

    finalists: Annotated[int, Field(ge=3)] = 6
    rounds: Annotated[int, Field(ge=0)] = 2
    children: Count = 4
    rows: Count = 16384


class ScoreOptions(Section):
    """What one candidate costs to score: rows on which its last layer is fine-tuned, rows on which it is judged."""

    fine_tune_rows: Count = 16384
    fine_tune_steps: Annotated[int, Field(ge=0)] = 300
    fine_tune_batch: Count = 512
    fine_tune_learning_rate: Rate = 0.04
    calibration_rows: Count = 1024
    rows: Count = 4096


class BudgetOptions(Section):
    """Upper limits on a candidate's hardware; none by default."""

    energy_j: Annotated[float, Field(gt=0)] | None = None
    latency_s: Annotated[float, Field(gt=0)] | None = None
    area_m2: Annotated[float, Field(gt=0)] | None = None


class SearchOptions(Section):
    """The joint search, and what it is held against at equal evaluations."""

    sampler: Literal["evolution", "nsga2", "random"] = "evolution"
    evaluations: Annotated[int, Field(ge=2)] = 96  # model first, then chip needs one of each
    population: Annotated[int, Field(ge=2)] = 16
    seeds: Seeds = (0,)
    compare: tuple[Literal["random", "model_first"], ...] = ("random", "model_first")
    targets: tuple[Target, Target, Target] | None = None  # J, s, m²: search one score with these targets
    score: ScoreOptions = ScoreOptions()
    budget: BudgetOptions = BudgetOptions()


class CodesignOptions(Section):
    """Everything that decides the result of a run, besides its data."""

    seed: Seed = 0
    data: DataOptions = DataOptions()
    space: SpaceOptions = SpaceOptions()
    chip: ChipOptions = ChipOptions()
    supernet: SupernetOptions = SupernetOptions()
    search: SearchOptions = SearchOptions()
    winners: WinnerOptions = WinnerOptions()
    baselines: TrainSection = TrainSection()

    def candidate_space(self) -> CandidateSpace:
        """The joint space of architectures and chips."""
        return CandidateSpace(self.space.space(), ChipSpace(**self.chip.model_dump()))


def load_options(path: Path) -> CodesignOptions:
    """Read options from a TOML file; raises InputError naming file, key, value and what is allowed."""
    return options_from(read_toml(path), str(path))


def options_from(data: dict[str, Any], where: str) -> CodesignOptions:
    """Validate plain values; raises InputError naming `where`, the key, its value and what is allowed."""
    return validated(CodesignOptions, data, where)
