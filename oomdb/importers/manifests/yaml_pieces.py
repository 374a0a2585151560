"""YAML as Kubernetes' tools write it, piece by piece: what lies in memory is one object of a list, not the list.

The tools write JSON's values alone: null, true, false, numbers and texts, no aliases, keys that are texts. What else
YAML knows is read as text, but for aliases, which are refused: a few of them make gigabytes of a few lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

LIST_KEY = "items"
DEEPEST = 100  # a pod's manifest has about a dozen levels

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml may be missing
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")


class YamlError(Exception):
    """The text is no YAML, or none that Kubernetes' tools write; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of a document's `items`, or at the document's end all the rest of it (`items` empty)."""

    value: Any
    line: int  # on which it begins, from 1
    is_item: bool


def iter_pieces(data: bytes) -> Iterator[Piece]:
    """Iterate over the objects of a text of YAML, which may hold several documents.

    Raises:
        YamlError: where the text cannot be read any further; what was yielded before is whole.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(data, Loader=_LOADER):
            piece = builder.take(event)
            if piece is not None:
                yield piece
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        raise YamlError(err.problem or "is no YAML", mark.line + 1 if mark else 1) from err
    except yaml.YAMLError as err:  # characters that no YAML may hold
        raise YamlError(" ".join(str(err).split()), builder.line) from err


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that has begun; `key` is the one of the value that comes next."""

    value: dict[str, Any] | list[Any]
    line: int
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Makes values of the parser's events; everything is on a stack, nothing recurs."""

    line: int = 1
    _open: list[_Open] = field(default_factory=list)

    def take(self, event: yaml.Event) -> Piece | None:
        """Take the next event, and return the piece that it completes."""
        self.line = event.start_mark.line + 1  # type: ignore[union-attr]  # a parser's event always has it
        if isinstance(event, yaml.ScalarEvent):
            return self._add(_read_scalar(event), self.line)
        if isinstance(event, yaml.AliasEvent):
            raise YamlError("holds an alias, which no tool of Kubernetes writes", self.line)
        if isinstance(event, yaml.CollectionStartEvent):
            self._begin({} if isinstance(event, yaml.MappingStartEvent) else [])
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            return self._add(done.value, done.line)
        return None

    def _begin(self, value: dict[str, Any] | list[Any]) -> None:
        if len(self._open) == DEEPEST:
            raise YamlError(f"is nested more than {DEEPEST} levels deep", self.line)
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            raise YamlError("has a key that is no text", self.line)
        self._open.append(_Open(value, self.line))

    def _add(self, value: Any, line: int) -> Piece | None:
        if not self._open:
            return Piece(value, line, is_item=False)
        parent = self._open[-1]
        if isinstance(parent.value, list):
            if self._is_list_of_document():
                return Piece(value, line, is_item=True)
            parent.value.append(value)
        elif parent.key is None:
            parent.key = value if isinstance(value, str) else str(value)
        else:
            parent.value[parent.key] = value
            parent.key = None
        return None

    def _is_list_of_document(self) -> bool:
        return len(self._open) == 2 and self._open[0].key == LIST_KEY


def _read_scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    text: str = event.value
    if not event.implicit[0]:  # quoted, a block, or said to be something
        return text
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    return float(text) if match[1] or match[2] else int(text)
