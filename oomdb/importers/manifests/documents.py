"""Reading a file of manifests: JSON or YAML, single objects or lists of them."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from oomdb.importers.manifests.yaml_pieces import LIST_KEY, YamlError, iter_pieces

_LIST = "List"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as JSON, and where in its file it stands (`line 17`, `item 3`)."""

    kind: str
    encoded: bytes | msgspec.Raw
    where: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: a list, or one object.

    `kind` is the list's own (`PodList`, `List`), '' for a single object. `error` tells why the rest could not be read,
    '' where everything was.
    """

    kind: str
    manifests: Sequence[Manifest]
    error: str = ""


class _Header(msgspec.Struct):
    kind: str = ""


class _Top(msgspec.Struct):
    kind: str = ""
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET


_HEADER = msgspec.json.Decoder(_Header)
_TOP = msgspec.json.Decoder(_Top)


def read_documents(data: bytes) -> list[Document]:
    """Return the documents of a file; what is broken is told in the last one, and never raised.

    What begins with a brace is JSON, one document; all else is YAML. UTF-16 is what PowerShell makes of `>`.
    """
    try:
        text = _as_utf8(data)
    except UnicodeDecodeError as err:
        return [Document("", (), f"byte {err.start}: is no UTF-16, as its first bytes say")]
    first = re.search(rb"\S", text)
    if first is None:
        return [Document("", (), "is empty")]
    return [_read_json(text)] if first[0] == b"{" else _read_yaml(text)


def _as_utf8(data: bytes) -> bytes:
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if data.startswith(mark):
            return data.decode("utf-16").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _read_json(text: bytes) -> Document:
    try:
        top = _TOP.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        return Document("", (), _tell_json(text, err))
    if top.items is msgspec.UNSET:
        return Document("", (Manifest(top.kind, text, "line 1"),))
    manifests = []
    for number, item in enumerate(top.items or (), start=1):
        manifests.append(Manifest(_kind_of_item(item, top.kind), item, f"item {number}"))
    return Document(top.kind or _LIST, manifests)


def _kind_of_item(item: msgspec.Raw, list_kind: str) -> str:
    """Return an item's kind; the API leaves it out in lists of one kind."""
    if list_kind not in ("", _LIST):
        return list_kind.removesuffix(_LIST)
    try:
        return _HEADER.decode(item).kind
    except msgspec.DecodeError:
        return ""


def _tell_json(text: bytes, err: Exception) -> str:
    """Return where JSON is broken, by line, and why; msgspec counts bytes."""
    message, _, position = str(err).partition(" (byte ")
    offset = int(position.removesuffix(")")) if position.removesuffix(")").isdigit() else len(text)
    if isinstance(err, RecursionError):
        message = "is nested too deeply"
    line = text.count(b"\n", 0, offset) + 1
    return f"line {line}: {message}"


@dataclass(slots=True)
class _Pending:
    """The items of a document whose end, where it tells its kind, has not come yet."""

    items: list[tuple[str, bytes, int]] = field(default_factory=list)

    def close(self, list_kind: str) -> list[Manifest]:
        implied = "" if list_kind == _LIST else list_kind.removesuffix(_LIST)
        manifests = [Manifest(kind or implied, encoded, f"line {line}") for kind, encoded, line in self.items]
        self.items.clear()
        return manifests


def _read_yaml(text: bytes) -> list[Document]:
    documents: list[Document] = []
    pending = _Pending()
    line = 1
    try:
        for piece in iter_pieces(text):
            line = piece.line
            if piece.is_item:
                pending.items.append((_kind_of(piece.value), msgspec.json.encode(piece.value), line))
            elif isinstance(piece.value, dict) and LIST_KEY in piece.value:
                kind = _kind_of(piece.value) or _LIST
                documents.append(Document(kind, pending.close(kind)))
            elif piece.value is not None:  # an empty document: `---` and nothing
                manifest = Manifest(_kind_of(piece.value), msgspec.json.encode(piece.value), f"line {line}")
                documents.append(Document("", (manifest,)))
    except YamlError as err:
        documents.append(Document(_LIST, pending.close(_LIST), f"line {err.line}: {err}"))
    except (UnicodeError, ValueError) as err:  # what JSON cannot hold: half a surrogate pair
        documents.append(Document(_LIST, pending.close(_LIST), f"line {line}: {err}"))
    return documents


def _kind_of(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else ""
