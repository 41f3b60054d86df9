"""What a command line says about a network, as the importers take it."""

from __future__ import annotations

from collections.abc import Sequence

from pimsim.errors import InputError


def layer_bits(texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """`head:weight_bits=4,input_bits=6` as `{"head": {"weight_bits": 4, "input_bits": 6}}`."""
    layers: dict[str, dict[str, int]] = {}
    for text in texts:
        pattern, colon, settings = text.rpartition(":")
        for setting in settings.split(","):
            key, equals, value = setting.partition("=")
            if not colon or not pattern or not equals or not value.isdecimal():
                raise InputError(f"--layer {text}: allowed: NAME:weight_bits=4 or NAME:weight_bits=4,input_bits=6")
            layers.setdefault(pattern, {})[key] = int(value)
    return layers


def input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`image=1,3,224,224` as `{"image": (1, 3, 224, 224)}`."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        if not equals or not name or not all(size.isdecimal() for size in sizes.split(",")):
            raise InputError(f"--shape {text}: allowed: INPUT=1,3,224,224")
        shapes[name] = tuple(int(size) for size in sizes.split(","))
    return shapes
