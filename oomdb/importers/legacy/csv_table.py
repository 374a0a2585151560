"""Reading one `oom_results*.csv` of the legacy script, of 8, 9 or 11 columns, as its writers and its keepers left it.

Formats: FoundBy rows and Prometheus-detected timestamps exist in the oldest ones only. Columns are found by the header.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from oomdb.errors import ImportFileError

_NEEDED = ("cluster", "namespace", "pod", "type", "timestamps")
_COLUMNS = (*_NEEDED, "application", "component", "sources", "description_file", "pod_log_file", "time_range")


class LegacyRow(NamedTuple):
    """One row: one (cluster, namespace, pod, type) of a run; texts are trimmed."""

    line: int
    cluster: str
    namespace: str
    pod: str
    type: str
    timestamps: str
    application: str
    component: str
    sources: str
    description_file: str
    pod_log_file: str
    time_range: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that tells nothing that could be kept, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTable:
    """What a file holds; `layout` is the format as far as its header tells it: legacy-8, legacy-9, legacy-11."""

    layout: str
    rows: tuple[LegacyRow, ...]
    bad_rows: tuple[BadRow, ...]
    notes: tuple[str, ...]


def parse_table(data: bytes) -> LegacyTable:
    """Read the content of a file.

    Raises:
        ImportFileError: with the line and the reason, where it is no table of the legacy script, or breaks off.
    """
    table = _Table(data)
    # a missing column is the '' behind the cells
    pick = itemgetter(*(table.columns.get(name, table.width) for name in _COLUMNS))
    rows: list[LegacyRow] = []
    bad_rows: list[BadRow] = []
    for line, cells in table.iter_lines():
        reason = table.find_fault(cells)
        row = None if reason else LegacyRow(line, *pick([*map(str.strip, cells), ""]))
        if row is not None and row.cluster and row.namespace and row.pod and row.type:
            rows.append(row)
        else:
            bad_rows.append(BadRow(line, reason or "no cluster, namespace, pod or type: nobody knows whose it is"))
    return LegacyTable(layout=table.layout, rows=tuple(rows), bad_rows=tuple(bad_rows), notes=tuple(table.notes))


class _Table:
    """The lines of a file, whose header has been read."""

    def __init__(self, data: bytes) -> None:
        self.notes: list[str] = []
        text = decode(data, self.notes)
        self._has_nul = "\0" in text
        self._lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = self._read_header()
        self.columns = _find_columns(header)
        self.width = len(header)
        self.layout = _name_layout(self.columns)

    def iter_lines(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over the number of the line that each row begins at, and its cells; blank lines are left out."""
        lines = self._lines
        begins_at = lines.line_num + 1
        try:
            for cells in lines:
                if cells:
                    yield begins_at, cells
                begins_at = lines.line_num + 1
        except csv.Error as err:
            raise self._broken(err) from err

    def find_fault(self, cells: Sequence[str]) -> str:
        """Return what is wrong with a row, '' for nothing."""
        if len(cells) != self.width:
            return f"{len(cells)} cells under a header of {self.width}: was the file cut, or a comma not quoted?"
        if self._has_nul and any("\0" in cells[position] for position in self.columns.values()):
            return "a NUL byte, which no name has: the file is damaged"
        return ""

    def _read_header(self) -> list[str]:
        try:
            header = next(self._lines, None)
        except csv.Error as err:
            raise self._broken(err) from err
        if header is None:
            raise ImportFileError("the file is empty: not even a header is there.")
        return header

    def _broken(self, err: csv.Error) -> ImportFileError:
        return ImportFileError(f"line {self._lines.line_num}: {err}; nothing of the file was imported.")


def decode(data: bytes, notes: list[str]) -> str:
    """Return the text of a file: UTF-8, or what a byte order mark says; other bytes are shown as `\\xe9` and noted."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as err:
                raise ImportFileError(f"byte {err.start}: not {encoding}, as the file's mark says.") from err
    try:
        return data.decode()
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        notes.append(f"line {line}: not UTF-8; bytes that are none stand as \\xNN in the database")
        return data.decode(errors="backslashreplace")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _find_columns(header: Sequence[str]) -> Mapping[str, int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise ImportFileError(f"line 1: the header has no column {missing[0]!r}: no CSV of the legacy script.")
    twice = next((name for name in names if name in _COLUMNS and names.count(name) > 1), None)
    if twice:
        raise ImportFileError(f"line 1: the header has the column {twice!r} twice: which one counts?")
    return {name: position for position, name in enumerate(names) if name in _COLUMNS}


def _name_layout(columns: Mapping[str, int]) -> str:
    if "application" in columns or "component" in columns:
        return "legacy-11"
    return "legacy-9" if "time_range" in columns else "legacy-8"
