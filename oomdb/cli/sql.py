"""`oomdb sql`: the history asked with SQL."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from oomdb.cli.options import command, list_options, option, pass_app
from oomdb.cli.output import emit
from oomdb.errors import UsageError
from oomdb.store.readonly_sql import run_query
from oomdb.table import Table

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output


@command(
    "sql",
    short_help="Ask the database with SQL; it cannot write.",
    examples=(
        ("Who dies most", 'oomdb sql "SELECT workload, count(*) FROM occurrences GROUP BY 1 ORDER BY 2 DESC"'),
        ("With a value", 'oomdb sql "SELECT * FROM latest_findings WHERE namespace = :ns" -p ns team-a-tenant'),
        ("From a file", "oomdb sql - --json < query.sql"),
    ),
)
@click.argument("query")
@option("-p", "--param", "params", nargs=2, multiple=True, metavar="NAME VALUE", help="Value of :NAME in the query.")
@option("--timeout", type=click.FloatRange(0, min_open=True), default=60, help="Seconds that the query may take.")
@list_options
@pass_app
def sql_command(*, app: "App", output: "Output", query: str, params: Sequence[tuple[str, str]], timeout: float) -> None:
    """Run one SELECT on the database and print its rows as they come; `-` reads the query from standard input.

    The connection cannot write, attach other files, or run several statements. Values of -p are texts: write
    CAST(:n AS INTEGER) to compare a computed number with one. Instants are printed as they are
    stored: UTC, `YYYY-MM-DD HH:MM:SS`. `oomdb schema` lists tables and views.
    """
    if query == "-":
        query = sys.stdin.read() if sys.stdin is not None else ""  # closed by the shell's <&-
    if not query.strip():
        raise UsageError('The query is empty; for example: oomdb sql "SELECT * FROM latest_run".')
    with run_query(app.database, query, dict(params), timeout_seconds=timeout) as result:
        emit(Table(result.headers, result.rows), output, app)
