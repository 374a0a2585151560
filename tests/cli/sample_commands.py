"""Commands that tests run through the real door: one list, one that fails as it is told, one group."""

import json
from collections.abc import Iterator
from typing import Any

import click

from oomdb.cli.main import Entry, LazyGroup
from oomdb.cli.options import (
    App,
    Group,
    Output,
    command,
    filter_options,
    list_options,
    option,
    pass_app,
)
from oomdb.cli.output import emit
from oomdb.cli.types import PATH, SPAN
from oomdb.errors import UsageError
from oomdb.queries.filters import FindingFilter
from oomdb.table import Cell, Table

ROWS: tuple[tuple[Cell, ...], ...] = (("prod-a", 3), ("prod-b", 12), ("=cmd|x", None))


@command(
    "runs",
    short_help="List the runs.",
    help="List the runs.",
    examples=[("the last five runs as JSON", "oomdb runs --limit 5 --json")],
)
@list_options
@pass_app
def runs(app: App, output: Output) -> None:
    emit(Table(("cluster", "findings"), iter(ROWS)), output, app)


@command("show", help="Print what the options became.")
@list_options
@filter_options()
@option("--time-range", type=SPAN, default="1d", help="How far back.")
@option("--retries", type=click.IntRange(min=0), default=3)
@option("--tarballs/--no-tarballs", default=False)
@option("--log-dir", type=PATH, default=None)
@pass_app
def show(app: App, output: Output, filters: FindingFilter, **rest: Any) -> None:
    said = {
        "db": app.database,
        "output": str(app.output_folder),
        "tz": str(app.zone),
        "color": app.color,
        "verbosity": app.verbosity,
        "settings": str(app.settings.path),
        "now": str(app.now),
        "format": output.format,
        "headers": output.headers,
        "limit": output.limit,
        "filters": {name: getattr(filters, name) for name in filters.__slots__},
        **rest,
    }
    click.echo(json.dumps(said, default=str))


@command("narrow", help="A list with two filters only.")
@filter_options("cluster", "run")
@pass_app
def narrow(app: App, filters: FindingFilter) -> None:
    click.echo(f"{filters.clusters} {filters.run} {app.verbosity}")


@command("many", help="Print rows without end.")
@list_options
@pass_app
def many(app: App, output: Output) -> None:
    def rows() -> Iterator[tuple[Cell, ...]]:
        number = 0
        while True:
            yield (number, "x" * 100)
            number += 1

    emit(Table(("n", "text"), rows()), output, app)


@command("fail", help="End as it is told.")
@click.argument("how")
@pass_app
def fail(app: App, how: str) -> int:
    if how == "usage":
        raise UsageError(f"'{app.output_folder}' does not do; use another.")
    if how == "list":
        raise UsageError("'a' matches several contexts:\n  prod-a\n  prod-\x1b[31mb")
    if how == "secret":
        raise ValueError("cannot reach postgresql+psycopg://me:hunter2@db/oomdb")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "file":
        raise FileNotFoundError(2, "No such file or directory", "x/y\n.txt")
    if how == "pipe":
        raise BrokenPipeError
    return int(how)


@click.command("info", cls=show.__class__, help="About the database.")
@pass_app
def info(app: App) -> None:
    click.echo(f"{app.database} {app.verbosity}")


db = Group("db", help="Care for the database.")
db.add_command(info)

ENTRIES = tuple(
    Entry(name, f"{__name__}:{name}", help_, section)
    for name, help_, section in (
        ("runs", "List the runs.", "Lists"),
        ("show", "Print what the options became.", "Lists"),
        ("narrow", "A list with two filters only.", "Lists"),
        ("many", "Print rows without end.", "Lists"),
        ("fail", "End as it is told.", "Database"),
        ("db", "Care for the database.", "Database"),
    )
)
sample = LazyGroup(ENTRIES, name="oomdb", help="A sample.")
