"""All chips of a space for one workload, costed together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pimsim
from nasrec.arch import ChipChoice
from nasrec.errors import InputError
from nasrec.hardware.chip import chip_of
from pimsim import Workload
from pimsim.crossbar import Arithmetic
from pimsim.sweep import Space, sweep

NUMERIC = ("rows", "cell_bits", "dac_bits", "adc_bits")
"""The genes of a chip that its numbers depend on; the others only change what the same numbers cost."""
_COSTS = ("energy_j", "latency_s", "area_m2")


@dataclass(frozen=True)
class CostedChips:
    """`genes`: an array [n] for each gene of `ChipChoice`; `costs` [n, 3]: J, s, m²; `lossless` [n]: no ADC rounds."""

    genes: dict[str, NDArray[np.int64]]
    costs: NDArray[np.float64]
    lossless: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many chips."""
        return len(self.costs)

    def choice(self, place: int) -> ChipChoice:
        """The genes of the chip at `place`."""
        return ChipChoice(**{name: int(values[place]) for name, values in self.genes.items()})

    def cheapest_lossless(self) -> int | None:
        """The place of the lossless chip of least energy; None where no chip is lossless."""
        energies = np.where(self.lossless, self.costs[:, 0], np.inf)
        return int(np.argmin(energies)) if self.lossless.any() else None

    def to_json(self, place: int) -> dict[str, Any]:
        """The chip at `place` and its costs as plain values."""
        return {"chip": self.choice(place).to_json(), **dict(zip(_COSTS, self.costs[place].tolist(), strict=True))}

    def alike(self) -> Iterator[NDArray[np.intp]]:
        """The places of all chips that compute the same numbers, group by group: `NUMERIC` genes in rising order."""
        keys = np.stack([self.genes[name] for name in NUMERIC], axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(group.ravel()[order])) + 1)


def costed_chips(workload: Workload, values: Mapping[str, tuple[int, ...]]) -> CostedChips:
    """Every chip that can be built of the `values` of each gene, with what `measure_workload` says of it.

    Raises InputError where `workload` does not fit. As in `chip_of`, `columns_per_adc` beyond the number of columns
    means one ADC per crossbar: of such values only the smallest is tried.
    """
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in (*values, *_COSTS)}
    for columns in values["columns"]:
        shared = {min(each, columns): each for each in sorted(values["columns_per_adc"], reverse=True)}
        axes = {**values, "columns": (columns,), "columns_per_adc": tuple(shared)}
        try:
            for block in sweep(workload, Space(chip_of(ChipChoice()), axes), figures=_COSTS):
                given = np.array([shared[each] for each in block["columns_per_adc"].tolist()], dtype=np.int64)
                for name, column in {**block, "columns_per_adc": given}.items():
                    found[name].append(column)
        except pimsim.InputError as error:
            raise InputError(str(error)) from None
    genes = {name: np.concatenate(found[name]).astype(np.int64) for name in values}
    costs = np.stack([np.concatenate(found[name]) for name in _COSTS], axis=1).astype(np.float64)
    return CostedChips(genes, costs, np.asarray(_lossless(genes)))


def is_lossless(choice: ChipChoice) -> bool:
    """Whether no ADC of the chip rounds, whatever it computes: all such chips compute the same numbers."""
    return bool(_lossless(choice.to_json()))


def _lossless(genes: Mapping[str, Any]) -> Any:
    """For whole numbers or arrays of them."""
    readout = Arithmetic(**chip_of(ChipChoice()).arithmetic_options())
    bits = pimsim.lossless_adc_bits(
        genes["rows"], genes["cell_bits"], genes["dac_bits"], flip=readout.flip, encoding=readout.encoding
    )
    return genes["adc_bits"] >= bits
