import numpy as np
from numpy.typing import NDArray

def threads() -> int: ...
def set_threads(count: int) -> None: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
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
) -> NDArray[np.int64]: ...
