"""What a model needs to know of its data: how many dense inputs, and one embedding table per category."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasrec.errors import InputError


@dataclass(frozen=True)
class Table:
    """One categorical field and its embedding table.

    `rows` ids 0..rows-1 are valid; `lookups` is the mean number of ids per sample (1.0 for a plain category,
    the mean bag length for a multi-hot one).
    """

    name: str
    rows: int
    lookups: float = 1.0
    multi_hot: bool = False


@dataclass(frozen=True)
class Features:
    """The inputs of a model: `dense` numbers and one `Table` per categorical field, in order."""

    dense: int
    tables: tuple[Table, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return {"dense": self.dense, "tables": [asdict(table) for table in self.tables]}

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str = "features") -> Features:
        """Rebuild from `to_json`; raises InputError naming `where` if a key is missing or unknown."""
        try:
            return cls(int(data["dense"]), tuple(Table(**table) for table in data["tables"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not a description of features: {error}") from None
