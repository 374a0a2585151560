"""In which formats lists and errors may come: what is asked for, and how an answer is read that came in either."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import msgspec

from oomdb.kube import events, objects, protobuf
from oomdb.kube.objects import Decoder, ObjectList, Status
from oomdb.kube.transport import JSON

PROTOBUF = "application/vnd.kubernetes.protobuf"

ListFormat = Literal["protobuf", "json"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListReader(Generic[T]):
    """One kind of list; protobuf is for types that are built into the API server alone."""

    json: Decoder[ObjectList[T]]
    protobuf: Decoder[ObjectList[T]] | None = None

    def accept(self, lists: ListFormat) -> str:
        """Return the media types to ask for; JSON always is among them, for servers that have no protobuf."""
        if lists == "json" or self.protobuf is None or not protobuf.is_fast():
            return JSON
        return f"{PROTOBUF},{JSON}"

    def decode(self, body: bytes | bytearray, headers: Mapping[str, str]) -> ObjectList[T]:
        """Return the page, in whichever format it came.

        Raises:
            msgspec.DecodeError: for a body that is broken, or no list of this kind.
        """
        if self.protobuf is not None and _is_protobuf(headers):
            return self.protobuf.decode(body)
        return self.json.decode(body)


PODS = ListReader(objects.POD_LIST, protobuf.POD_LIST)
EVENTS = ListReader(events.EVENT_LIST, protobuf.EVENT_LIST)
RAW_EVENTS = ListReader(objects.RAW_EVENT_LIST)
NAMESPACES = ListReader(objects.NAMESPACE_LIST, protobuf.NAMESPACE_LIST)
PROJECTS = ListReader(objects.PROJECT_LIST)


def find_status(body: bytes | bytearray, headers: Mapping[str, str]) -> Status | None:
    """Return the Status object that an answer holds, or None for anything else."""
    decoder = protobuf.STATUS if _is_protobuf(headers) else objects.STATUS
    try:
        status = decoder.decode(body)
    except msgspec.DecodeError:
        return None
    return status if status.kind == "Status" else None


def _is_protobuf(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == PROTOBUF
