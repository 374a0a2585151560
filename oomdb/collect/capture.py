"""Capturing artifacts: one description and one log for each pod that has something new to show."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from oomdb.artifacts.describe import describe_pod
from oomdb.artifacts.local import ArtifactFolder, WrittenFile
from oomdb.artifacts.logs import LogPart, plan_log_requests, render_log
from oomdb.artifacts.records import build_artifact, build_missing_pair
from oomdb.collect.threads import run_in_threads
from oomdb.errors import ArtifactError, ClusterError, ClusterNotFound, ClusterTimeout, ClusterUnreachable
from oomdb.kube.client import ClusterClient
from oomdb.model import Artifact, ArtifactKind, ArtifactStatus, Finding, Gap, PodRef

TIMEOUTS_OF_A_DEAD_SERVER = 5  # in one scan; the kubelet of one dead node may cost some
LOGS_AT_A_TIME = 2  # of one cluster: each may be --log-limit-bytes long, and lies in memory until it is written


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """Where artifacts go and how much of a log is taken; `workers` pods are captured at a time."""

    folder: ArtifactFolder
    log_tail_lines: int | None
    log_limit_bytes: int
    workers: int


@dataclass(frozen=True, slots=True)
class Captured:
    """The artifacts of a scan, and a gap where capturing had to stop."""

    artifacts: tuple[Artifact, ...]
    gaps: tuple[Gap, ...]


def capture_artifacts(
    client: ClusterClient,
    cluster: str,
    findings: Iterable[Finding],
    request: CaptureRequest,
    *,
    clock: Callable[[], datetime],
    on_saved: Callable[[Captured], None] = lambda _: None,
) -> Captured:
    """Read and save the description and log of the findings' pods; a finding stays whatever happens here.

    When the server or the disk stops answering, the rest is left out, and a gap says so: the next run tries again.

    Args:
        client: the open API of the cluster.
        cluster: its name.
        findings: whose pods to capture.
        request: where to and how much.
        clock: by which the cluster dates its objects.
        on_saved: called before the first pod, and after each, with what there would be if the run were stopped now.
    """
    containers: dict[PodRef, list[str]] = {}
    for finding in findings:
        ref = PodRef(finding.namespace, finding.pod, finding.pod_uid)
        containers.setdefault(ref, []).append(finding.container)
    capture = _Capture(client, cluster, request, clock)
    artifacts: list[Artifact] = []

    def cut_short(status: str, reason: str) -> Captured:
        told = f"{reason} ({len(artifacts) // 2} of {len(containers)} pods were captured)"
        return Captured(tuple(artifacts), (Gap(namespace="", source="artifacts", status=status, message=told),))

    def tell() -> None:
        is_whole = len(artifacts) // 2 == len(containers)
        stopped = cut_short("stopped", "the run was stopped meanwhile")
        on_saved(Captured(tuple(artifacts), ()) if is_whole else stopped)

    tell()
    try:
        for _, saved in run_in_threads(capture.pod, containers.items(), workers=request.workers):
            artifacts.extend(saved)
            tell()
    except (ArtifactError, ClusterUnreachable) as err:
        return cut_short(err.slug, str(err))
    return Captured(tuple(artifacts), ())


@dataclass(frozen=True, slots=True)
class _Capture:
    client: ClusterClient
    cluster: str
    request: CaptureRequest
    clock: Callable[[], datetime]
    timeouts: list[ClusterTimeout] = field(default_factory=list)
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(LOGS_AT_A_TIME))

    def pod(self, task: tuple[PodRef, Sequence[str]]) -> tuple[Artifact, ...]:
        """Capture one pod; the pair of artifacts says `gone` or `error` where there was nothing to save."""
        ref, containers = task
        at = self.clock()
        try:
            manifest = self.client.get_pod(ref.namespace, ref.name)
        except ClusterNotFound:
            return build_missing_pair(ref, at, "gone", "the pod was deleted before it could be read")
        except ClusterError as err:
            self._stop_if_dead(err)
            return build_missing_pair(ref, at, "error", str(err))
        if ref.uid and _uid_of(manifest) != ref.uid:
            return build_missing_pair(ref, at, "gone", "the pod was deleted; another one bears its name now")
        return self._description(ref, manifest, at), self._log(ref, manifest, containers, at)

    def _description(self, ref: PodRef, manifest: Mapping[str, Any], at: datetime) -> Artifact:
        events: list[dict[str, Any]] | None = None
        note = ""
        try:
            events = self.client.list_pod_events(ref.namespace, ref.name, ref.uid)
        except ClusterError as err:
            self._stop_if_dead(err)
            note = f"without events: {err}"
        text = describe_pod(manifest, events, now=at)
        written = self._write(ref, at, "description", [text.encode()])
        return build_artifact(ref, at, "description", "ok", note, written)

    def _log(self, ref: PodRef, manifest: Mapping[str, Any], failed: Sequence[str], at: datetime) -> Artifact:
        errors: list[str] = []
        some_content = False

        def read() -> Iterator[LogPart]:
            nonlocal some_content
            for container, previous in plan_log_requests(manifest, failed):
                part = self._log_part(ref, container, previous)
                errors.extend([part.error] if part.error else [])
                some_content = some_content or bool(part.content)
                yield part
                del part

        with self.turns:
            written = self._write(ref, at, "log", render_log(read()))
        status: ArtifactStatus = "ok" if some_content else "error" if errors else "empty"
        return build_artifact(ref, at, "log", status, errors[0] if status == "error" else "", written)

    def _log_part(self, ref: PodRef, container: str, previous: bool) -> LogPart:
        limit, tail_lines = self.request.log_limit_bytes, self.request.log_tail_lines
        cut: Literal["nothing", "beginning", "end"] = "nothing"
        try:
            content = self._read_log(ref, container, previous, tail_lines)
            if len(content) >= limit:
                cut = "end"
                if tail_lines is None and (lines := content.count(b"\n")) > 1:
                    # the end, which the server left out, tells most: ask for about as many of the last lines as fit
                    end = self._read_log(ref, container, previous, lines * 9 // 10)
                    if len(end) < limit:
                        content, cut = end, "beginning"
        except ClusterError as err:
            self._stop_if_dead(err)
            return LogPart(container=container, previous=previous, content=b"", error=str(err))
        return LogPart(container=container, previous=previous, content=content, cut=cut)

    def _read_log(self, ref: PodRef, container: str, previous: bool, tail_lines: int | None) -> bytes:
        return self.client.read_log(
            ref.namespace,
            ref.name,
            container,
            previous=previous,
            tail_lines=tail_lines,
            limit_bytes=self.request.log_limit_bytes,
        )

    def _stop_if_dead(self, err: ClusterError) -> None:
        """Pass an error on where the server is gone: by itself, or after time-outs that are not one dead node's."""
        if isinstance(err, ClusterTimeout):
            self.timeouts.append(err)
            if len(self.timeouts) < TIMEOUTS_OF_A_DEAD_SERVER:
                return
        if isinstance(err, ClusterUnreachable):
            raise err

    def _write(self, ref: PodRef, at: datetime, kind: ArtifactKind, pieces: Iterable[bytes]) -> WrittenFile:
        return self.request.folder.write(self.cluster, ref.namespace, ref.name, at, kind, pieces)


def _uid_of(manifest: Mapping[str, Any]) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("uid", "")) if isinstance(metadata, Mapping) else ""
