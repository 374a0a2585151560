"""`oomdb trends`: what happens most, and whether it has become more or less."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.options import command, filter_options, list_options, option, pass_app
from oomdb.cli.output import emit, note
from oomdb.cli.owner_output import note_unknown_owners
from oomdb.cli.types import SPAN
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.trends import MOST_PERIODS, Trends, find_trends, parse_dimensions
from oomdb.queries.window_coverage import Coverage
from oomdb.store.database import open_for_reading
from oomdb.table import Cell, Table
from oomdb.timespan import format_for_people, format_span

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output
    from oomdb.queries.filters import FindingFilter

_SHORT = {OOM_KILLED: "OOMs", CRASH_LOOP_BACK_OFF: "CLB"}
_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
)


@command(
    "trends",
    short_help="Compare the last days with those before.",
    examples=(
        ("Which namespaces OOM most?", "oomdb trends --type OOMKilled"),
        ("Which clusters are most unstable?", "oomdb trends --by cluster"),
        (
            "Is it more than the week before, and than in the weeks before that?",
            "oomdb trends --by cluster --periods 5",
        ),
        (
            "Which pods crash again and again after restarts?",
            f"oomdb trends --by cluster,namespace,pod --type {CRASH_LOOP_BACK_OFF}",
        ),
    ),
)
@filter_options("cluster", "namespace", "pod", "type", "application", "component", "workload", "owner", "until")
@option(
    "--by",
    metavar="WHAT,…",
    multiple=True,
    default=("cluster,namespace",),
    help="A row for each cluster, namespace, workload, application, component, pod, node or owner; several together.",
)
@option("--window", metavar="SPAN", type=SPAN, default="7d", help="Length of a window: 1d, 7d, 1M.")
@option("--periods", metavar="N", type=int, default=2, help=f"How many windows: 1 to {MOST_PERIODS}.")
@list_options
@pass_app
def trends_command(
    *, app: "App", filters: "FindingFilter", output: "Output", by: Sequence[str], window: timedelta, periods: int
) -> None:
    """Count kills and crash loops in windows of time, the newest against those before it.

    Counts are occurrences: each kill once, each loop once in every window that it overlaps, so a long loop counts in
    several. Most in the newest window first; what fell to nothing is listed too. The newest window ends when the latest
    run began, or at --until; stderr says the instants. OOMs(7d)-1 is of the window before OOMs(7d), and so on. An empty
    count: nobody looked. restarts: the highest number of a container when it was last seen.

    \b
    trend: the newest window against the one before
      ↑↑  at least twice as many, and at least three more
      ↑   at least a quarter more
      ↓   the one before had at least a quarter more
      →   neither
      ?   one of both was looked at less: what was missed could turn the arrow

    It describes, and is no test of significance.

    \b
    coverage: how much of each window was looked at, newest first
      complete       all of it
      partly         all of it, but only together with reads that missed
                     something, or were narrowed to some namespaces
      5.2 of 7 days  the rest was looked at by no run
      unknown        nobody noted what the runs looked at

    A run looks at its --time-range before it. Without cluster in --by: of the cluster that was looked at least. Runs
    may begin five minutes late, and a hundredth of a window makes no difference.
    """
    dimensions = parse_dimensions(by)
    with open_for_reading(app.database) as store:
        with store.reading() as conn:
            trends = find_trends(conn, filters, by=dimensions, window=window, periods=periods)
        _tell_windows(trends, window, app)
        if not emit(_build_table(trends, window), output, app):
            explain_empty(store, filters, app)
        if filters.owners or "owner" in dimensions:
            note_unknown_owners(store, app)
    _tell_coverage(trends, window, app)


def _build_table(trends: Trends, window: timedelta) -> Table:
    counts = [
        f"{_SHORT.get(type_, type_)}{_name(window, number)}"
        for number in range(len(trends.windows))
        for type_ in trends.types
    ]
    restarts = ["restarts"] if "pod" in trends.by else []
    trend = ["trend"] if len(trends.windows) > 1 else []
    return Table((*trends.by, *counts, *restarts, *trend, "coverage"), _iter_rows(trends))


def _iter_rows(trends: Trends) -> Iterator[Sequence[Cell]]:
    for group in trends.groups:
        row: list[Cell] = [*group.names]
        row += [counts[type_].occurrences for counts in group.counts for type_ in trends.types]
        if "pod" in trends.by:
            row.append(group.restarts)
        if group.trend is not None:
            row.append(group.trend)
        row.append([_describe(coverage) for coverage in group.coverage])
        yield row


def _describe(coverage: Coverage) -> str:
    if coverage.state != "missing":
        return coverage.state
    name, unit = next(named for named in _UNITS if not coverage.length % named[1])
    # cut, not rounded: what lacks little must not read as whole
    tenths, number = coverage.covered * 10 // unit, coverage.length // unit
    return f"{tenths / 10:g} of {number} {name}{'s' if number > 1 else ''}"


def _tell_windows(trends: Trends, window: timedelta, app: "App") -> None:
    newest, oldest = trends.windows[0], trends.windows[-1]
    since, until, first = (format_for_people(at, app.zone) for at in (newest.since, newest.until, oldest.since))
    run = f", when run {trends.run.id} began" if trends.run else ""
    note(f"newest window: {since} to {until}{run}", app)
    if oldest is not newest:
        note(f"windows before it: {len(trends.windows) - 1}, of {format_span(window)} each, from {first} on", app)


def _tell_coverage(trends: Trends, window: timedelta, app: "App") -> None:
    if not trends.clusters:
        note("no run was to read a cluster in these windows: what happened in them is not known", app)
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for cluster, coverage in trends.clusters.items():
        lacking = [
            f"{_describe(it)} in {_name(window, number)}"
            for number, it in enumerate(coverage)
            if it.state in ("missing", "unknown")
        ]
        if lacking:
            alike[", ".join(lacking)].append(cluster)
    for told, names in alike.items():
        note(f"not looked at all the time: {', '.join(names)}: {told}", app)


def _name(window: timedelta, number: int) -> str:
    return f"({format_span(window)}){f'-{number}' if number else ''}"
