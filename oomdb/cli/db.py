"""`oomdb db`: looking after the database."""

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomdb.cli.options import Group, command, list_options, option, pass_app
from oomdb.cli.output import emit, escape_controls, note, write
from oomdb.store.checks import check_artifacts, check_database, database_info
from oomdb.store.database import back_up, open_for_reading, open_for_writing
from oomdb.store.schema import REVISION
from oomdb.table import Table

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output


@command("info", short_help="Show what the database is and holds.")
@list_options
@pass_app
def info_command(*, app: "App", output: "Output") -> None:
    """Show path, size, revision and journal mode of the database, and how much it holds."""
    with open_for_reading(app.database) as store:
        emit(Table(("what", "value"), database_info(store)), output, app)


@command("upgrade", short_help="Bring an older database up to this oomdb.")
@pass_app
def upgrade_command(*, app: "App") -> None:
    """Create the database, or bring an older one up to this oomdb; an older one is copied first."""
    with open_for_writing(app.database, file_mode=app.settings.database_file_mode) as store:
        for warning in store.warnings:
            note(f"warning: {warning}", app)
        found = store.revision_found
        if found == REVISION:
            became = f"is up to date, at revision {REVISION}"
        elif found is None:
            became = f"was created, at revision {REVISION}"
        else:
            became = f"was upgraded from revision {found} to {REVISION}"
        write(f"{escape_controls(str(store.path))} {became}\n")


@command(
    "check",
    short_help="Hold the database against its own rules.",
    examples=(("Database and artifact files", "oomdb db check --artifacts"),),
)
@option("--artifacts", is_flag=True, help="Also whether the artifact files are there with their sizes.")
@option("--contents", is_flag=True, help="Also their SHA-256 (reads every file).")
@pass_app
def check_command(*, app: "App", artifacts: bool, contents: bool) -> int:
    """Check the file's integrity and what must hold between its tables; exit with 1 where something does not."""
    with open_for_reading(app.database) as store:
        problems = check_database(store)
        if artifacts or contents:
            problems += check_artifacts(store, app.output_folder, with_contents=contents)
    for problem in problems:
        examples = escape_controls("; ".join(problem.examples))
        write(f"{escape_controls(problem.what)}: {problem.count}, for example {examples}\n")
        write(f"  {escape_controls(problem.advice)}\n")
    if not problems:
        write("everything holds\n")
    return 1 if problems else 0


@command(
    "backup",
    short_help="Copy the database, also while others write.",
    examples=(("To a file", "oomdb db backup /backups/oomdb.sqlite"),),
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@pass_app
def backup_command(*, app: "App", file: Path | None) -> None:
    """Copy the database, consistent even while others write; without FILE beside it, named by the time."""
    with open_for_reading(app.database) as store:
        stamp = app.now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        target = file or store.path.with_name(f"{store.path.stem}-{stamp}{store.path.suffix}")
        write(f"{escape_controls(str(back_up(store, target)))}\n")


db_group = Group(
    name="db",
    short_help="Look after the database: info, upgrade, check, backup.",
    help="Look after the database.",
    commands=[info_command, upgrade_command, check_command, backup_command],
)
