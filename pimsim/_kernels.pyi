import numpy as np
from numpy.typing import NDArray

def threads() -> int: ...
def set_threads(count: int) -> None: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
def lookup_index_bits() -> int: ...
def crossbar_mac(
    bits: NDArray[np.uint64],
    signs: NDArray[np.int64],
    gains: NDArray[np.int64],
    shifts: NDArray[np.int32],
    inputs: int,
    outputs: int,
    block_rows: int,
    codes: NDArray[np.uint16],
    input_bits: int,
    signed_inputs: bool,
    dac_bits: int,
    adc_bits: int,
    adc_step: int,
    adc_offset: int = ...,
    fraction_bits: int = ...,
    noise: tuple[int, int, int, int, int] | None = ...,
) -> NDArray[np.int64]: ...
def crossbar_lookup(
    tables: NDArray[np.uint8],
    numbers: NDArray[np.uint16],
    signs: NDArray[np.int64],
    gains: NDArray[np.int64],
    shifts: NDArray[np.int32],
    inputs: int,
    outputs: int,
    block_rows: int,
    codes: NDArray[np.uint16],
    input_bits: int,
    signed_inputs: bool,
    dac_bits: int,
    adc_bits: int,
    adc_step: int,
    adc_offset: int,
    fraction_bits: int,
    noise: tuple[int, int, int, int, int] | None,
    listed: int,
    index_bits: int,
    planes: int,
    low_bits: int,
    run: int,
    saturate: bool,
) -> NDArray[np.int64]: ...
def crossbar_tables(
    levels: NDArray[np.uint16], block_rows: int, listed: int, index_bits: int, dac_bits: int, planes: int, low_bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]: ...
def crossbar_pack(levels: NDArray[np.uint16], block_rows: int, cell_bits: int) -> NDArray[np.uint64]: ...
