"""What is remembered of a pod's description and log: written, or why not."""

from datetime import datetime

from oomdb.artifacts.local import WrittenFile
from oomdb.model import Artifact, ArtifactKind, ArtifactStatus, PodRef

_NOTHING_WRITTEN = WrittenFile(path="", size_bytes=0, sha256="")


def build_artifact(
    ref: PodRef,
    at: datetime,
    kind: ArtifactKind,
    status: ArtifactStatus,
    message: str,
    written: WrittenFile = _NOTHING_WRITTEN,
) -> Artifact:
    """Return the record of one text about a pod, captured at a moment; `message` tells why there is none."""
    return Artifact(
        namespace=ref.namespace,
        pod=ref.name,
        pod_uid=ref.uid,
        kind=kind,
        status=status,
        path=written.path,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        message=message,
        captured_at=at,
    )


def build_missing_pair(ref: PodRef, at: datetime, status: ArtifactStatus, message: str) -> tuple[Artifact, ...]:
    """Return the records of a pod of which neither text could be saved."""
    return build_artifact(ref, at, "description", status, message), build_artifact(ref, at, "log", status, message)
