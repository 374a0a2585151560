"""How a collect is shown while it runs: a bar per cluster on a terminal, plain lines with the time off it."""

import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from oomdb.cli.collect_output import Tally
from oomdb.cli.output import note, paint_for, write
from oomdb.collect.run import CLOCKS_AGREE_SECONDS, READ, Connection, Listener
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

    def __enter__(self) -> "CollectProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        with self._lock:
            self._is_over = True
            if self._bars is not None:
                self._bars.stop()

    def connected(self, connections: Sequence[Connection]) -> None:
        """Print ✓ or ✗ for each cluster, and begin the bars."""
        if self._app.verbosity != "quiet":
            write(_render_connectivity(connections, self._app))
            sys.stdout.flush()
        for connection in connections:
            if abs(connection.clock_skew_seconds or 0) > CLOCKS_AGREE_SECONDS:
                note(f"warning: {_tell_skew(connection)}", self._app)
        reachable = [connection.target.name for connection in connections if connection.error is None]
        if reachable and self._app.verbosity != "quiet" and sys.stderr is not None and sys.stderr.isatty():
            self._bars = _build_bars(self._app)
            self._tasks = {name: self._bars.add_task(name, total=None, start=False, note="") for name in reachable}
            self._bars.start()

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

    def _say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            note(text, self._app)


def _render_connectivity(connections: Sequence[Connection], app: "App") -> str:
    paint = paint_for(app, sys.stdout)
    width = max((len(connection.target.name) for connection in connections), default=0)
    lines = ["Connectivity\n"]
    for connection in connections:
        name = connection.target.name.ljust(width)
        if connection.error is None:
            lines.append(f"  {paint.clean('✓')} {paint.cluster(name)}  {paint.clean(connection.server_version)}\n")
        else:
            lines.append(f"  {paint.finding('✗')} {paint.cluster(name)}  {paint.finding(str(connection.error))}\n")
    return "".join(lines) + "\n"


def _tell_skew(connection: Connection) -> str:
    skew_seconds = connection.clock_skew_seconds or 0
    apart = timedelta(seconds=round(abs(skew_seconds)))
    side = "ahead of" if skew_seconds > 0 else "behind"
    return (
        f"{connection.target.name}: the server's clock is {apart} (h:mm:ss) {side} this machine's; the times of its "
        "kills are by its own. Let both clocks be set by NTP."
    )


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
    )
