"""The one shape in which rows leave a query, and the guards of its texts against spreadsheets and terminals."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

Cell = str | int | float | bool | bytes | datetime | list[str] | dict[str, int] | None

# OWASP, "CSV Injection": = + - @ tab and line ends, also full-width, start a formula; blanks, control and zero-width
# characters before them are skipped by one spreadsheet or another
_RUNS = r"[\s\x00-\x20\u200b-\u200f\u2060\ufeff]*[=+\-@\t\r\n＝＋－＠]"
_TO_GUARD = re.compile("'*" + _RUNS)
_GUARDED = re.compile("'+" + _RUNS)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; `rows` may be a stream that can be read once.

    Every row has one cell a header. Instants are UTC-aware datetimes: the printing end knows the zone.
    """

    headers: Sequence[str]
    rows: Iterable[Sequence[Cell]]


def guard_cell(text: str) -> str:
    """Return the text of a CSV or TSV cell such that no spreadsheet runs it: with a `'` before it where one would.

    A text that would run behind quotes (`'=1`) gets one more, so that `unguard_cell` gives every text back.
    """
    return f"'{text}" if _TO_GUARD.match(text) else text


def unguard_cell(text: str) -> str:
    """Return the text that `guard_cell` was given: one leading `'` less where more of them or a formula follow."""
    return text[1:] if _GUARDED.match(text) else text


def escape_controls(text: str) -> str:
    r"""Return the text with everything that could draw on a terminal as escapes: `\n`, `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
