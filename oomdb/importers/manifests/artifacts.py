"""Descriptions and logs of the pods that have a finding, out of a capture, saved as a collect saves them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from oomdb.artifacts.describe import describe_pod
from oomdb.artifacts.local import ArtifactFolder
from oomdb.artifacts.logs import LogPart, plan_log_requests, render_log
from oomdb.artifacts.records import build_artifact, build_missing_pair
from oomdb.detectors.pod_events import find_pod
from oomdb.errors import ArtifactError, ImportFileError
from oomdb.importers.foreign_files import read_file
from oomdb.importers.manifests.capture import Capture
from oomdb.importers.manifests.must_gather import find_log
from oomdb.model import Artifact, ArtifactStatus, Finding, Gap, PodRef

_NO_LOGS = "a file of pods and events holds no logs"


@dataclass(frozen=True, slots=True)
class SavedArtifacts:
    """The artifacts that there are, and a gap where the disk took no more."""

    artifacts: tuple[Artifact, ...]
    gaps: tuple[Gap, ...] = ()


def save_artifacts(
    capture: Capture,
    cluster: str,
    findings: Iterable[Finding],
    folder: ArtifactFolder,
    *,
    at: datetime,
    log_limit_bytes: int,
) -> SavedArtifacts:
    """Save the description and the log of the findings' pods; a finding stays whatever happens here.

    Args:
        capture: where they are.
        cluster: whose pods they are.
        findings: whose pods are to be saved.
        folder: where to.
        at: when the capture was made.
        log_limit_bytes: of each container's log, its end.
    """
    containers: defaultdict[PodRef, list[str]] = defaultdict(list)
    for finding in findings:
        containers[PodRef(finding.namespace, finding.pod, finding.pod_uid)].append(finding.container)
    saving = _Saving(capture, cluster, folder, at, log_limit_bytes, containers)
    artifacts: list[Artifact] = []
    try:
        for ref in containers:
            artifacts.extend(saving.pod(ref))
    except ArtifactError as err:
        told = f"{err} ({len(artifacts) // 2} of {len(containers)} pods were saved)"
        return SavedArtifacts(tuple(artifacts), (Gap(namespace="", source="artifacts", status=err.slug, message=told),))
    return SavedArtifacts(tuple(artifacts))


@dataclass(slots=True)
class _Saving:
    capture: Capture
    cluster: str
    folder: ArtifactFolder
    at: datetime
    log_limit_bytes: int
    containers: Mapping[PodRef, Sequence[str]]
    _manifests: dict[PodRef, dict[str, Any]] = field(default_factory=dict)
    _events: defaultdict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        names = {(ref.namespace, ref.name) for ref in self.containers}
        for captured in self.capture.pods:
            metadata = captured.pod.metadata
            ref = PodRef(metadata.namespace, metadata.name, metadata.uid)
            if ref in self.containers:
                self._manifests[ref] = msgspec.json.decode(captured.encoded)
        for event in self.capture.events:
            about = find_pod(event.event)
            if (about.namespace, about.name) in names:
                self._events[about.namespace, about.name].append(msgspec.json.decode(event.encoded))

    def pod(self, ref: PodRef) -> tuple[Artifact, ...]:
        """Save one pod's texts; the pair says `gone` or `error` where there was nothing to save."""
        manifest = self._manifests.get(ref)
        if manifest is None:
            listed = ("pods", self.capture.list_key(ref.namespace)) in self.capture.lists
            status: ArtifactStatus = "gone" if listed else "error"
            return build_missing_pair(ref, self.at, status, "the pod itself is not in what was saved")
        return self._description(ref, manifest), self._log(ref, manifest)

    def _description(self, ref: PodRef, manifest: Mapping[str, Any]) -> Artifact:
        has_events = ("events", self.capture.list_key(ref.namespace)) in self.capture.lists
        events = self._events[ref.namespace, ref.name]
        text = describe_pod(manifest, events if events or has_events else None, now=self.at)
        written = self.folder.write(
            self.cluster, ref.namespace, ref.name, self.at, "description", [text.encode("utf-8", "backslashreplace")]
        )
        note = "" if has_events else "without events: they were not saved"
        return build_artifact(ref, self.at, "description", "ok", note, written)

    def _log(self, ref: PodRef, manifest: Mapping[str, Any]) -> Artifact:
        if not self.capture.is_folder:
            return build_artifact(ref, self.at, "log", "error", _NO_LOGS)
        states: list[ArtifactStatus] = []
        parts = self._iter_log_parts(ref, manifest, states)
        written = self.folder.write(self.cluster, ref.namespace, ref.name, self.at, "log", render_log(parts))
        status: ArtifactStatus = "ok" if "ok" in states else "empty" if "empty" in states else "error"
        message = "no log of its containers is in the folder" if status == "error" else ""
        return build_artifact(ref, self.at, "log", status, message, written)

    def _iter_log_parts(
        self, ref: PodRef, manifest: Mapping[str, Any], states: list[ArtifactStatus]
    ) -> Iterator[LogPart]:
        for container, previous in plan_log_requests(manifest, self.containers[ref]):
            part = self._read_log(ref, container, previous)
            states.append("error" if part.error else "ok" if part.content else "empty")
            yield part
            del part

    def _read_log(self, ref: PodRef, container: str, previous: bool) -> LogPart:
        path = find_log(self.capture.folders, ref.namespace, ref.name, container, previous=previous)
        if path is None:
            return LogPart(container=container, previous=previous, content=b"", error="not in the folder")
        try:
            # one byte more than is wanted tells that there is more
            content = read_file(path, last_bytes=self.log_limit_bytes + 1).data
        except ImportFileError as err:
            return LogPart(container=container, previous=previous, content=b"", error=str(err))
        if len(content) <= self.log_limit_bytes:
            return LogPart(container=container, previous=previous, content=content)
        _, _, whole_lines = content.partition(b"\n")
        return LogPart(container, previous, whole_lines or content[1:], cut="beginning")
