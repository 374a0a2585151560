"""Paths of artifacts in the legacy script's results: found, and exchanged with every other byte left as it is."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

# as the legacy script names them: <namespace>__<pod>__<YYYYMMDDTHHMMSSZ>__desc.txt
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,220}__[0-9]{8}T[0-9]{6}Z__(?:desc|log)(?:\.failed)?\.txt")


@dataclass(frozen=True, slots=True)
class Reference:
    """A path that is an artifact's: `root` as it is spelled, the cluster's folder, the file's name."""

    root: str
    cluster: str
    name: str

    def __str__(self) -> str:
        return f"{self.root}/{self.cluster}/{self.name}"


def parse_reference(text: str, root: str) -> Reference | None:
    """Return what a text names below a root; None for anything that is no artifact right in a cluster's folder."""
    below = text.removeprefix(f"{root}/")
    cluster, slash, name = below.partition("/")
    if below == text or not slash or cluster in ("", ".", "..") or "\0" in cluster or not _NAME.fullmatch(name):
        return None
    return Reference(root, cluster, name)


def iter_paths(data: bytes, file_name: str) -> Iterator[str]:
    """Iterate over the texts of a results file that may be paths: a CSV's fields, JSON's strings, a page's links."""
    dialect = _DIALECTS[PurePosixPath(file_name).suffix]
    for match in dialect.token.finditer(data):
        text = dialect.decode(match[0])
        if text is not None:
            yield text


def exchange_paths(data: bytes, file_name: str, new_paths: Mapping[str, str]) -> bytes:
    """Return the content of a results file with some paths exchanged, quoted as the file's kind wants it."""
    dialect = _DIALECTS[PurePosixPath(file_name).suffix]

    def exchange(match: re.Match[bytes]) -> bytes:
        text = dialect.decode(match[0])
        new = new_paths.get(text) if text is not None else None
        return match[0] if new is None else dialect.encode(new, match[0])

    return dialect.token.sub(exchange, data)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a kind of file writes a text: the pattern of one, and to and from its bytes (None for what is no text)."""

    token: re.Pattern[bytes]
    decode: Callable[[bytes], str | None]
    encode: Callable[[str, bytes], bytes]  # given what stood there before


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode_field(field: bytes) -> str:
    quoted = len(field) > 1 and field.startswith(b'"')
    return _decode(field[1:-1].replace(b'""', b'"') if quoted else field)


def _encode_field(text: str, before: bytes) -> bytes:
    if before.startswith(b'"') or re.search(r'[",\r\n]', text):
        return b'"' + _encode(text).replace(b'"', b'""') + b'"'
    return _encode(text)


def _decode_string(string: bytes) -> str | None:
    try:
        text: str = json.loads(string)
    except ValueError:
        return None
    return text


_DIALECTS = {
    ".csv": _Dialect(
        re.compile(rb'(?:(?<=[,\r\n])|\A)(?:"[^"]*(?:""[^"]*)*"|[^",\r\n]+)(?=[,\r\n]|\Z)'),
        _decode_field,
        _encode_field,
    ),
    ".json": _Dialect(
        re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"'), _decode_string, lambda text, _: json.dumps(text).encode()
    ),
    ".html": _Dialect(
        re.compile(rb'(?<=href="file://)[^"]+(?=")'),
        lambda link: html.unescape(_decode(link)),
        lambda text, _: _encode(html.escape(text)),
    ),
}
