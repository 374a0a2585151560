"""What several detectors read out of the API's words: instants that mean something, containers that events name."""

import re
from datetime import datetime

from oomdb.model import Event

CONTAINER_NAME = r"[a-z0-9][-a-z0-9]{0,62}"  # a DNS label; anything else in a message is not a container

_FIELD_PATH = re.compile(rf"spec\.(?:containers|initContainers|ephemeralContainers)\{{({CONTAINER_NAME})\}}")


def find_known_instant(at: datetime | None) -> datetime | None:
    """Return the instant, or None where the API had none: null, or a zero of Unix time or of Go."""
    return at if at is not None and at.year > 1970 else None


def find_event_container(event: Event) -> str:
    """Return the container that `involvedObject.fieldPath` names (`spec.initContainers{db}`), '' where it names none.

    Source: GenerateContainerRef in pkg/kubelet/container/ref.go of kubernetes/kubernetes.
    """
    match = _FIELD_PATH.fullmatch(event.involved_object.field_path or "")
    return match[1] if match else ""
