"""Calls one function of an extension module with arguments right and wrong for some seconds; a process of its own.

    python hostile_calls.py FILE-OF-THE-MODULE ROOM.FUNCTION SECONDS SEED NOTES

Every call has to return, or to raise one of ERRORS and leave every argument as it was. The file NOTES holds the call
that is being made, for who finds this process dead. Prints how many calls ended how, as JSON.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from hostile_arguments import MAKERS
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from spoiled_arguments import is_vast, spoiled

ERRORS = (ValueError, TypeError, IndexError, MemoryError)
ROOM = 2**30  # bytes that calls may allocate on top of what the process has
EXAMPLES = 200


def load(path: str) -> ModuleType:
    name = "_kernels"
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def limit_memory() -> None:
    """Makes an allocation of more than ROOM fail; not under AddressSanitizer, which has a limit of its own."""
    if "ASAN_OPTIONS" not in os.environ:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,) * 2)


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        text = f"{value.dtype.str}{list(value.shape)} strides {list(value.strides)}"
        return f"{text} {value.tolist()}" if value.size <= 40 and not is_vast(value) else text
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(describe, value))}]"
    return repr(value)


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray) and not is_vast(value):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from arrays_in(item)


class Caller:
    """Makes the calls and counts how they end."""

    def __init__(self, module: ModuleType, room: str, function: str, notes: int) -> None:
        self.module = module
        self.make = MAKERS[f"{room}.{function}"]
        self.name = function
        self.notes = notes
        self.ends: Counter[str] = Counter()
        best = module.best_isa()
        isas = ["portable", "avx2", "avx512"]
        self.isas = isas[: isas.index(best) + 1]

    def call(self, r: random.Random) -> None:
        arguments = self.make(r)
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            i = r.randrange(len(arguments))
            arguments[i] = spoiled(r, arguments[i])
        self.module.set_threads(r.choice([1, 2, 4]))
        self.module.set_isa(r.choice(self.isas))
        text = f"{self.name}({', '.join(map(describe, arguments))}) {self.module.isa()} {self.module.threads()}"
        os.ftruncate(self.notes, 0)
        os.pwrite(self.notes, text.encode(), 0)
        arrays = [array for argument in arguments for array in arrays_in(argument)]
        before = [array.tobytes() for array in arrays]
        try:
            getattr(self.module, self.name)(*arguments)
        except ERRORS as error:
            self.ends[type(error).__name__] += 1
            same = [array.tobytes() == bits for array, bits in zip(arrays, before, strict=True)]
            assert all(same), f"an argument was changed before {type(error).__name__}({error}): {text}"
        else:
            self.ends["returned"] += 1


def main() -> None:
    path, target, seconds, number, notes = sys.argv[1:]
    room, _, function = target.partition(".")
    module = load(path)
    limit_memory()
    caller = Caller(module, room, function, os.open(notes, os.O_RDWR | os.O_CREAT))
    end = time.monotonic() + float(seconds)
    first = int(number)
    while time.monotonic() < end:

        @seed(first)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.randoms(use_true_random=False))
        def calls(r: random.Random) -> None:
            caller.call(r)

        calls()
        first += 1
    sys.stdout.write(json.dumps(caller.ends) + "\n")


if __name__ == "__main__":
    main()
