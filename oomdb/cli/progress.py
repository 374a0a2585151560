"""How a collect is shown while it runs: a bar per cluster on a terminal, plain lines with the time off it."""

import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from oomdb.cli.collect_output import Tally
from oomdb.cli.output import note, paint_for, write
from oomdb.collect.clocks import find_skew, tell_skew
from oomdb.collect.run import READ, Connection, Listener
from oomdb.model import ClusterScan

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from oomdb.cli.options import App


class CollectProgress(Listener):
    """Prints the connectivity report to stdout, then what goes on to stderr, and counts into a tally.

    Once it is left it says nothing: workers that a stopped run leaves behind speak no more.
    """

    def __init__(self, app: "App", tally: Tally) -> None:
        self._app = app
        self._tally = tally
        self._is_over = False
        self._lock = threading.Lock()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._unanswered: set[str] = set()  # of the connectivity report
        self._width = 0

    def __enter__(self) -> "CollectProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        with self._lock:
            self._is_over = True
            if self._bars is not None:
                self._bars.stop()

    def begun(self, clusters: Sequence[str]) -> None:
        """Begin the connectivity report, and the bars."""
        if self._app.verbosity == "quiet":
            return
        self._unanswered = set(clusters)
        self._width = max(map(len, clusters), default=0)
        self._report("Connectivity\n")
        if clusters and sys.stderr is not None and sys.stderr.isatty():
            self._bars = _build_bars(self._app)
            self._tasks = {name: self._bars.add_task(name, total=None, start=False, note="") for name in clusters}
            self._bars.start()

    def waiting(self, cluster: str) -> None:
        """Name the cluster that does not answer."""
        with self._lock:
            if cluster in self._tasks and self._bars is not None:
                self._bars.update(self._tasks[cluster], note="waiting for an answer")
            elif not self._is_over:
                note(f"waiting for {cluster}, which has not answered yet", self._app)

    def connected(self, connection: Connection) -> None:
        """Print ✓ or ✗ for the cluster."""
        with self._lock:
            if self._is_over:
                return
            if connection.cluster in self._unanswered:
                self._unanswered.remove(connection.cluster)
                line = _render_connection(connection, self._width, self._app)
                self._report(line if self._unanswered else f"{line}\n")
            if skew := find_skew(connection.clock_skew_seconds):
                note(
                    f"warning: {connection.cluster}: the server's clock is {tell_skew(skew)}; the times of its kills "
                    "are by its own. Let both clocks be set by NTP.",
                    self._app,
                )

    def scanning(self, cluster: str) -> None:
        """Start the cluster's bar."""
        with self._lock:
            if self._bars is not None:
                self._bars.start_task(self._tasks[cluster])
            elif not self._is_over:
                note(f"{cluster}: scanning", self._app)

    def pods_read(self, cluster: str, count: int) -> None:
        """Show how many pods were read; the total is not known, since servers do not tell it reliably."""
        with self._lock:
            if self._bars is not None:
                self._bars.update(self._tasks[cluster], note=f"{count:,} pods")

    def skipped(self, cluster: str, rules: Mapping[str, str]) -> None:
        """With -v, say which namespaces are skipped, and why."""
        if self._app.verbosity == "verbose":
            with self._lock:
                for namespace, rule in sorted(rules.items()) if not self._is_over else ():
                    self._say(f"{cluster}: namespace {namespace} skipped: {rule}")

    def scanned(self, scan: ClusterScan, new_occurrences: int) -> None:
        """Count it, and finish the cluster's bar, or say in a line what came out."""
        self._tally.add(scan, new_occurrences)
        is_read = scan.status in READ
        told = f"{len(scan.findings)} findings, {new_occurrences} new" if is_read else scan.error
        with self._lock:
            task = self._tasks.get(scan.cluster)
            if self._bars is not None and task is not None:
                self._bars.update(task, total=1, completed=1, note=f"{scan.status}: {told}")
            else:
                note(f"{scan.cluster}: {scan.status}: {told}", self._app, is_error=not is_read)

    def _report(self, text: str) -> None:
        write(text)
        sys.stdout.flush()  # a file or a pipe shows it, too, as it comes

    def _say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            note(text, self._app)


def _render_connection(connection: Connection, width: int, app: "App") -> str:
    paint = paint_for(app, sys.stdout)
    name = paint.cluster(connection.cluster.ljust(width))
    if connection.error is None:
        return f"  {paint.clean('✓')} {name}  {paint.clean(connection.server_version)}\n"
    return f"  {paint.finding('✗')} {name}  {paint.finding(str(connection.error))}\n"


def _build_bars(app: "App") -> "Progress":
    # fifty milliseconds to import, needed on a terminal only
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, no_color=not app.color),
        # only on the same terminal: else the report, which is data, would go to stderr
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
