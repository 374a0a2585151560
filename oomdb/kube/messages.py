"""The protobuf messages of the Kubernetes API that a list needs, built from one table: no generated code, no compiler.

Only what `oomdb.model` declares is named here; the library skips the rest. This module costs some 15 ms to import,
so it is imported by whoever has protobuf to read, not before.
"""

from typing import Any

import msgspec
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

# Message → field → (number, type); a type in brackets is repeated, and a map the list of its entries, as on the wire.
# Numbers, which never change: k8s.io/api core/v1/generated.proto; k8s.io/apimachinery pkg/apis/meta/v1, pkg/runtime and
# pkg/api/resource generated.proto. `text` is read as bytes: Go sends what a client has stored, UTF-8 or not. `bytes`
# are messages that are left encoded: times, states and resources are alike in many places, and are decoded once.
_MESSAGES = {
    "Answer": {"type_meta": (1, "TypeMeta"), "raw": (2, "bytes")},  # runtime.Unknown
    # the same with what is in it, decoded in place: a copy less of some megabytes
    "PodListAnswer": {"type_meta": (1, "TypeMeta"), "raw": (2, "PodList")},
    "EventListAnswer": {"type_meta": (1, "TypeMeta"), "raw": (2, "EventList")},
    "NamespaceListAnswer": {"type_meta": (1, "TypeMeta"), "raw": (2, "NamespaceList")},
    "StatusAnswer": {"type_meta": (1, "TypeMeta"), "raw": (2, "Status")},
    "TypeMeta": {"kind": (2, "text")},
    "ListMeta": {"continue_token": (3, "text")},
    "Status": {"metadata": (1, "ListMeta"), "message": (3, "text"), "reason": (4, "text")},
    "ObjectMeta": {
        "name": (1, "text"),
        "namespace": (3, "text"),
        "uid": (5, "text"),
        "creation_timestamp": (8, "bytes"),
        "labels": (11, "[Label]"),
        "owner_references": (13, "[OwnerReference]"),
    },
    "Label": {"key": (1, "text"), "value": (2, "text")},
    "OwnerReference": {"kind": (1, "text"), "name": (3, "text"), "controller": (6, "bool")},
    "Time": {"seconds": (1, "int64"), "nanos": (2, "int32")},  # Time and MicroTime
    "NamespaceList": {"metadata": (1, "ListMeta"), "items": (2, "[Namespace]")},
    "Namespace": {"metadata": (1, "ObjectMeta")},
    "PodList": {"metadata": (1, "ListMeta"), "items": (2, "[Pod]")},
    "Pod": {"metadata": (1, "ObjectMeta"), "spec": (2, "PodSpec"), "status": (3, "PodStatus")},
    "PodSpec": {
        "containers": (2, "[Container]"),
        "node_name": (10, "text"),
        "init_containers": (20, "[Container]"),
        "ephemeral_containers": (34, "[EphemeralContainer]"),
    },
    "Container": {"name": (1, "text"), "resources": (8, "bytes")},
    "EphemeralContainer": {"common": (1, "Container")},
    "ResourceRequirements": {"limits": (1, "[Amount]"), "requests": (2, "[Amount]")},
    "Amount": {"resource": (1, "text"), "quantity": (2, "Quantity")},
    "Quantity": {"text": (1, "text")},
    "PodStatus": {
        "phase": (1, "text"),
        "message": (3, "text"),
        "reason": (4, "text"),
        "start_time": (7, "bytes"),
        "container_statuses": (8, "[ContainerStatus]"),
        "init_container_statuses": (10, "[ContainerStatus]"),
        "ephemeral_container_statuses": (13, "[ContainerStatus]"),
    },
    "ContainerStatus": {
        "name": (1, "text"),
        "state": (2, "bytes"),
        "last_state": (3, "bytes"),
        "restart_count": (5, "int32"),
        "image": (6, "text"),
        "resources": (11, "bytes"),
    },
    "ContainerState": {"waiting": (1, "Waiting"), "running": (2, "Running"), "terminated": (3, "Terminated")},
    "Waiting": {"reason": (1, "text")},
    "Running": {"started_at": (1, "bytes")},
    "Terminated": {
        "exit_code": (1, "int32"),
        "reason": (3, "text"),
        "started_at": (5, "bytes"),
        "finished_at": (6, "bytes"),
        "container_id": (7, "text"),
    },
    "EventList": {"metadata": (1, "ListMeta"), "items": (2, "[Event]")},
    "Event": {
        "metadata": (1, "ObjectMeta"),
        "involved_object": (2, "InvolvedObject"),
        "reason": (3, "text"),
        "message": (4, "text"),
        "first_timestamp": (6, "bytes"),
        "last_timestamp": (7, "bytes"),
        "count": (8, "int32"),
        "type": (9, "text"),
        "event_time": (10, "bytes"),
        "series": (11, "EventSeries"),
    },
    "InvolvedObject": {
        "kind": (1, "text"),
        "namespace": (2, "text"),
        "name": (3, "text"),
        "uid": (4, "text"),
        "field_path": (7, "text"),
    },
    "EventSeries": {"count": (1, "int32"), "last_observed_time": (2, "bytes")},
}

_SCALARS = {
    "text": FieldDescriptorProto.TYPE_BYTES,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}


def is_compiled() -> bool:
    """Tell whether the library decodes in C; where it has only Python to run, it is many times slower than JSON is."""
    return api_implementation.Type() != "python"


def parse_message(name: str, encoded: bytes) -> Any:
    """Return a message of the table.

    Raises:
        msgspec.ValidationError: what was encoded is cut, damaged, or nested deeper than the library reads.
    """
    try:
        return _CLASSES[name].FromString(encoded)
    except DecodeError as err:
        raise msgspec.ValidationError("its protobuf is damaged") from err


def create_message(name: str, **fields: Any) -> Any:
    """Return a message of the table."""
    return _CLASSES[name](**fields)


def _build_classes() -> dict[str, type[Message]]:
    package = "oomdb"
    file = FileDescriptorProto(name="oomdb.proto", package=package, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, type_name) in fields.items():
            inner = type_name.strip("[]")
            is_repeated = inner != type_name
            field = message.field.add(name=field_name, number=number)
            field.label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
            if inner in _SCALARS:
                field.type = _SCALARS[inner]
            else:
                field.type_name = f".{package}.{inner}"
    pool = DescriptorPool()  # our own: the library's default one belongs to the whole process
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _MESSAGES}


_CLASSES = _build_classes()
