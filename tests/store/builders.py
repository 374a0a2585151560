"""Sightings, findings and scans, built from what a test is about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from oomdb.model import (
    CRASH_LOOP_BACK_OFF,
    OOM_KILLED,
    Artifact,
    ArtifactKind,
    ArtifactStatus,
    ClusterScan,
    Finding,
    Gap,
    ScanStatus,
    Sighting,
    Suspect,
    TimeQuality,
    WorkloadRef,
)
from oomdb.store.database import Store
from oomdb.store.runs import RunStart, begin_run, finish_run
from oomdb.store.writer import record_scan

NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>\n../../\"'; DROP TABLE runs;-- \x00 =1+1 💥 %s :name ?"


def ago(**span: float) -> datetime:
    """Return the instant that lies so long (`hours=2`) before NOW."""
    return NOW - timedelta(**span)


def kill(
    at: datetime,
    *,
    container_id: str = "cri-o://a",
    container: str = "app",
    exit_code: int | None = 137,
    restart_count: int | None = 1,
    time_quality: TimeQuality = "exact",
) -> Sighting:
    """Return a kill as the container's status shows it."""
    return Sighting(
        type=OOM_KILLED,
        container=container,
        at=at,
        time_quality=time_quality,
        source="oc_get_pods",
        evidence="terminated",
        container_id=container_id,
        exit_code=exit_code,
        reason="OOMKilled",
        restart_count=restart_count,
    )


def kill_event(
    at: datetime, *, next_id: str = "cri-o://b", first_at: datetime | None = None, container: str = "app"
) -> Sighting:
    """Return a kill as an add-on's event tells of it; `next_id` is the container started after it."""
    return Sighting(
        type=OOM_KILLED,
        container=container,
        at=at,
        time_quality="event",
        source="events",
        evidence="event",
        container_id=next_id,
        first_event_at=first_at or at,
    )


def loop(
    at: datetime, *, restarts: int | None = 5, waits: bool = True, container: str = "app", reason: str = "Error"
) -> Sighting:
    """Return a loop as the status shows it; `at` is the last termination; one that does not wait is over."""
    return Sighting(
        type=CRASH_LOOP_BACK_OFF,
        container=container,
        at=at,
        time_quality="exact",
        source="oc_get_pods",
        evidence="waiting" if waits else "backoff_gap",
        is_loop=True,
        in_progress=waits,
        exit_code=1,
        reason=reason,
        restart_count=restarts,
    )


def loop_event(at: datetime, *, first_at: datetime | None = None, container: str = "app") -> Sighting:
    """Return a loop as the kubelet's event tells of it."""
    return Sighting(
        type=CRASH_LOOP_BACK_OFF,
        container=container,
        at=at,
        time_quality="event",
        source="events",
        evidence="event",
        is_loop=True,
        first_event_at=first_at or at,
    )


def finding(
    *sightings: Sighting,
    namespace: str = "shop",
    pod: str = "checkout-1",
    pod_uid: str = "uid-1",
    container: str = "app",
    type_: str = OOM_KILLED,
    workload: str = "checkout",
    pod_gone: bool | None = False,
) -> Finding:
    """Return a finding; its type is that of its sightings, where it has some."""
    return Finding(
        namespace=namespace,
        pod=pod,
        pod_uid=pod_uid,
        container=container,
        type=sightings[0].type if sightings else type_,
        sightings=sightings,
        workload=WorkloadRef(kind="Deployment", name=workload),
        application="store",
        component="payments",
        pod_gone=pod_gone,
    )


def artifact(
    *,
    kind: ArtifactKind = "description",
    status: ArtifactStatus = "ok",
    namespace: str = "shop",
    pod: str = "checkout-1",
    pod_uid: str = "uid-1",
    captured_at: datetime = NOW,
    path: str = "logs_and_description_files/a/desc.txt",
    size_bytes: int = 4,
    sha256: str = "",
) -> Artifact:
    """Return one saved text about a pod."""
    return Artifact(
        namespace=namespace,
        pod=pod,
        pod_uid=pod_uid,
        kind=kind,
        status=status,
        path=path,
        size_bytes=size_bytes,
        sha256=sha256,
        captured_at=captured_at,
    )


def scan(
    *findings: Finding,
    cluster: str = "prod-a",
    status: ScanStatus = "complete",
    error: str = "",
    skipped_by_rule: Mapping[str, int] | None = None,
    namespaces_read: Sequence[str] = (),
    listed: bool = True,
    skipped: Mapping[str, str] | None = None,
    suspects: tuple[Suspect, ...] = (),
    gaps: tuple[Gap, ...] = (),
    artifacts: tuple[Artifact, ...] = (),
) -> ClusterScan:
    """Return one cluster's part of a run; `listed`: it had a list of the cluster's namespaces."""
    return ClusterScan(
        cluster=cluster,
        context=f"{cluster}/admin",
        server=f"https://api.{cluster}.example.com:6443",
        status=status,
        error=error,
        skipped_by_rule=skipped_by_rule or {},
        namespaces_read=tuple(namespaces_read),
        namespaces_skipped=len(skipped or {}) if listed else None,
        skipped=skipped or {},
        findings=findings,
        suspects=suspects,
        gaps=gaps,
        artifacts=artifacts,
    )


def start(*, at: datetime = NOW, scope_hash: str = "all") -> RunStart:
    """Return what is known of a run when it begins."""
    return RunStart(
        started_at=at,
        origin="collect",
        time_range="1d",
        lookback=timedelta(days=1),
        scope="all",
        scope_hash=scope_hash,
        tool_version="0.1.0",
        arguments="oomdb collect",
    )


def begin(store: Store, *, at: datetime = NOW, scope_hash: str = "all") -> int:
    """Begin a run and return its number."""
    return begin_run(store, start(at=at, scope_hash=scope_hash), now=at)


def record(store: Store, *scans: ClusterScan, at: datetime = NOW) -> int:
    """Record a whole run and return its number."""
    run_id = begin(store, at=at)
    for part in scans:
        record_scan(store, run_id, part, seen_at=at)
    finish_run(store, run_id, now=at)
    return run_id


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as they are stored."""
    with store.reading() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def change(store: Store, sql: str) -> None:
    """Change the database behind the store's back."""
    with store.writing() as conn:
        conn.execute(text(sql))
