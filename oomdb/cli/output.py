"""What commands print: rows in the format that was asked for, notes to stderr, colours where a terminal takes them.

In every format the same rows; in `json` and `nl` the types are JSON's. None is an empty cell in `csv` and `tsv` and
`–` in a table; true and false are `true`, `false` there and `yes`, `no` in a table; lists and dictionaries are JSON in
a cell and `a, b`, `a=1, b=2` in a table; bytes are `x'6f6d'`, as SQLite writes them; a number that is not finite
counts as None. Instants are UTC but in tables, which have the zone of `--tz`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from math import isfinite
from typing import TYPE_CHECKING, Any, TextIO

from oomdb.errors import OomdbError
from oomdb.table import Cell, Table, guard_cell
from oomdb.table import escape_controls as escape_controls
from oomdb.timespan import format_for_people, format_instant

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output

_NOTHING = "–"


def emit(table: Table, output: "Output", app: "App") -> bool:
    """Print a table to stdout and return whether it has rows.

    Says on stderr where `--limit` cut it, and below an aligned table where it is empty.

    Rows are printed as they come, but for the aligned table, which must have seen them all.

    Raises:
        OomdbError: stdout cannot be written, for example because the disk is full.
        BrokenPipeError: the reader has gone.
    """
    rows = _Limited(table.rows, output.limit)
    if output.format == "table":
        _print_aligned(table.headers, rows, with_headers=output.headers, app=app)
    elif output.format in ("csv", "tsv"):
        _print_separated(table.headers, rows, with_headers=output.headers, tabs=output.format == "tsv")
    else:
        _print_json(table.headers, rows, lines=output.format == "nl")
    if output.format == "table" and not rows.any_came:
        note("0 rows", app)
    if rows.more_exist:
        note(f"first {output.limit} rows; more exist: raise --limit to see them.", app)
    return rows.any_came


def write(text: str) -> None:
    """Write text to stdout as it is.

    Raises:
        OomdbError: stdout is closed, or cannot be written.
        BrokenPipeError: the reader has gone.
    """
    if sys.stdout is None:
        raise OomdbError("standard output is closed; nothing can be printed.")
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as err:
        raise OomdbError(f"standard output cannot be written: {err.strerror or err}.") from err


def note(
    text: str,
    app: "App",
    *,
    is_error: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Write a message for people to stderr, one line, with the time where it goes to a log.

    `-q` silences all but errors.
    """
    if (app.verbosity == "quiet" and not is_error) or sys.stderr is None:
        return
    stamp = "" if sys.stderr.isatty() else f"{format_instant(clock())} "
    sys.stderr.write(f"{stamp}{escape_controls(text)}\n")


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours by what a text is; each text is escaped first, since names come from clusters."""

    enabled: bool

    def cluster(self, text: str) -> str:
        """Return a cluster's name in cyan."""
        return self._colored("36", text)

    def namespace(self, text: str) -> str:
        """Return a namespace in yellow."""
        return self._colored("33", text)

    def finding(self, text: str) -> str:
        """Return what was found in red."""
        return self._colored("31", text)

    def clean(self, text: str) -> str:
        """Return what is well in green."""
        return self._colored("32", text)

    def skipped(self, text: str) -> str:
        """Return what was not looked at in grey."""
        return self._colored("90", text)

    def _colored(self, code: str, text: str) -> str:
        escaped = escape_controls(text)
        return f"\x1b[{code}m{escaped}\x1b[0m" if self.enabled else escaped


def paint_for(app: "App", stream: TextIO) -> Paint:
    """Return the colours that a stream takes: none off a terminal, and none where they are not wanted."""
    return Paint(app.color and stream.isatty())


class _Limited:
    """Rows up to a limit, which know afterwards whether there were any, and more."""

    def __init__(self, rows: Iterable[Sequence[Cell]], limit: int | None) -> None:
        self.any_came = False
        self.more_exist = False
        self._rows = rows
        self._limit = limit

    def __iter__(self) -> Iterator[Sequence[Cell]]:
        rows = iter(self._rows)
        for row in islice(rows, self._limit):
            self.any_came = True
            yield row
        if self._limit is not None:
            self.more_exist = next(rows, None) is not None


def _print_aligned(headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, with_headers: bool, app: "App") -> None:
    from tabulate import tabulate

    cells = list(rows)
    are_numbers = [
        any(_is_number(row[column]) for row in cells)
        and all(_is_number(row[column]) or row[column] is None for row in cells)
        for column in range(len(headers))
    ]
    text = tabulate(
        [[_for_people(cell, app) for cell in row] for row in cells],
        headers=[escape_controls(header) for header in headers] if with_headers else (),
        tablefmt="simple" if with_headers else "plain",
        disable_numparse=True,
        colalign=["right" if numbers else "left" for numbers in are_numbers] or None,
    )
    write(f"{text}\n" if text else "")


def _print_separated(headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, with_headers: bool, tabs: bool) -> None:
    import csv

    writer = csv.writer(_CsvLines(), delimiter="\t" if tabs else ",", lineterminator="\r\n")
    first: list[Sequence[Cell]] = [headers] if with_headers else []
    for row in chain(first, rows):
        writer.writerow([_for_cell(cell) for cell in row])


class _CsvLines:
    r"""Stdout for the csv module, which quotes `\r` in cells only where lines end in `\r\n`: ours end in `\n`."""

    def write(self, line: str) -> None:
        write(line.removesuffix("\r\n") + "\n")


def _print_json(headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, lines: bool) -> None:
    import json

    names = _unique(headers)
    before = "" if lines else "["
    for row in rows:
        fields = {name: _for_json(cell) for name, cell in zip(names, row, strict=True)}
        write(before + json.dumps(fields, ensure_ascii=False) + ("\n" if lines else ""))
        before = "" if lines else ",\n "
    if not lines:
        write("[]\n" if before == "[" else "]\n")


def _unique(headers: Sequence[str]) -> list[str]:
    """Return the headers as keys of an object: those that come again (a join's two `id`) get a number."""
    names: list[str] = []
    for header in headers:
        name, number = header, 1
        while name in names:
            number += 1
            name = f"{header}_{number}"
        names.append(name)
    return names


def _for_people(cell: Cell, app: "App") -> str:
    if cell is None or (isinstance(cell, float) and not isfinite(cell)):
        return _NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return format_for_people(cell, app.zone)
    if isinstance(cell, list):
        return escape_controls(", ".join(str(item) for item in cell))
    if isinstance(cell, dict):
        return escape_controls(", ".join(f"{key}={value}" for key, value in cell.items()))
    return escape_controls(_as_literal(cell) if isinstance(cell, bytes) else str(cell))


def _for_cell(cell: Cell) -> str | int | float | None:
    """Return what the csv module writes: guarded text, or a number, which no spreadsheet runs."""
    if isinstance(cell, str):
        return guard_cell(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (list, dict)):
        import json

        return json.dumps(cell, ensure_ascii=False)
    value: str | int | float | None = _for_json(cell)
    return value


def _for_json(cell: Cell) -> Any:
    if isinstance(cell, datetime):
        return format_instant(cell)
    if isinstance(cell, bytes):
        return _as_literal(cell)
    if isinstance(cell, float) and not isfinite(cell):
        return None
    return cell


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _as_literal(blob: bytes) -> str:
    return f"x'{blob.hex()}'"
