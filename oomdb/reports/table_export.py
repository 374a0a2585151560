"""The table export: the grid of the legacy script; written also when it is empty."""

import re

from oomdb.reports.content import COLUMNS, ReportContent

# what would break the grid, or draw on a terminal that shows the file
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069|\ud800-\udfff]")


def render_table(content: ReportContent) -> bytes:
    """Return the rows as a grid of dashes and bars, every cell padded to its column, without a final newline."""
    rows = [tuple(_harmless(cell) for cell in row) for row in content.cells()]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    line = "-" * (sum(widths) + 3 * len(widths) + 1)
    lines = [line, _format(COLUMNS, widths), line, *(_format(row, widths) for row in rows)]
    return "\n".join([*lines, line]).encode()


def _format(cells: tuple[str, ...], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _harmless(cell: str) -> str:
    return _BREAKS.sub(lambda found: "\\|" if found[0] == "|" else ascii(found[0])[1:-1], cell)
