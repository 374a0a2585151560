"""The words that rooms share: what a cluster shows (pods, events) and what we make of it (sightings, findings, scans).

The structs of pods and events declare only the fields that detection needs, so that decoding a list skips the rest
(msgspec; field names as in the Kubernetes API, k8s.io/api/core/v1). Everything here is a value without behaviour of
its own beyond reading itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec

OOM_KILLED = "OOMKilled"
CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"

# --- what the API shows ---------------------------------------------------------------------------------------------


ApiInteger = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]  # int32 in the API
ApiInstant = Annotated[datetime, msgspec.Meta(tz=True)]  # one without a zone is refused: it would be a guess


class _ApiStruct(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A part of an API object; unknown fields are skipped, a missing one has its default."""


class OwnerReference(_ApiStruct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class PodMetadata(_ApiStruct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: msgspec.Raw = msgspec.Raw(b"{}")  # read by `Pod.labels`, for pods with findings only
    owner_references: tuple[OwnerReference, ...] | None = None


class Waiting(_ApiStruct, frozen=True):
    reason: str | None = None


class Running(_ApiStruct, frozen=True):
    started_at: ApiInstant | None = None


class Terminated(_ApiStruct, frozen=True):
    reason: str | None = None
    exit_code: ApiInteger | None = None
    started_at: ApiInstant | None = None
    finished_at: ApiInstant | None = None
    container_id: str | None = msgspec.field(name="containerID", default=None)


class ContainerState(_ApiStruct, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_ApiStruct, frozen=True):
    name: str = ""
    restart_count: ApiInteger = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    image: str | None = None
    resources: msgspec.Raw = msgspec.Raw(b"null")


class ContainerSpec(_ApiStruct, frozen=True):
    name: str = ""
    resources: msgspec.Raw = msgspec.Raw(b"null")


class PodSpec(_ApiStruct, frozen=True):
    node_name: str | None = None
    containers: tuple[ContainerSpec, ...] | None = None
    init_containers: tuple[ContainerSpec, ...] | None = None
    ephemeral_containers: tuple[ContainerSpec, ...] | None = None


class PodStatus(_ApiStruct, frozen=True):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: ApiInstant | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    ephemeral_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(_ApiStruct, frozen=True):
    """One pod of a list, with the fields that detection and workload names need."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def labels(self) -> dict[str, str]:
        """Return the pod's labels."""
        return msgspec.json.decode(self.metadata.labels, type=dict[str, str] | None) or {}

    def container_statuses(self) -> Iterator[ContainerStatus]:
        """Iterate over the statuses of init, main and ephemeral containers: all of them can be killed."""
        status = self.status
        yield from status.init_container_statuses or ()
        yield from status.container_statuses or ()
        yield from status.ephemeral_container_statuses or ()


class InvolvedObject(_ApiStruct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    field_path: str | None = None


class EventSeries(_ApiStruct, frozen=True):
    count: int | None = None
    last_observed_time: ApiInstant | None = None


class EventMetadata(_ApiStruct, frozen=True):
    name: str = ""
    namespace: str = ""
    creation_timestamp: ApiInstant | None = None


class Event(_ApiStruct, frozen=True):
    """One event (core/v1); `count` is evidence only, since the client aggregates and drops similar events."""

    metadata: EventMetadata = EventMetadata()
    involved_object: InvolvedObject = InvolvedObject()
    reason: str | None = None
    message: str | None = None
    type: str | None = None
    count: int | None = None
    first_timestamp: ApiInstant | None = None
    last_timestamp: ApiInstant | None = None
    event_time: ApiInstant | None = None
    series: EventSeries | None = None

    def last_at(self) -> datetime | None:
        """Return the event's time: series, else lastTimestamp, else eventTime, else its creation."""
        observed = self.series.last_observed_time if self.series else None
        return observed or self.last_timestamp or self.event_time or self.metadata.creation_timestamp

    def first_at(self) -> datetime | None:
        """Return when the event was first sent, as far as it tells."""
        return self.first_timestamp or self.event_time or self.metadata.creation_timestamp


# --- what we make of it ---------------------------------------------------------------------------------------------

TimeQuality = Literal["exact", "event", "observed"]
Source = Literal["oc_get_pods", "events"]  # the legacy script's spellings, kept in the exports
SuspectClass = Literal["exit-137", "evicted-memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One kill, or one crash loop, as one scan saw it in one container.

    A kill is an instant with an `identity`; a loop lasts (`is_loop`) and is continued by later sightings.
    `evidence` tells by which rule it was seen: `terminated`, `event`, `waiting`, `backoff_gap`.
    """

    type: str
    container: str  # '' where the evidence names none
    at: datetime
    time_quality: TimeQuality
    source: Source
    evidence: str
    is_loop: bool = False
    in_progress: bool = False  # a loop that waits now is in every time range
    container_id: str = ""  # of a kill by status: the killed container's; by event: the one started after it
    first_event_at: datetime | None = None  # of a kill by event: when the event was first sent
    exit_code: int | None = None
    reason: str | None = None
    restart_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Evidence that may be a kill for memory but is no proof of one: stored, never counted."""

    namespace: str
    pod: str
    pod_uid: str
    container: str
    suspect_class: SuspectClass
    at: datetime | None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class PodRef:
    """Which pod: its place and UID ('' where only its name is known)."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRef:
    """The controller of a pod: `Deployment` `checkout`; the kind is empty where the name is a guess by the pod's."""

    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """In this run, this container of this pod showed this type, once or several times."""

    namespace: str
    pod: str
    pod_uid: str  # '' where unknown
    container: str
    type: str
    sightings: tuple[Sighting, ...]
    workload: WorkloadRef = WorkloadRef()
    application: str = ""
    component: str = ""
    node: str = ""
    image: str = ""
    revision: str = ""
    memory_limit_bytes: int | None = None
    memory_request_bytes: int | None = None
    pod_gone: bool | None = False  # None: pods could not be listed, so nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What could not be looked at: one source in one namespace, or everywhere ('').

    Sources: `namespaces`, `pods`, `events`, `artifacts`; `time-range` for what happened before the look back.
    """

    namespace: str
    source: str
    status: str  # slug of the error: forbidden, timeout, …
    message: str


ArtifactKind = Literal["description", "log"]
ArtifactStatus = Literal["ok", "empty", "error", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One saved text about a pod; `path` is relative to the output folder, '' where nothing was written."""

    namespace: str
    pod: str
    pod_uid: str
    kind: ArtifactKind
    status: ArtifactStatus
    path: str = ""
    size_bytes: int = 0
    sha256: str = ""
    message: str = ""
    captured_at: datetime


ScanStatus = Literal["complete", "partial", "unreachable", "forbidden", "failed", "skipped", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterScan:
    """One cluster's part of a run: what was found, and how much of the cluster was looked at.

    A cluster that could not be read is a scan too, with its status and error, never an exception and never empty
    findings under `complete`. Counts are None where nobody counted.
    """

    cluster: str
    context: str
    server: str
    status: ScanStatus
    error: str = ""
    server_version: str = ""
    namespaces_scanned: int | None = None
    namespaces_skipped: int | None = None
    namespaces_failed: int | None = None
    skipped_by_rule: Mapping[str, int] = field(default_factory=dict)
    namespaces_read: tuple[str, ...] = ()  # in which both lists were read to their end
    skipped: Mapping[str, str] = field(default_factory=dict)  # namespace → the rule that left it out
    clock_skew_seconds: float | None = None  # how far the server's clock is ahead of ours; None where nobody knows
    pods_seen: int | None = None
    events_seen: int | None = None
    oldest_event_at: datetime | None = None
    requests: int = 0
    retries: int = 0
    duration_ms: int = 0
    findings: tuple[Finding, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    gaps: tuple[Gap, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


PersonStatus = Literal["ok", "no-email", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is behind an account, as GitLab told; of a lookup that failed the `reason`, which is not stored."""

    account: str  # without the @
    status: PersonStatus
    name: str = ""
    email: str = ""
    reason: str = ""


CheckStatus = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at before a scan, and how it is; `advice` is what to do, '' where nothing is."""

    subject: str  # whose: `kubeconfig`, the name of a cluster, `database`, `disk`
    name: str  # what of it: `connection`, `clock`, `access` …
    status: CheckStatus
    message: str
    advice: str = ""
