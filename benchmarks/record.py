"""What a run leaves: one JSON file with the machine, the limits and every case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

FORMAT, VERSION = "nasrec.benchmarks", 1
FOLDER = Path(__file__).parent / "results"

Value = str | int | bool


@dataclass(frozen=True)
class Case:
    """One kernel on one set of parameters with one number of threads, beside its peers.

    `limits_ms`: the least time that the machine allows, by name: bare loops over the same memory that were timed in
    turns with the kernel, and the arithmetic at the peak that was measured in the same run. `flops` and `bytes` (moved
    at least, to and from memory) are for the roofline; `macs` are those of a crossbar, of 1 bit by the bits of a cell.
    `waited` is the share of the time that the process waited for a core; `kept` and `dropped` count samples of all
    contestants; `doubtful` are the contestants with too few clean samples; `missing` are the peers that
    weren't there.
    """

    kernel: str
    params: dict[str, Value]
    threads: int
    ours_ms: float
    peers_ms: dict[str, float]
    limits_ms: dict[str, float] = field(default_factory=dict)
    flops: float = 0.0
    bytes: float = 0.0
    macs: float = 0.0
    waited: float = 0.0
    kept: int = 0
    dropped: int = 0
    doubtful: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times longer each peer takes."""
        return {name: time / self.ours_ms for name, time in self.peers_ms.items()}

    @property
    def limit(self) -> tuple[str, float] | None:
        """What binds, and the share of it that the kernel reaches."""
        if not self.limits_ms:
            return None
        name = max(self.limits_ms, key=self.limits_ms.__getitem__)
        return name, self.limits_ms[name] / self.ours_ms

    @property
    def name(self) -> str:
        """Kernel and parameters on one line."""
        return f"{self.kernel} " + " ".join(f"{key}={value}" for key, value in self.params.items())

    def to_json(self) -> dict[str, Any]:
        """Fields and, for people, ratios and the share of the limit; empty ones left out."""
        data = asdict(self) | {"ratios": self.ratios}
        if self.limit:
            data["limit"], data["share_of_limit"] = self.limit
        kept = {key: _rounded(value) for key, value in data.items() if value not in ({}, [], 0.0)}
        return kept | {"waited": _rounded(self.waited), "dropped": self.dropped}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that `to_json` wrote."""
        derived = ("ratios", "limit", "share_of_limit")
        return cls(**{key: value for key, value in data.items() if key not in derived})


@dataclass(frozen=True)
class Run:
    """All cases of one process with one instruction set.

    `limits` by number of threads and name: bytes or operations a second. `peers_isa` is what torch's own code used;
    `missing` says why what is missing isn't there.
    """

    isa: str
    peers_isa: str
    machine: dict[str, Any]
    versions: dict[str, str]
    limits: dict[str, dict[str, float]]
    missing: dict[str, str]
    cases: list[Case]
    command: str = ""

    @property
    def noise(self) -> dict[str, float]:
        """The mean and the worst share of a case's time that the process waited; the share of samples dropped."""
        waited = [case.waited for case in self.cases] or [0.0]
        dropped, kept = sum(case.dropped for case in self.cases), sum(case.kept for case in self.cases)
        return {
            "waited_mean": sum(waited) / len(waited),
            "waited_worst": max(waited),
            "samples_dropped": dropped / max(1, dropped + kept),
        }

    def after(self, before: Run) -> Run:
        """The cases of this run, and those of the run `before` that it did not measure again.

        ValueError where the two ran on different machines, versions or instruction sets.
        """
        for name in ("isa", "peers_isa", "machine", "versions"):
            ours, theirs = getattr(self, name), getattr(before, name)
            if ours != theirs:
                raise ValueError(f"{name} is {ours!r}, and {theirs!r} in the run before: nothing to add to")
        fresh = {(case.name, case.threads): case for case in self.cases}
        cases = [fresh.pop((case.name, case.threads), case) for case in before.cases]
        return replace(
            self,
            limits=before.limits | self.limits,
            missing=before.missing | self.missing,
            cases=cases + list(fresh.values()),
            command=f"{before.command}; {self.command}",
        )

    def write(self, path: Path) -> None:
        """Write `path`, whole or not at all; its folder is made."""
        head = {"format": FORMAT, "version": VERSION, "isa": self.isa, "peers_isa": self.peers_isa}
        head |= {"machine": self.machine, "versions": self.versions, "command": self.command}
        head |= {"noise": _rounded(self.noise), "limits": _rounded(self.limits), "missing": self.missing}
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        cases = ",\n".join("  " + json.dumps(case.to_json()) for case in self.cases)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text("{\n" + ",\n".join(lines) + ',\n "cases": [\n' + cases + "\n ]\n}\n", encoding="utf-8")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read what `write` wrote; ValueError for another file."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if (data.get("format"), data.get("version")) != (FORMAT, VERSION):
            raise ValueError(f"{path}: format {data.get('format')!r}, expected {FORMAT} {VERSION}")
        cases = [Case.from_json(case) for case in data["cases"]]
        names = ("isa", "peers_isa", "machine", "versions", "limits", "missing", "command")
        return cls(**{name: data[name] for name in names}, cases=cases)


def _rounded(value: Any) -> Any:
    """Four significant digits: the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return value
