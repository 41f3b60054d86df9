"""`summary.json` as the report reads it: every figure of a run, typed; unknown fields are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasrec.arch import Candidate
from nasrec.errors import InputError

Values = tuple[float, float, float, float]
"""Log loss, energy_j, latency_s, area_m2: the objectives in their order."""

OBJECTIVES = ("log_loss", "energy_j", "latency_s", "area_m2")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Optimum(_Part):
    """Best reachable log loss, where the truth is known."""

    test: float | None = None


class Data(_Part):
    """Where the rows came from and how many of each split."""

    source: str
    rows: dict[str, int]
    optimum: Optimum = Optimum()


class Trial(_Part):
    """One evaluated candidate: its objectives on validation rows."""

    number: int
    values: Values
    feasible: bool = True
    candidate: dict[str, Any]


class SeedRun(_Part):
    """One search: its trials and the hypervolume after each."""

    seed: int
    trials: list[Trial]
    hypervolume: list[float]


class Strategy(_Part):
    """One way of searching, repeated with several seeds."""

    seeds: list[SeedRun]


class Search(_Part):
    """All searches, and the point that hypervolume is measured from."""

    reference_point: Values
    strategies: dict[str, Strategy]


class Quality(_Part):
    """Scores on test rows, in float and as the crossbars compute; None where undefined or not measured."""

    rows: int
    log_loss: float
    auc: float | None
    log_loss_crossbar: float | None = None
    auc_crossbar: float | None = None


class OperatorCost(_Part):
    """What one operator of the workload costs per inference."""

    name: str
    energy_j: float
    latency_s: float


class ComponentCost(_Part):
    """What one kind of chip component costs: energy per inference, area."""

    name: str
    energy_j: float
    area_m2: float


class Hardware(_Part):
    """What a model costs on its chip, per inference."""

    energy_j: float
    latency_s: float
    area_m2: float
    crossbars: float | None = None
    interval_s: float | None = None
    by_op: list[OperatorCost] = Field(default_factory=list)
    by_component: list[ComponentCost] = Field(default_factory=list)


class Model(_Part):
    """A winner or a baseline, trained from scratch and judged on test."""

    name: str
    test: Quality
    hardware: Hardware | None = None
    candidate: dict[str, Any] | None = None

    def genotype(self) -> Candidate | None:
        """The candidate, where the model has one (baselines have none)."""
        return None if self.candidate is None else Candidate.from_json(self.candidate, f"winner {self.name}")


class Summary(_Part):
    """The whole of `summary.json`."""

    data: Data
    search: Search
    winners: list[Model]
    baselines: list[Model]
    gap_closed: float | None = None
    wall_s: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "summary.json") -> Summary:
        """Check and type `data`; raises InputError naming `where` and the first field that is missing or bad."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            found = "" if first["type"] == "missing" else f" ({first['input']!r:.60})"
            raise InputError(f"{where}: {place}: {first['msg']}{found}") from None
