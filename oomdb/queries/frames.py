"""The history as pandas DataFrames, for notebooks: `oomdb.open_store(url)`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike, fspath
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Integer

from oomdb.queries.filters import FindingFilter
from oomdb.queries.lists import (
    ListQuery,
    build_coverage_query,
    build_findings_query,
    build_occurrences_query,
    build_runs_query,
    resolve_run,
    stream,
)
from oomdb.queries.trends import find_trends, parse_dimensions
from oomdb.queries.trends_frame import build_trends_frame
from oomdb.store.database import Store, open_for_reading
from oomdb.store.dialect import Instant
from oomdb.timespan import parse_instant, parse_span

if TYPE_CHECKING:
    import pandas as pd

Texts = str | Sequence[str]
When = str | datetime | None


def open_store(target: str | PathLike[str]) -> "History":
    """Open a database for reading; a context manager closes it.

    Args:
        target: path of the SQLite file, or `sqlite:///path`.

    Raises:
        StoreError: if there is none, or it is older or newer than this oomdb.
    """
    return History(open_for_reading(fspath(target)))


class History:
    """What a database tells, as DataFrames with the columns of the lists on the command line.

    Instants are UTC-aware `datetime64`, counts nullable `Int64`. Filters are those of the lists: texts (globs for
    clusters and namespaces) alone or in a list, `since` and `until` as datetimes, ISO texts or spans such as `7d`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def runs(
        self, *, run: Literal["latest"] | int | None = None, since: When = None, until: When = None
    ) -> "pd.DataFrame":
        """Return the runs, newest first, also those that are going on or were aborted."""
        filters = _filter(run, since=since, until=until)
        if run is not None:
            filters = resolve_run(self._store, filters, any_status=True)
        return self._frame(build_runs_query(filters, None))

    def findings(
        self,
        *,
        run: Literal["latest"] | int | None = None,
        cluster: Texts = (),
        namespace: Texts = (),
        pod: str = "",
        type: Texts = (),
        application: Texts = (),
        component: Texts = (),
        workload: Texts = (),
        owner: Texts = (),
        since: When = None,
        until: When = None,
    ) -> "pd.DataFrame":
        """Return what runs found; without `run`, `since` or `until` the findings of the latest run.

        `owner` is NA where no CODEOWNERS was asked, '' where it names none.
        """
        filters = _filter(
            run, cluster, namespace, pod, type, application, component, workload, owner, since=since, until=until
        )
        return self._frame(build_findings_query(resolve_run(self._store, filters), None))

    def occurrences(
        self,
        *,
        run: Literal["latest"] | int | None = None,
        cluster: Texts = (),
        namespace: Texts = (),
        pod: str = "",
        type: Texts = (),
        application: Texts = (),
        component: Texts = (),
        workload: Texts = (),
        owner: Texts = (),
        since: When = None,
        until: When = None,
    ) -> "pd.DataFrame":
        """Return kills and loops, each once; a window holds the loops that overlap it."""
        filters = _filter(
            run, cluster, namespace, pod, type, application, component, workload, owner, since=since, until=until
        )
        if filters.run is not None:
            filters = resolve_run(self._store, filters)
        return self._frame(build_occurrences_query(self._store, filters, None))

    def coverage(
        self, *, run: Literal["latest"] | int | None = None, cluster: Texts = (), since: When = None, until: When = None
    ) -> "pd.DataFrame":
        """Return what runs looked at, a row per cluster; of all runs unless narrowed."""
        filters = _filter(run, cluster, since=since, until=until)
        if filters.run is not None:
            filters = resolve_run(self._store, filters)
        return self._frame(build_coverage_query(filters, None))

    def trends(
        self,
        *,
        by: Texts = ("cluster", "namespace"),
        window: str | timedelta = "7d",
        periods: int = 2,
        until: When = None,
        cluster: Texts = (),
        namespace: Texts = (),
        pod: str = "",
        type: Texts = (),
        application: Texts = (),
        component: Texts = (),
        workload: Texts = (),
        owner: Texts = (),
    ) -> "pd.DataFrame":
        """Return how often things happened in windows of time: a row per group, window (newest first) and type.

        The windows and the numbers of `oomdb trends`; each kill and each loop is one occurrence, and a loop counts in
        each window that it overlaps. A window holds what happened after `window_since`, up to and including
        `window_until`; without `until` the newest ends when the latest run began.

        Columns: those of `by`; `type`, `window_since`, `window_until`; `occurrences` (0: looked at, and nothing seen;
        NA: nobody looked); `restarts` (the highest number seen; NA where it is not known) if `by` has `pod`;
        `complete_share` and `covered_share`: which part of the window reads of the whole cluster looked at, and which
        part they and reads of a part of it did, 0 to 1, of the cluster that was looked at least; NA where no run noted
        what it read. What was not looked at entirely is counted from below.

        Raises:
            UsageError: for a dimension or windows that cannot be.
            NothingReadError: where no run has read a cluster, and `until` is not given.
        """
        filters = _filter(None, cluster, namespace, pod, type, application, component, workload, owner, until=until)
        length = parse_span(window) if isinstance(window, str) else window
        dimensions = parse_dimensions(_texts(by))
        with self._store.reading() as conn:
            trends = find_trends(conn, filters, by=dimensions, window=length, periods=periods)
        return build_trends_frame(trends)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _frame(self, query: ListQuery) -> "pd.DataFrame":
        import pandas as pd  # half a second, for notebooks alone

        table = stream(self._store, query)
        frame = pd.DataFrame([tuple(row) for row in table.rows], columns=list(table.headers))
        # by the types of the columns, so that they are the same when nothing was found
        for name, column in zip(table.headers, query.statement.selected_columns, strict=True):
            if isinstance(column.type, Instant):
                frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
            elif isinstance(column.type, Integer):
                frame[name] = frame[name].astype("Int64")
        return frame


def _filter(
    run: Literal["latest"] | int | None = None,
    cluster: Texts = (),
    namespace: Texts = (),
    pod: str = "",
    type_: Texts = (),
    application: Texts = (),
    component: Texts = (),
    workload: Texts = (),
    owner: Texts = (),
    *,
    since: When = None,
    until: When = None,
) -> FindingFilter:
    return FindingFilter(
        clusters=_texts(cluster),
        namespaces=_texts(namespace),
        pod=pod,
        types=_texts(type_),
        applications=_texts(application),
        components=_texts(component),
        workloads=_texts(workload),
        owners=_texts(owner),
        since=_instant(since),
        until=_instant(until),
        run=run,
    )


def _texts(value: Texts) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _instant(value: When) -> datetime | None:
    if isinstance(value, str):
        return parse_instant(value, now=datetime.now(UTC))
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
