"""What the API's answers look like, as typed decoders, and which events are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from oomdb.model import Pod

# Reasons of Pod events that tell of routine and can be no evidence of a kill for memory, of a back-off or of an
# eviction: of the kubelet (k/k pkg/kubelet/events/event.go), the scheduler, the volume controllers, the cluster
# autoscaler and multus. They are most of all events. Whatever is not named here comes, known or not: `Failed` and
# `FailedCreatePodSandBox` are among those, since a runtime may say in them that a container's start was OOM-killed.
ROUTINE_REASONS = (
    "AddedInterface",
    "Created",
    "FailedMount",
    "FailedScheduling",
    "Killing",
    "NotTriggerScaleUp",
    "Pulled",
    "Pulling",
    "Scheduled",
    "Started",
    "SuccessfulAttachVolume",
    "TriggeredScaleUp",
    "Unhealthy",
)

# `type=Warning` would lose events without a type, `reason=BackOff` those of add-ons; a negative selector loses nothing
# unknown. Keys: k/k pkg/apis/core/v1/conversion.go, AddFieldLabelConversionsForEvent.
POD_EVENT_SELECTOR = ",".join(("involvedObject.kind=Pod", *(f"reason!={reason}" for reason in ROUTINE_REASONS)))

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace (or OpenShift project) by name; `labels` is None where they could not be read."""

    name: str
    labels: Mapping[str, str] | None = None


class Decoder(Protocol[T_co]):
    """Turns the bytes of an answer into an object; raises msgspec.DecodeError for anything that does not fit."""

    def decode(self, body: bytes | bytearray, /) -> T_co: ...


class ListMetadata(msgspec.Struct, frozen=True):
    """The part of a list that tells how to go on; an empty token marks the last page."""

    continue_token: str | None = msgspec.field(name="continue", default=None)


class ObjectList(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `kind` and `items` must be there, lest any JSON object pass for an empty list."""

    kind: str
    items: list[T] | None  # some API servers write an empty list as null
    metadata: ListMetadata = ListMetadata()


class ObjectMetadata(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str] | None = None


class NamespaceObject(msgspec.Struct, frozen=True):
    """A namespace or an OpenShift project."""

    metadata: ObjectMetadata

    def to_namespace(self) -> Namespace:
        """Return the namespace; one without labels has an empty mapping, since its labels were read."""
        return Namespace(self.metadata.name, self.metadata.labels or {})


class Status(msgspec.Struct, frozen=True):
    """An error as the API server words it (apimachinery pkg/apis/meta/v1/types.go, Status)."""

    kind: str
    message: str = ""
    reason: str = ""
    metadata: ListMetadata = ListMetadata()


class Version(msgspec.Struct, frozen=True, rename="camel"):
    git_version: str


class ListDecoder(Generic[T]):
    """A decoder of one kind of list that refuses every other kind."""

    def __init__(self, kind: str, item_type: type[T]) -> None:
        self._kind = kind
        self._decoder: msgspec.json.Decoder[ObjectList[T]] = msgspec.json.Decoder(
            ObjectList[item_type]  # type: ignore[valid-type]  # a type made at run time
        )

    def decode(self, body: bytes | bytearray, /) -> ObjectList[T]:
        """Return the page.

        Raises:
            msgspec.DecodeError: for JSON that is broken, or no list of this kind.
        """
        page = self._decoder.decode(body)
        if page.kind != self._kind:
            raise msgspec.ValidationError(f"Expected `{self._kind}`, got `{page.kind}` - at `$.kind`")
        return page


POD_LIST = ListDecoder("PodList", Pod)
RAW_EVENT_LIST = ListDecoder("EventList", dict[str, Any])
NAMESPACE_LIST = ListDecoder("NamespaceList", NamespaceObject)
PROJECT_LIST = ListDecoder("ProjectList", NamespaceObject)
NAMESPACE: Decoder[NamespaceObject] = msgspec.json.Decoder(NamespaceObject)
STATUS: Decoder[Status] = msgspec.json.Decoder(Status)
VERSION: Decoder[Version] = msgspec.json.Decoder(Version)
MANIFEST: Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def select_fields(fields: Mapping[str, str]) -> str:
    """Return a field selector that all `fields` must equal, values escaped (apimachinery pkg/fields/selector.go)."""
    return ",".join(f"{key}={_escape_value(value)}" for key, value in fields.items())


def is_path_segment(name: str) -> bool:
    """Tell whether a name may stand in a URL's path (apimachinery pkg/api/validation/path/name.go)."""
    return name not in ("", ".", "..") and "/" not in name and "%" not in name


def _escape_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
