"""One ingest from begin to end: a capture becomes a run of one cluster, once."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from oomdb.artifacts.local import ArtifactFolder
from oomdb.detectors.base import Detector
from oomdb.errors import StoreError, UsageError
from oomdb.importers.manifests.artifacts import save_artifacts
from oomdb.importers.manifests.capture import Capture
from oomdb.importers.manifests.scan import find_newest_instant, scan_capture
from oomdb.model import ClusterScan
from oomdb.store.database import Store
from oomdb.store.files import IngestedFile, find_ingested_run, note_ingested
from oomdb.store.folding import pod_key
from oomdb.store.runs import RunStart, begin_run, finish_run, hash_scope, interrupt_run
from oomdb.store.stored import list_uncaptured
from oomdb.store.writer import record_scan
from oomdb.timespan import format_instant, to_whole_seconds
from oomdb.version import __version__

_CLOCKS_DIFFER = timedelta(minutes=1)  # those of nodes, of the API server and of whoever saved it


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to make of a capture.

    `time_range` is `lookback` as it was typed. `artifacts` is where descriptions and logs go, None for none of them;
    `log_limit_bytes` of each container's log.
    """

    cluster: str
    time_range: str
    lookback: timedelta
    detectors: Sequence[Detector]
    arguments: str  # the command line, passwords masked
    artifacts: ArtifactFolder | None
    log_limit_bytes: int


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """When a capture was made, and by what evidence one knows."""

    at: datetime
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What an ingest came to; `scan` is None where the capture was a run already, and nothing was done."""

    run_id: int
    scan: ClusterScan | None
    new_occurrences: int = 0


def date_capture(capture: Capture, *, told: datetime | None, now: datetime) -> CaptureTime:
    """Return when a capture was made: as told, else by its timestamp file, its objects, or its modification.

    Raises:
        UsageError: its objects tell of what happened after the time that is told.
    """
    newest = find_newest_instant(capture, now=now)
    if told is not None:
        if newest is not None and newest > told + _CLOCKS_DIFFER:
            raise UsageError(
                f"--at {format_instant(told)}: its objects tell of {format_instant(newest)}, so it was saved then or "
                "later; leave --at out, or mend it (a time without a zone is UTC)."
            )
        return CaptureTime(to_whole_seconds(told), "--at")
    if capture.ended_at is not None:
        return CaptureTime(to_whole_seconds(capture.ended_at), "its timestamp file")
    if newest is not None:
        return CaptureTime(to_whole_seconds(newest), "the newest time in its objects")
    return CaptureTime(to_whole_seconds(min(capture.modified_at, now)), "the time of its last change")


def ingest(store: Store, capture: Capture, request: IngestRequest, *, at: datetime, now: datetime) -> IngestResult:
    """Record a capture as a run that began at `at`; the same one again, for the same cluster and time range, is none.

    Raises:
        StoreError: if the database cannot be written; the run is closed as far as it came.
    """
    file = IngestedFile(
        fingerprint=_fingerprint(capture, request),
        path=capture.path,
        modified_at=capture.modified_at,
        run_at=at,
        objects=len(capture.pods) + len(capture.events),
    )
    known = find_ingested_run(store, file)
    if known is not None:
        return IngestResult(run_id=known, scan=None)
    scan = scan_capture(capture, cluster=request.cluster, at=at, lookback=request.lookback, detectors=request.detectors)
    run_id = begin_run(store, _describe_start(request, at), now=now)
    try:
        note_ingested(store, run_id, file)
        scan = _add_artifacts(store, capture, scan, request, at)
        recorded = record_scan(store, run_id, scan, seen_at=at)
        finish_run(store, run_id, now=now)
    except BaseException:
        with suppress(StoreError):  # where the database is what failed, the next run closes this one
            interrupt_run(store, run_id, now=now)
        raise
    return IngestResult(run_id=run_id, scan=scan, new_occurrences=recorded.new_occurrences)


def _fingerprint(capture: Capture, request: IngestRequest) -> str:
    """Return what makes an ingest that one: the contents, whose they are, and how far back was looked."""
    told = "\n".join((capture.sha256, request.cluster, str(request.lookback)))
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()


def _describe_start(request: IngestRequest, at: datetime) -> RunStart:
    scope = f"--cluster {request.cluster}"  # never `all`: it must not pass for the newest look at every cluster
    return RunStart(
        started_at=at,
        origin="ingest",
        time_range=request.time_range,
        lookback=request.lookback,
        scope=scope,
        scope_hash=hash_scope(scope),
        tool_version=__version__,
        arguments=request.arguments,
    )


def _add_artifacts(
    store: Store, capture: Capture, scan: ClusterScan, request: IngestRequest, at: datetime
) -> ClusterScan:
    if request.artifacts is None or not scan.findings:
        return scan
    wanted = list_uncaptured(store, scan.cluster, scan.findings, seen_at=at)
    saved = save_artifacts(
        capture,
        scan.cluster,
        [finding for finding in scan.findings if pod_key(scan.cluster, finding) in wanted],
        request.artifacts,
        at=at,
        log_limit_bytes=request.log_limit_bytes,
    )
    gaps = (*scan.gaps, *saved.gaps)
    return replace(scan, artifacts=saved.artifacts, gaps=gaps, status="partial" if gaps else "complete")
