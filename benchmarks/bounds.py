"""What was measured against what must hold, as a table, and as an exit code."""

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing that was measured; `bound` is the most that it may be, None where it is only told."""

    what: str
    value: float
    bound: float | None = None
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether it is within its bound."""
        return self.bound is None or self.value <= self.bound


def report(title: str, measured: Sequence[Measured]) -> int:
    """Print the table and return 1 where something does not hold, else 0."""
    rows = [
        (
            it.what,
            _number(it.value) + it.unit,
            "" if it.bound is None else f"≤ {_number(it.bound)}{it.unit}",
            "" if it.bound is None else "yes" if it.holds else "NO",
        )
        for it in measured
    ]
    headers = (title, "measured", "bound", "holds")
    print(tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "left")))
    return 0 if all(it.holds for it in measured) else 1


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
