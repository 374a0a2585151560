"""The CSV export: the eleven columns of the legacy script, with cells guarded against spreadsheets."""

import csv
import io

from oomdb.reports.content import COLUMNS, ReportContent
from oomdb.table import guard_cell


def render_csv(content: ReportContent) -> bytes:
    """Return the rows as CSV: CRLF, quoted only where needed, UTF-8 without BOM, the header always there."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([guard_cell(cell) for cell in row] for row in content.cells())
    return text.getvalue().encode("utf-8", "replace")
