"""From a chip's genes to a chip, and to the chip file that a winner leaves behind."""

from __future__ import annotations

from pathlib import Path

from nasrec.arch import ChipChoice
from nasrec.errors import InputError
from pimsim import Chip, chip_file, presets
from pimsim import InputError as ChipError


def chip_of(choice: ChipChoice) -> Chip:
    """The chip that `choice` describes: ISAAC's components at the chosen shape and bits, with as many tiles as needed.

    `columns_per_adc` beyond the number of columns means one ADC per crossbar. `copies` belongs to the mapping, not to
    the chip: see `measure`.
    """
    return (
        presets.isaac()
        .with_options(
            rows=choice.rows,
            columns=choice.columns,
            cell_bits=choice.cell_bits,
            dac_bits=choice.dac_bits,
            adc_bits=choice.adc_bits,
            columns_per_adc=min(choice.columns_per_adc, choice.columns),
        )
        .with_tiles(None)
    )


def chip_to_toml(choice: ChipChoice) -> str:
    """The text of a chip file for `pimsim evaluate --chip`, copies included."""
    return chip_file.chip_to_toml(chip_of(choice), copies=choice.copies)


def choice_from_toml(path: Path) -> ChipChoice:
    """The genes of the chip in a file that `chip_to_toml` wrote; raises InputError naming file and key.

    A file of another chip is refused: its costs would be those of a chip that it does not describe.
    """
    try:
        chip = chip_file.chip_from_toml(path)
        copies = chip_file.copies_named(str(path))
    except ChipError as error:
        raise InputError(str(error)) from None
    genes = ("rows", "columns", "cell_bits", "dac_bits", "adc_bits", "columns_per_adc")
    options = chip.options()
    choice = ChipChoice(**{name: options[name] for name in genes}, copies=copies)
    if chip_of(choice) != chip:
        raise InputError(f"{path}: describes a chip that a search cannot have chosen, allowed: preset 'isaac', tiles "
                         f"'sized', and only {', '.join(genes)} and copies of your own")
    return choice
