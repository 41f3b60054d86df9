"""A made-up run, for the tests of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasrec.arch import Candidate, ChipChoice
from nasrec.space import Space

SPACE = Space("full", blocks=5, weight_bits=(4, 8), input_bits=(4, 8))
REFERENCE = [0.53, 400e-6, 900e-6, 4e-4]


def candidate(seed: int) -> Candidate:
    rng = np.random.default_rng(seed)
    chip = ChipChoice(rows=int(rng.choice([64, 128, 256])), adc_bits=int(rng.integers(4, 9)))
    return Candidate(SPACE.sample(rng), chip)


def fake_summary(*, evaluations: int = 40, seeds: int = 3, optimum: float | None = 0.43) -> dict[str, Any]:
    """A summary in the form that a run writes, without format and version."""
    return {
        "data": {
            "source": "synthetic:rows=500000",
            "rows": {"train": 400_000, "validation": 50_000, "test": 50_000},
            "optimum": {"test": optimum},
        },
        "options": {"seed": 0},
        "search": {
            "objectives": ["log_loss", "energy_j", "latency_s", "area_m2"],
            "reference_point": list(REFERENCE),
            "strategies": {
                name: {"seeds": [_search(shift, seed, evaluations) for seed in range(seeds)]}
                for name, shift in (("joint", 1.0), ("random", 1.7), ("model_first", 1.35))
            },
        },
        "winners": [
            _model("knee", 0.4470, 6e-6, candidate(1)),
            _model("log_loss", 0.4405, 22e-6, candidate(2)),
            _model("energy", 0.4650, 1.1e-6, candidate(3)),
        ],
        "baselines": [
            _model("logistic_regression", 0.5, 0.9e-6, None),
            _model("dlrm", 0.455, 31e-6, None),
            _model("deepfm", 0.451, 48e-6, None),
        ],
        "gap_closed": None if optimum is None else (0.5 - 0.4405) / (0.5 - optimum),
        "wall_s": {"data": 12.5, "supernet": 181.0, "search-joint-0": 95.0, "winner-0": 60.0},
    }


def _search(shift: float, seed: int, evaluations: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, round(shift * 100)])
    trials = []
    volume, volumes = 0.0, []
    for number in range(evaluations):
        energy = float(np.exp(rng.normal(np.log(8e-6 * shift), 1.0)))
        loss = 0.45 + 0.008 * shift * float(rng.exponential()) + 0.006 * float(np.log1p(3e-6 / energy))
        if rng.random() < 0.05:
            loss += 0.8
        trials.append(
            {
                "number": number,
                "values": [loss, energy, energy * 3.0, energy * 2.0],
                "feasible": bool(number % 9),
                "candidate": candidate(number).to_json(),
            }
        )
        volume = max(volume, (0.53 - loss) / shift + number * 1e-4)
        volumes.append(volume)
    return {"seed": seed, "trials": trials, "hypervolume": volumes}


def _model(name: str, loss: float, energy: float, found: Candidate | None) -> dict[str, Any]:
    parts = {
        "adc": 0.52,
        "dac": 0.05,
        "crossbar": 0.12,
        "sample_hold": 0.01,
        "shift_add": 0.08,
        "buffer": 0.16,
        "link": 0.06,
    }
    ops = [f"tables.C{n}" for n in range(26)] + [
        f"blocks.{block}.{op}{end}"
        for block, op in enumerate(("fc.linear", "dot.output", "gating.left", "efc.linear", "attention.qkv"))
        for end in ("", ".rescale")
    ]
    ops.append("head")
    weights = np.random.default_rng(len(name)).dirichlet(np.full(len(ops), 0.5))
    return {
        "name": name,
        **({} if found is None else {"candidate": found.to_json()}),
        "test": {
            "rows": 50_000,
            "log_loss": loss - 0.002,
            "auc": 0.80 - (loss - 0.43),
            "log_loss_crossbar": loss,
            "auc_crossbar": 0.799 - (loss - 0.43),
        },
        "hardware": {
            "energy_j": energy,
            "latency_s": energy * 2.5,
            "area_m2": energy * 1.8,
            "crossbars": 417,
            "interval_s": energy,
            "by_op": [
                {"name": op, "energy_j": energy * float(share), "latency_s": energy * float(share)}
                for op, share in zip(ops, weights, strict=True)
            ],
            "by_component": [
                {"name": part, "energy_j": energy * share, "area_m2": energy * 1.8 * share}
                for part, share in parts.items()
            ],
        },
    }
