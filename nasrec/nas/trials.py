"""The architectures that a search has scored, kept as an Optuna study: one line of its journal each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import create_trial

from nasrec.arch import Arch, Candidate, ChipChoice
from nasrec.candidate_space import CandidateSpace, ChipSpace
from nasrec.errors import InputError
from nasrec.nas.score import ArchCost, ArchScore
from nasrec.search.evolution import finished_trials
from nasrec.search.parameters import candidate_of, distributions_of, parameters_of
from nasrec.search.study import open_study, repair_journal
from nasrec.space import Space

STUDY = "search"
_NO_CHOICE = ChipSpace(**{name: (value,) for name, value in ChipChoice().to_json().items()})


@dataclass(frozen=True)
class Trial:
    """A scored architecture: `value` is what the search minimises, `macs` counts multiply-accumulates an inference.

    `cost` is what scoring it took, None where an equal network had been scored before.
    """

    arch: Arch
    value: float
    score: ArchScore
    macs: int
    cost: ArchCost | None

    def to_json(self) -> dict[str, Any]:
        """Plain values but for the architecture, which is kept as parameters."""
        cost = None if self.cost is None else asdict(self.cost)
        return {"score": self.score.to_json(), "macs": self.macs, "cost": cost}


class Trials:
    """The trials of one search in their order, kept in the Optuna journal `journal` (study "search")."""

    def __init__(self, journal: Path, space: Space) -> None:
        """Open or create; what a killed process left unfinished at the end is dropped. For a lone writer."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self._candidates = CandidateSpace(space, _NO_CHOICE)
        self._distributions = distributions_of(self._candidates)
        repair_journal(journal)
        self._study = open_study(journal, objectives=1, name=STUDY)
        self.known: list[Trial] = [
            self._trial(found.params, found.value, found.user_attrs, f"{journal}: trial {found.number}")
            for found in finished_trials(self._study)
        ]

    def append(self, trial: Trial) -> None:
        """Keep one more trial."""
        self._study.add_trial(
            create_trial(
                params=parameters_of(Candidate(trial.arch, ChipChoice()), self._candidates),
                distributions=self._distributions,
                value=trial.value,
                user_attrs=trial.to_json(),
            )
        )
        self.known.append(trial)

    def _trial(self, params: Mapping[str, Any], value: float | None, kept: Mapping[str, Any], where: str) -> Trial:
        try:
            score = ArchScore.from_json(kept["score"], where)
            cost = None if kept["cost"] is None else ArchCost(**kept["cost"])
            arch = candidate_of(params, self._candidates).arch
            return Trial(arch, float(value), score, int(kept["macs"]), cost)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not a trial of this search: {error}") from None
