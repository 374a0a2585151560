"""Lists and errors that come as protobuf, decoded to the very objects that JSON is decoded to.

The API server encodes a list as protobuf at half the price of JSON. Where both encodings say "nothing" in different
ways, JSON's is followed: an empty string that JSON leaves out is None here too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from oomdb.kube.objects import ListMetadata, NamespaceObject, ObjectList, ObjectMetadata, Status
from oomdb.model import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    Event,
    EventMetadata,
    EventSeries,
    InvolvedObject,
    OwnerReference,
    Pod,
    PodMetadata,
    PodSpec,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)

T = TypeVar("T")
U = TypeVar("U")

_MAGIC = b"k8s\0"  # apimachinery pkg/runtime/serializer/protobuf/protobuf.go
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LABELS = msgspec.Raw(b"{}")
_NO_RESOURCES = msgspec.Raw(b"null")

# times, states and resources are the same in many containers and events
_decoded_once = lru_cache(maxsize=4096)
_LONGEST_KEPT_BYTES = 256  # a state without a message: what is longer is hardly ever the same twice


class ProtobufListDecoder(Generic[T]):
    """A decoder of one kind of list that refuses every other kind."""

    def __init__(self, kind: str, read_item: Callable[[Any], T]) -> None:
        self._kind = kind
        self._read_item = read_item

    def decode(self, body: bytes | bytearray, /) -> ObjectList[T]:
        """Return the page.

        Raises:
            msgspec.DecodeError: for a body that is cut or damaged, or no list of this kind.
        """
        page = _open_answer(body, self._kind)
        return ObjectList(
            kind=self._kind,
            items=[self._read_item(item) for item in page.items],
            metadata=_read_list_metadata(page.metadata),
        )


class StatusDecoder:
    """A decoder of errors."""

    def decode(self, body: bytes | bytearray, /) -> Status:
        """Return the Status object.

        Raises:
            msgspec.DecodeError: for a body that is cut or damaged, or something else than a Status.
        """
        status = _open_answer(body, "Status")
        return Status(
            kind="Status",
            message=_text(status.message),
            reason=_text(status.reason),
            metadata=_read_list_metadata(status.metadata),
        )


def is_fast() -> bool:
    """Tell whether protobuf is worth asking for: the library is compiled on most platforms, but not on all."""
    from oomdb.kube.messages import is_compiled

    return is_compiled()


def _open_answer(body: bytes | bytearray, kind: str) -> Any:
    """Return the object of a kind that an answer holds."""
    if not body.startswith(_MAGIC):
        raise msgspec.DecodeError("no protobuf of Kubernetes")
    encoded = bytes(memoryview(body)[len(_MAGIC) :])
    damage: msgspec.ValidationError | None = None
    try:
        answer = _parse(f"{kind}Answer", encoded)
    except msgspec.ValidationError as err:
        answer, damage = _open_shell(encoded), err
    found = _text(answer.type_meta.kind)
    if found != kind:
        raise msgspec.ValidationError(f"Expected `{kind}`, got `{found}`")
    if damage is not None:
        raise damage
    if not answer.HasField("raw"):
        raise msgspec.DecodeError("protobuf is truncated")
    return answer.raw


def _open_shell(encoded: bytes) -> Any:
    """Return an answer whose content is left alone; even its shell is broken where the body was cut."""
    try:
        return _parse("Answer", encoded)
    except msgspec.ValidationError as err:
        raise msgspec.DecodeError("protobuf is truncated") from err


def _parse(name: str, encoded: bytes) -> Any:
    from oomdb.kube.messages import parse_message  # costs 15 ms, so not before there is protobuf to read

    return parse_message(name, encoded)


def _read_list_metadata(metadata: Any) -> ListMetadata:
    return ListMetadata(continue_token=_text(metadata.continue_token) or None)


def _read_namespace(namespace: Any) -> NamespaceObject:
    metadata = namespace.metadata
    return NamespaceObject(ObjectMetadata(_text(metadata.name), _read_labels(metadata.labels) or None))


def _read_pod(pod: Any) -> Pod:
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    labels = _read_labels(metadata.labels)
    return Pod(
        metadata=PodMetadata(
            name=_text(metadata.name),
            namespace=_text(metadata.namespace),
            uid=_text(metadata.uid),
            labels=_to_json(labels) if labels else _NO_LABELS,
            owner_references=_read_each(_read_owner, metadata.owner_references),
        ),
        spec=PodSpec(
            node_name=_text(spec.node_name) or None,
            containers=_read_each(_read_container, spec.containers),
            init_containers=_read_each(_read_container, spec.init_containers),
            ephemeral_containers=_read_each(_read_ephemeral_container, spec.ephemeral_containers),
        ),
        status=PodStatus(
            phase=_text(status.phase) or None,
            reason=_text(status.reason) or None,
            message=_text(status.message) or None,
            start_time=_read_time(status.start_time),
            container_statuses=_read_each(_read_container_status, status.container_statuses),
            init_container_statuses=_read_each(_read_container_status, status.init_container_statuses),
            ephemeral_container_statuses=_read_each(_read_container_status, status.ephemeral_container_statuses),
        ),
    )


def _read_owner(owner: Any) -> OwnerReference:
    return OwnerReference(
        kind=_text(owner.kind),
        name=_text(owner.name),
        controller=owner.controller if owner.HasField("controller") else None,
    )


def _read_container(container: Any) -> ContainerSpec:
    return ContainerSpec(name=_text(container.name), resources=_read_resources(container.resources))


def _read_ephemeral_container(container: Any) -> ContainerSpec:
    return _read_container(container.common)


def _read_container_status(status: Any) -> ContainerStatus:
    return ContainerStatus(
        name=_text(status.name),
        restart_count=status.restart_count,
        state=_read_state(status.state),
        last_state=_read_state(status.last_state),
        image=_text(status.image),
        resources=_read_resources(status.resources),
    )


def _read_state(encoded: bytes) -> ContainerState:
    return _read_short_state(encoded) if len(encoded) <= _LONGEST_KEPT_BYTES else _decode_state(encoded)


def _decode_state(encoded: bytes) -> ContainerState:
    state = _parse("ContainerState", encoded)
    return ContainerState(
        waiting=Waiting(_text(state.waiting.reason) or None) if state.HasField("waiting") else None,
        running=Running(_read_time(state.running.started_at)) if state.HasField("running") else None,
        terminated=_read_terminated(state.terminated) if state.HasField("terminated") else None,
    )


_read_short_state = _decoded_once(_decode_state)


def _read_terminated(terminated: Any) -> Terminated:
    return Terminated(
        reason=_text(terminated.reason) or None,
        exit_code=terminated.exit_code if terminated.HasField("exit_code") else None,
        started_at=_read_time(terminated.started_at),
        finished_at=_read_time(terminated.finished_at),
        container_id=_text(terminated.container_id) or None,
    )


def _read_event(event: Any) -> Event:
    metadata, involved = event.metadata, event.involved_object
    return Event(
        metadata=EventMetadata(
            name=_text(metadata.name),
            namespace=_text(metadata.namespace),
            creation_timestamp=_read_time(metadata.creation_timestamp),
        ),
        involved_object=InvolvedObject(
            kind=_text(involved.kind),
            namespace=_text(involved.namespace),
            name=_text(involved.name),
            uid=_text(involved.uid),
            field_path=_text(involved.field_path) or None,
        ),
        reason=_text(event.reason) or None,
        message=_text(event.message) or None,
        type=_text(event.type) or None,
        count=event.count or None,
        first_timestamp=_read_time(event.first_timestamp),
        last_timestamp=_read_time(event.last_timestamp),
        event_time=_read_time(event.event_time),
        series=_read_series(event.series) if event.HasField("series") else None,
    )


def _read_series(series: Any) -> EventSeries:
    return EventSeries(count=series.count or None, last_observed_time=_read_time(series.last_observed_time))


def _read_each(read: Callable[[Any], U], messages: Sequence[Any]) -> tuple[U, ...] | None:
    return tuple([read(message) for message in messages]) if messages else None


def _read_labels(entries: Iterable[Any]) -> dict[str, str]:
    return {_text(entry.key): _text(entry.value) for entry in entries}


@_decoded_once
def _read_resources(encoded: bytes) -> msgspec.Raw:
    if not encoded:
        return _NO_RESOURCES
    resources = _parse("ResourceRequirements", encoded)
    return _to_json({"limits": _read_amounts(resources.limits), "requests": _read_amounts(resources.requests)})


def _read_amounts(amounts: Iterable[Any]) -> dict[str, str]:
    return {_text(each.resource): _text(each.quantity.text) for each in amounts}


def _text(encoded: bytes) -> str:
    # Go sends what a client has stored, and a message that was cut in the middle of a character is no UTF-8
    return encoded.decode("utf-8", "replace")


@_decoded_once
def _read_time(encoded: bytes) -> datetime | None:
    """Return a Time or MicroTime; None for none, and for a year that Python does not know."""
    if not encoded:
        return None
    time = _parse("Time", encoded)
    try:
        return _EPOCH + timedelta(0, time.seconds, time.nanos // 1000)
    except OverflowError:
        return None


def _to_json(values: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(values))


POD_LIST = ProtobufListDecoder("PodList", _read_pod)
EVENT_LIST = ProtobufListDecoder("EventList", _read_event)
NAMESPACE_LIST = ProtobufListDecoder("NamespaceList", _read_namespace)
STATUS = StatusDecoder()
