"""What the page says beside its charts, ready to print: the run's figures, the tables, the links to artifacts."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from oomdb.queries.exports import ClusterCoverage
from oomdb.queries.selection import READ
from oomdb.reports.charts import ChartSet
from oomdb.reports.content import ReportContent, ReportRow
from oomdb.timespan import format_for_people

NOT_KNOWN = "not known"
ABSENT = "absent"  # of a cluster that earlier runs read and this one did not ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the run: what is counted, and how many."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendRow:
    """One place of the charts' axis as a row; `moment` is what it is sorted by."""

    label: str
    moment: str
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One cluster: a text for each type, their total, and how it was read."""

    cluster: str
    counts: tuple[str, ...]
    total: str
    coverage: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All clusters, highest total first, and their sum, which is `at_least` where one was not read as a whole."""

    clusters: tuple[SummaryRow, ...]
    all: SummaryRow
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One artifact: its path, the link to it (relative where it lies in the folder), and whether it is gone."""

    path: str
    href: str
    missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """One instant of a row for people; `machine` is '' where it is none."""

    label: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailRow:
    """One row of the detailed findings; `newest` is what its times are sorted by, `number` that of its type."""

    row: ReportRow
    number: int
    timestamps: tuple[Timestamp, ...]  # newest first
    newest: str
    description: Link | None
    log: Link | None


def list_figures(content: ReportContent, types: Sequence[str]) -> tuple[Figure, ...]:
    """Return the figures of the run."""
    return tuple(_iter_figures(content, types))


def list_trend(charts: ChartSet) -> tuple[TrendRow, ...]:
    """Return the charts over all clusters as a table, newest first."""
    columns = [chart.lines[0].values for chart in charts.overall]
    rows = [
        TrendRow(
            label=place.label,
            moment=place.moment,
            counts=tuple(
                f"{NOT_KNOWN} ({value.missing})" if value.count is None else _count(value.count, value.at_least)
                for value in values
            ),
        )
        for place, *values in zip(charts.overall[0].places, *columns, strict=True)
    ]
    return tuple(reversed(rows))


def summarize(content: ReportContent, types: Sequence[str]) -> Summary:
    """Return what each cluster of the run shows; one that was not read shows that, never a zero."""
    counts = Counter((row.cluster, row.type) for row in content.rows)
    read = [it for it in content.clusters if it.status in READ]
    read.sort(key=lambda it: (-sum(counts[it.cluster, type_] for type_ in types), it.cluster))
    rows = [
        _summary_row(it, [counts[it.cluster, type_] for type_ in types], at_least=it.status != "complete")
        for it in read
    ]
    unread = [it for it in content.clusters if it.status not in READ]
    nothing = (NOT_KNOWN,) * len(types)
    absent = [it.cluster for it in content.changes.dark if it.status == ABSENT]
    rows += [
        SummaryRow(cluster=it.cluster, counts=nothing, total=NOT_KNOWN, coverage=_tell_coverage(it), status=it.status)
        for it in unread
    ]
    rows += [
        SummaryRow(cluster=name, counts=nothing, total=NOT_KNOWN, coverage="no part of this run", status=ABSENT)
        for name in absent
    ]
    at_least = bool(absent) or any(it.status != "complete" for it in content.clusters)
    of_types = Counter(row.type for row in content.rows)
    everything = SummaryRow(
        cluster="",
        counts=tuple(_count(of_types[type_], at_least) for type_ in types),
        total=_count(len(content.rows), at_least),
        coverage=f"{len(read)} of {len(content.clusters) + len(absent)} clusters read",
        status="",
    )
    return Summary(clusters=tuple(rows), all=everything, at_least=at_least)


def build_detail(row: ReportRow, content: ReportContent, types: Sequence[str]) -> DetailRow:
    """Return one row of the detailed findings."""
    newest_first = sorted(row.timestamps, reverse=True)
    return DetailRow(
        row=row,
        number=types.index(row.type) if row.type in types else len(types),
        timestamps=tuple(_build_timestamp(at, content) for at in newest_first),
        newest=newest_first[0] if newest_first else "",
        description=_build_link(row.description_file, content),
        log=_build_link(row.pod_log_file, content),
    )


def _iter_figures(content: ReportContent, types: Sequence[str]) -> Iterator[Figure]:
    run, clusters = content.run, content.clusters
    read = [it for it in clusters if it.status in READ]
    partly = sum(1 for it in read if it.status == "partial")
    known = len(clusters) + sum(1 for it in content.changes.dark if it.status == ABSENT)
    at_least = partly > 0 or len(read) < known
    of_types = Counter(row.type for row in content.rows)
    yield Figure(
        name="Run",
        text=f"{run.id}, {run.status}{'' if run.scope == 'all' else f', only {run.scope}'}, from {run.origin}",
    )
    yield Figure(name="Began", text=format_for_people(run.started_at, content.zone))
    yield Figure(name="Time range", text=run.time_range)
    yield Figure(name="Clusters read", text=f"{len(read)} of {known}{f', {partly} of them in part' if partly else ''}")
    for name, counts in (
        ("Namespaces read", [it.namespaces_scanned for it in read]),
        ("Pods seen", [it.pods_seen for it in read]),
    ):
        yield Figure(name=name, text=_sum_known(counts))
    for type_ in types:
        yield Figure(name=f"{type_} rows", text=_count(of_types[type_], at_least))
    new = sum(it.new_occurrences for it in clusters)
    yield Figure(name="Occurrences that no earlier run had seen", text=_count(new, at_least))


def _sum_known(counts: Sequence[int | None]) -> str:
    known = [count for count in counts if count is not None]
    if not known:
        return NOT_KNOWN
    return _count(sum(known), len(known) < len(counts))


def _summary_row(it: ClusterCoverage, counts: Sequence[int], *, at_least: bool) -> SummaryRow:
    return SummaryRow(
        cluster=it.cluster,
        counts=tuple(_count(count, at_least) for count in counts),
        total=_count(sum(counts), at_least),
        coverage=_tell_coverage(it),
        status=it.status,
    )


def _count(count: int, at_least: bool) -> str:
    return f"{'≥ ' if at_least else ''}{count:,}"


def _tell_coverage(it: ClusterCoverage) -> str:
    """Return how a cluster was read: what was counted, what was not, and why."""
    counted = ((it.namespaces_scanned, "namespaces"), (it.pods_seen, "pods"))
    parts = [f"{count:,} {what}" for count, what in counted if count is not None]
    parts += [f"{it.gaps:,} {'gap' if it.gaps == 1 else 'gaps'}"] if it.gaps else []
    parts += [it.error] if it.error else []
    return f"{it.status}: {', '.join(parts)}" if parts else it.status


def _build_timestamp(text: str, content: ReportContent) -> Timestamp:
    try:
        return Timestamp(label=format_for_people(datetime.fromisoformat(text), content.zone), machine=text)
    except ValueError:
        return Timestamp(label=text or NOT_KNOWN, machine="")


def _build_link(path: str, content: ReportContent) -> Link | None:
    if not path:
        return None
    at = Path(path)
    inside = at.is_relative_to(content.folder)
    href = quote(os.fsencode(at.relative_to(content.folder).as_posix())) if inside else at.as_uri()
    return Link(path=path, href=href, missing=path in content.missing_files)
