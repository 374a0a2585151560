"""`oomdb schema`: the tables and views, with what they hold."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from oomdb.cli.options import command, list_options, pass_app
from oomdb.cli.output import emit
from oomdb.errors import UsageError, suggest
from oomdb.store.schema import TABLES
from oomdb.store.views import VIEWS
from oomdb.table import Table

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output

HEADERS = ("name", "kind", "column", "type", "comment")


@command(
    "schema",
    short_help="List tables and views, with comments.",
    examples=(("All", "oomdb schema"), ("One table", "oomdb schema occurrences")),
)
@click.argument("name", required=False)
@list_options
@pass_app
def schema_command(*, app: "App", output: "Output", name: str | None) -> None:
    """List what `oomdb sql` can ask: each table with its columns, each view, and what they hold."""
    rows = [row for row in iter_schema() if name in (None, row[0])]
    if not rows:
        known = [table.name for table in TABLES] + list(VIEWS)
        raise UsageError(f"There is no table or view '{name}'; {suggest(str(name), known)}")
    emit(Table(HEADERS, rows), output, app)


def iter_schema() -> Iterator[tuple[str, str, str, str, str]]:
    """Iterate over tables, each followed by its columns, and views, as rows under HEADERS."""
    for table in sorted(TABLES, key=lambda it: it.name):
        yield table.name, "table", "", "", str(table.comment)
        for column in table.columns:
            kind = "INSTANT" if type(column.type).__name__ == "Instant" else str(column.type)
            yield table.name, "column", column.name, kind, str(column.comment)
    for view, (comment, _) in VIEWS.items():
        yield view, "view", "", "", comment
