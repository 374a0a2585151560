"""The entry of the command line: which commands exist, loaded when one is run, and the one place where errors end."""

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from oomdb.cli.ending import Terminated, find_last_line
from oomdb.cli.options import Group, is_verbose
from oomdb.errors import OomdbError
from oomdb.version import __version__

_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
_TERMINATED = 143  # 128 + SIGTERM
_READER_GONE = 141  # 128 + SIGPIPE: what `oomdb runs | head` would end with if it were written in C
_COMPLETION_VARIABLE = "_OOMDB_COMPLETE"


class Entry(NamedTuple):
    """A command as `oomdb --help` shows it, which does not load it; a test holds `help` against the command's own."""

    name: str
    target: str  # module:attribute
    help: str
    section: str


COMMANDS: tuple[Entry, ...] = (
    Entry("collect", "oomdb.cli.collect:collect_command", "Scan the clusters and store a run.", "Collect"),
    Entry("ingest", "oomdb.cli.ingest:ingest_command", "Store what `oc get` or a must-gather saved.", "Collect"),
    Entry("import", "oomdb.cli.import_legacy:import_command", "Take over runs of the legacy script.", "Collect"),
    Entry("report", "oomdb.cli.report:report_command", "Write the report of a run: html, csv, json, table.", "Report"),
    Entry("summary", "oomdb.cli.summary:summary_command", "Show kills and crash loops per pod and day.", "Report"),
    Entry("bundle", "oomdb.cli.bundle:bundle_command", "Make tarballs of what was saved of a pod.", "Report"),
    Entry("runs", "oomdb.cli.runs:runs_command", "List the runs.", "Lists"),
    Entry("findings", "oomdb.cli.findings:findings_command", "List what runs found.", "Lists"),
    Entry("occurrences", "oomdb.cli.occurrences:occurrences_command", "List kills and loops, each once.", "Lists"),
    Entry("trends", "oomdb.cli.trends:trends_command", "Compare the last days with those before.", "Lists"),
    Entry("coverage", "oomdb.cli.coverage:coverage_command", "List what runs looked at, and what not.", "Lists"),
    Entry("why", "oomdb.cli.why:why_command", "Say why an OOM of a namespace might not be seen.", "Lists"),
    Entry("sql", "oomdb.cli.sql:sql_command", "Ask the database with SQL; it cannot write.", "Lists"),
    Entry("schema", "oomdb.cli.schema:schema_command", "List tables and views, with comments.", "Lists"),
    Entry("db", "oomdb.cli.db:db_group", "Look after the database: info, upgrade, check, backup.", "Care"),
    Entry("doctor", "oomdb.cli.doctor:doctor_command", "Tell what would keep a collect from working.", "Care"),
    Entry("rbac", "oomdb.cli.rbac:rbac_command", "Print the least role that oomdb needs, as YAML.", "Care"),
    Entry("demo", "oomdb.cli.demo:demo_command", "Try everything on a simulated fleet: no cluster needed.", "Care"),
)


class LazyGroup(Group):
    """A group whose commands are imported when they are run, or asked for their own help."""

    def __init__(self, entries: Sequence[Entry], **attrs: Any) -> None:
        super().__init__(**attrs)
        self.entries = {entry.name: entry for entry in entries}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the commands, in the order of their sections."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        from importlib import import_module

        module, _, attribute = entry.target.partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write the commands under the titles of their sections."""
        width = max((len(name) for name in self.entries), default=0)
        for section in dict.fromkeys(entry.section for entry in self.entries.values()):
            rows = [(e.name.ljust(width), e.help) for e in self.entries.values() if e.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"oomdb {__version__}")
        ctx.exit()


oomdb = LazyGroup(
    COMMANDS,
    name="oomdb",
    help="What killed our pods, everywhere, over time: OOMKilled and CrashLoopBackOff of many clusters.",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
)


def main(*, group: click.Group = oomdb) -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by the shell's >&-
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:], group=group))


def run(args: Sequence[str], *, group: click.Group = oomdb, now: datetime | None = None) -> int:
    """Run a command line and return its exit code; what goes wrong is one line on stderr.

    A command's return value is its exit code, None being 0. `now` (UTC) stands in for the clock.
    """
    if os.environ.get(_COMPLETION_VARIABLE):
        group.main(list(args), prog_name="oomdb", complete_var=_COMPLETION_VARIABLE)
    ctx = None
    try:
        ctx = group.make_context("oomdb", list(args), obj=now)
        with ctx:
            code = group.invoke(ctx) or 0
    except (Exception, KeyboardInterrupt) as err:
        code = _end(err, verbose=is_verbose(ctx))
    code = _close_stdout(code)
    last_line = find_last_line(ctx)
    if last_line is not None:
        _say(last_line(code))
    return code


def _end(err: BaseException, *, verbose: bool) -> int:
    """Tell the user what ended the command and return the exit code."""
    if isinstance(err, click.exceptions.Exit):
        return err.exit_code
    if isinstance(err, BrokenPipeError):
        _drop_stdout()
        return _READER_GONE
    if isinstance(err, Terminated):
        _say("oomdb: terminated")
        return _TERMINATED
    if isinstance(err, (KeyboardInterrupt, click.Abort)):
        _say("oomdb: interrupted")
        return _INTERRUPTED
    if isinstance(err, click.ClickException):
        _say(f"oomdb: error: {_on_one_line(err.format_message())}")
        if isinstance(err, click.UsageError) and err.ctx is not None:
            _say(f"Try '{err.ctx.command_path} --help'.")
        return err.exit_code
    if isinstance(err, OomdbError):
        _say(f"oomdb: error: {err}")
        return err.exit_code
    if verbose:
        import traceback

        _say("".join(traceback.format_exception(err)).rstrip())
    hint = "" if verbose else "; run with -v for the traceback"
    _say(f"oomdb: error: {_on_one_line(_describe(err))}{hint}")
    return 1


def _describe(err: BaseException) -> str:
    if isinstance(err, OSError) and err.strerror:
        return f"{err.strerror}: {err.filename}" if err.filename else err.strerror
    return f"unexpected {type(err).__name__}: {err}"


def _on_one_line(text: str) -> str:
    from oomdb.cli.output import escape_controls

    return escape_controls(text)


def _say(text: str) -> None:
    """Write lines to stderr that cannot draw on the terminal and gives no password away."""
    from oomdb.cli.output import escape_controls
    from oomdb.settings import mask_password

    masked = re.sub(r"\S+://\S+", lambda url: mask_password(url[0]), text)
    with contextlib.suppress(OSError):
        click.echo("\n".join(escape_controls(line) for line in masked.split("\n")), err=True)


def _close_stdout(code: int) -> int:
    """Write out what is buffered while an error can still be told, and return the exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        return code or _READER_GONE
    except OSError as err:
        _drop_stdout()
        _say(f"oomdb: error: standard output cannot be written: {err.strerror or err}.")
        return code or 1
    return code


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, or the interpreter would fail at it once more when it exits."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    main()
