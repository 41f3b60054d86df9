"""The options of `nasrec rank`: those of a search that a rank study needs, how many subnets, and their training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from nasrec.nas.options import NasOptions, NasScoreOptions, NasSpaceOptions, NasSupernetOptions
from nasrec.nas.rank_correlation import RESAMPLES
from nasrec.options import DataOptions
from nasrec.sections import Count, Rate, Rates, Section, Seed, Seeds, validated
from nasrec.space import SAMPLING, Sampling
from nasrec.train_options import TrainOptions


class TruthOptions(Section):
    """Training each subnet from scratch, without LayerNorm, as NASRec trains the networks that it reports.

    At most `epochs` epochs with each of `learning_rates`, until validation has not improved for `patience` of them, or
    `stop_after` in all, though the learning rate falls as if all `epochs` came; the rate best on validation counts. The
    first `repeated` subnets are trained with each of `seeds`, which says how much of the truth is chance, and have the
    mean as their truth; all others with the first seed only. Tables start Xavier normal, or as normal draws of
    deviation `embedding_std`.
    """

    epochs: Count = 1
    stop_after: Count | None = None
    patience: Count = 1
    batch_size: Count = 256
    embedding_std: Rate | None = None
    learning_rates: Rates = (0.12, 0.3)
    seeds: Seeds = (0, 1)
    repeated: Annotated[int, Field(ge=0)] = 5

    def train_options(self, seed: int, rate: float) -> TrainOptions:
        """The trainer's options."""
        return TrainOptions(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=rate,
            seed=seed,
            patience=self.patience,
            stop_after=self.stop_after,
        )

    def trainings(self, subnets: int) -> list[tuple[int, int, float]]:
        """Subnet, seed and learning rate of every training of `subnets` subnets.

        Those with the first seed and rate come first, so that a study stopped early has trained most subnets.
        """
        first, *others = self.seeds
        numbers = [(first, range(subnets)), *((seed, range(min(self.repeated, subnets))) for seed in others)]
        return [(number, seed, rate) for seed, some in numbers for rate in self.learning_rates for number in some]


class RankOptions(Section):
    """Everything that decides the result of a rank study, besides its data.

    `subnets` architectures are drawn with `seed`. With each of `strategies`, `supernets` supernets are trained, whose
    scores count with their mean, with `supernet_seed` and the seeds after it; or else from `seed` + 1 on: with `seed`,
    the first steps would train these very architectures. `truth_from` is the folder of another study, whose
    architectures were trained from scratch already.
    """

    seed: Seed = 0
    subnets: Count = 100
    supernets: Count = 1
    supernet_seed: Seed | None = None
    truth_from: str | None = None
    strategies: Annotated[tuple[Sampling, ...], Field(min_length=1)] = SAMPLING
    resamples: Count = RESAMPLES
    data: DataOptions = DataOptions()
    space: NasSpaceOptions = NasSpaceOptions()
    supernet: NasSupernetOptions = NasSupernetOptions()
    score: NasScoreOptions = NasScoreOptions()
    truth: TruthOptions = TruthOptions()

    @field_validator("supernet_seed")
    @classmethod
    def _not_the_studys_own(cls, supernet_seed: int | None, info: ValidationInfo) -> int | None:
        own, supernets = info.data.get("seed"), info.data.get("supernets", 0)  # absent where they are refused
        if supernet_seed is not None and own in range(supernet_seed, supernet_seed + supernets):
            raise ValueError(f"{supernets} supernets from it on would have the study's own seed {own} among theirs")
        return supernet_seed

    @classmethod
    def of_preset(cls, preset: NasOptions) -> RankOptions:
        """The study that says how well a search with the options `preset` ranks."""
        return cls(seed=preset.seed, data=preset.data, space=preset.space, supernet=preset.supernet, score=preset.score)

    def sharing_truth(self, folder: Path, other: RankOptions) -> RankOptions:
        """These options with the architectures, the data and the truth of the study `other` in `folder`.

        Raises InputError where a supernet would have the seed of that study.
        """
        own = other.model_dump(mode="json")
        shared = {name: own[name] for name in ("seed", "subnets", "data", "space", "truth")}
        together = {**self.model_dump(mode="json"), **shared, "truth_from": str(other.truth_from or folder.resolve())}
        return validated(RankOptions, together, f"--truth {folder}")

    @property
    def supernet_seeds(self) -> range:
        """The seeds of each strategy's supernets."""
        first = self.seed + 1 if self.supernet_seed is None else self.supernet_seed
        return range(first, first + self.supernets)

    def search(self, strategy: str, seed: int) -> NasOptions:
        """The search whose supernet is trained with `seed` by sampling with `strategy`."""
        supernet = NasSupernetOptions.model_validate({**self.supernet.model_dump(), "sampling": strategy})
        return NasOptions(seed=seed, data=self.data, space=self.space, supernet=supernet, score=self.score)
