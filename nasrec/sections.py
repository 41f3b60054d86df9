"""Options of a run, whichever run it is: sections that refuse what they do not know, read from TOML or set by key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from nasrec.errors import InputError


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("every value is allowed once")
    return values


Bits = Literal[2, 3, 4, 5, 6, 7, 8, 32]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1e30)]  # float32 holds it
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]  # what NumPy, torch and scikit-learn all take
Value = TypeVar("Value")
Values = Annotated[tuple[Value, ...], Field(min_length=1), AfterValidator(_each_once)]
"""What there is to choose from."""
Seeds = Values[Seed]
"""Seeds of repetitions: one twice would count as two independent ones."""
Rates = Values[Rate]
"""Learning rates to be tried."""


def _plain_kinds(annotation: Any) -> set[type]:
    """The classes of plain values that an annotation names anywhere in it: of `int`, `float`, `bool`, `str`."""
    if annotation in (int, float, bool, str):
        return {annotation}
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    return set().union(*map(_plain_kinds, get_args(annotation)))


class Section(BaseModel):
    """Some options; an unknown key is refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_it_is_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would make something else of: true of 1 or "on", 1 of true, 8 of "8" (of 8.0 it may)."""
        kinds = _plain_kinds(cls.model_fields[str(info.field_name)].annotation)
        values = value if isinstance(value, list | tuple) else (value,)
        if bool in kinds and not all(isinstance(one, bool) for one in values):
            raise ValueError("allowed are true and false")
        if bool not in kinds and any(isinstance(one, bool) for one in values):
            raise ValueError("true and false are not allowed here")
        if kinds and str not in kinds and any(isinstance(one, str) for one in values):
            raise ValueError("text is not allowed here")
        return value


Options = TypeVar("Options", bound=Section)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises InputError naming the file, and the line of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def validated(kind: type[Options], data: Mapping[str, Any], where: str) -> Options:
    """Plain values as options; raises InputError naming `where`, the key, its value and what is allowed."""
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"{where}: unknown key {key!r}: allowed are {_allowed(kind, first['loc'])}") from None
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {key} is {first['input']!r}: {reason}") from None


def changed(options: Options, changes: Mapping[str, Any], where: str) -> Options:
    """`options` with the keys in `changes` (tables within tables) set anew; errors as those of `validated`.

    What was neither set before nor is now keeps its default, and is no member of `model_fields_set`.
    """
    return validated(type(options), _merged(options.model_dump(mode="json", exclude_unset=True), changes), where)


def set_by_key(options: Options, settings: Sequence[str]) -> Options:
    """`options` with each of `settings`, "section.key=value", set anew.

    A value is written as in TOML; quotation marks around a plain word may be left out. The order matters only where a
    key is set twice. Raises InputError naming the settings, the key and what is allowed.
    """
    together: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {setting}: expected SECTION.KEY=VALUE")
        changes: Any = _value(text.strip())
        for part in reversed(key.strip().split(".")):
            changes = {part: changes}
        together = _merged(together, changes)
    return changed(options, together, " ".join(f"--set {setting}" for setting in settings))


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(values)
    for key, value in changes.items():
        before = result.get(key)
        result[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return result


def _allowed(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    for part in location[:-1]:
        section = kind.model_fields[str(part)].annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            kind = section
    return ", ".join(kind.model_fields)
