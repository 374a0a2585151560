"""How an import is shown: a bar while it runs, what each file had to say, and a summary at the end."""

import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from oomdb.cli.output import note
from oomdb.importers.legacy.run import ImportedFile
from oomdb.importers.legacy.survey import Survey
from oomdb.table import Cell, Table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from oomdb.cli.options import App

_NOTES_SHOWN = 5  # of one file; -v shows all
_SKIPPED = {
    "export": "oomdb wrote them itself",
    "known": "imported before",
    "copy": "the same as another file (-v names it)",
}
_EVIDENCE = {"json": "its JSON", "artifacts": "stamps of artifacts", "name": "its name", "mtime": "its modification"}


class ImportProgress:
    """A bar on a terminal; off it nothing but what files have to say. Both go to stderr."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self.is_verbose = app.verbosity == "verbose"

    def __enter__(self) -> "ImportProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, what: str, count: int) -> None:
        """Begin the bar of some files."""
        if self._bars is None and self._app.verbosity != "quiet" and sys.stderr is not None and sys.stderr.isatty():
            self._bars = _build_bars(self._app)
            self._bars.start()
        if self._bars is not None:
            self._task = self._bars.add_task(what, total=count)

    def advance(self) -> None:
        """Count a file."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task)

    def imported(self, file: ImportedFile) -> None:
        """Count a file, and say what it had to say."""
        self.advance()
        path = file.new.file.path
        if file.failed:
            self.say(f"{path}: {file.failed}", is_error=True)
        shown = file.notes if self.is_verbose else file.notes[:_NOTES_SHOWN]
        for text in shown:
            self.say(f"{path}: {text}")
        if len(shown) < len(file.notes):
            self.say(f"{path}: {len(file.notes) - len(shown)} more such lines; -v shows them")
        if self.is_verbose and file.run_id is not None:
            self.say(f"{path}: run {file.run_id}, {file.rows} rows, {file.new_occurrences} new occurrences")

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Write a line above the bar."""
        if self._bars is not None:
            from oomdb.cli.output import escape_controls

            self._bars.console.print(escape_controls(text), markup=False, highlight=False, soft_wrap=True)
        else:
            note(text, self._app, is_error=is_error)


def build_plan(read: Sequence[ImportedFile]) -> Table:
    """Return what a dry run found: each file that would be imported, when its run was, and how that is known."""
    rows: list[Sequence[Cell]] = [
        [str(it.new.file.path), it.new.run.at, _EVIDENCE[it.new.run.evidence], it.rows, it.bad_rows]
        for it in read
        if not it.failed
    ]
    return Table(("File", "Run", "Dated by", "Rows", "Bad rows"), rows)


def build_summary(found: Survey, done: Sequence[ImportedFile], *, is_plan: bool) -> Table:
    """Return what became of all files: imported, skipped, failed, and why."""
    fine = [it for it in done if not it.failed and not it.is_stored_already]
    again = [it for it in done if it.is_stored_already]
    failed = Counter(it.failed for it in done if it.failed) + Counter(
        it.reason for it in found.others if it.state == "failed"
    )
    skipped = Counter(_SKIPPED[it.state] for it in found.others if it.state != "failed")
    headers = ("Files", "", "Runs", "Rows", "Bad rows", "New occurrences", "Artifacts", "Artifacts missing", "Why")
    total: list[Cell] = [
        len(fine),
        "would be imported" if is_plan else "imported",
        None if is_plan else sum(it.run_id is not None for it in fine),
        sum(it.rows for it in fine),
        sum(it.bad_rows for it in fine),
        None if is_plan else sum(it.new_occurrences or 0 for it in fine),
        None if is_plan else sum(it.artifacts for it in fine),
        None if is_plan else sum(it.missing_artifacts for it in fine),
        None,
    ]
    blank: list[Cell] = [None] * 6
    completed: list[Cell] = [*blank[:4], sum(it.artifacts for it in again), None]
    return Table(
        headers,
        [
            total,
            *([[len(again), "skipped", *completed, "their runs are stored already"]] if again else []),
            *([count, "skipped", *blank, why] for why, count in sorted(skipped.items())),
            *([count, "failed", *blank, why] for why, count in sorted(failed.items())),
        ],
    )


def _build_bars(app: "App") -> "Progress":
    # fifty milliseconds to import, needed on a terminal only
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, no_color=not app.color),
    )
