"""The ReRAM cell: what reading it in a product, reading it as memory and writing it cost."""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.quantity import Quantity


@dataclass(frozen=True)
class Cell:
    """A ReRAM cell within its array.

    `mac`: energy of one driven cell in one analog read. `read_bit`, `read_time`: reading it as memory, energy per
    bit and time per cell of a row (serial). `write`: energy per cell; `write_time`: per row, whose cells are written
    together. `endurance`: writes before failure.
    """

    area: Quantity
    mac: Quantity
    read_bit: Quantity
    read_time: Quantity
    write: Quantity
    write_time: Quantity
    endurance: Quantity
    on_ohm: Quantity
    off_ohm: Quantity
