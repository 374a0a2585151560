"""The one shape in which rows leave a query: headers and rows, whatever the format they are printed in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

Cell = str | int | float | bool | bytes | datetime | list[str] | dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; `rows` may be a stream that can be read once.

    Every row has one cell a header. Instants are UTC-aware datetimes: the printing end knows the zone.
    """

    headers: Sequence[str]
    rows: Iterable[Sequence[Cell]]
