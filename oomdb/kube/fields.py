"""Fields of a kubeconfig's entries: each read by its type, misspelt and contradicting ones told by file and name."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomdb.errors import find_similar
from oomdb.kube.contexts import make_plain, show


@dataclass(frozen=True, slots=True)
class RawEntry:
    """A named entry as it stands in its file."""

    file: Path
    entry: Mapping[Any, Any]
    is_double: bool = False


class Fields:
    """The fields of one entry: each is read by its type, and what is wrong is noted for whoever uses the entry."""

    def __init__(
        self, file: Path, label: str, values: Mapping[Any, Any], problems: list[str], prefix: str = ""
    ) -> None:
        self.values = values
        self._file = file
        self._label = label
        self._problems = problems
        self._prefix = prefix

    def refuse(self, key: str, why: str) -> None:
        """Note that a field cannot be used, and why."""
        self._problems.append(f"{make_plain(str(self._file))}: {self._label}: {self._prefix}{key} {why}.")

    def refuse_both(self, one: str, other: str) -> None:
        """Note it if two fields are set that exclude each other (client-go validation.go)."""
        if self.has(one) and self.has(other):
            self.refuse(one, f"and {other} are both set; remove one of the two")

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Note fields that the API does not have: a misspelt one would do nothing."""
        for key in self.values:
            if key not in known:
                meant = find_meant(key, known)
                hint = f"did you mean '{meant}'?" if meant else "correct or remove it"
                text = f"{make_plain(str(self._file))}: {self._label}: field {show(f'{self._prefix}{key}')}"
                self._problems.append(f"{text} is not known; {hint}{'' if meant else '.'}")

    def has(self, key: str) -> bool:
        """Tell whether a field is set to something."""
        return self.values.get(key) not in (None, "", [], {}, False)

    def text(self, key: str) -> str:
        """Return a text, '' where the field is not set."""
        return self._typed(key, str, "text; put it in quotes") or ""

    def flag(self, key: str) -> bool:
        """Return a truth value, False where the field is not set."""
        return self._typed(key, bool, "true or false") or False

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values: list[Any] = self._typed(key, list, "a list of texts") or []
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, "must be a list of texts; put each in quotes")
            return ()
        return tuple(values)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return a list of maps with a name and a value, as variables of an environment."""
        pairs = []
        for value in self._typed(key, list, "a list of names with values") or []:
            name, content = (value.get("name"), value.get("value", "")) if isinstance(value, dict) else (None, None)
            if not isinstance(name, str) or not isinstance(content, str) or not name or {"=", "\0"} & set(name):
                self.refuse(key, "must be a list of maps with name and value, both text; put them in quotes")
                return ()
            pairs.append((name, content))
        return tuple(pairs)

    def lists(self, key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return a map of lists of texts."""
        values: dict[Any, Any] = self._typed(key, dict, "a map of lists of texts") or {}
        for name, texts in values.items():
            is_list = isinstance(name, str) and isinstance(texts, list)
            if not is_list or not all(isinstance(text, str) for text in texts):
                self.refuse(key, "must be a map of lists of texts; put each in quotes")
                return ()
        return tuple((name, tuple(texts)) for name, texts in values.items())

    def path(self, key: str) -> Path | None:
        """Return a path, taken from the folder of the file that names it."""
        text = self.text(key)
        return resolve(self._file, text) if text else None

    def data(self, key: str) -> bytes | None:
        """Return what the field holds in base64."""
        text = self.text(key)
        try:
            return base64.b64decode("".join(text.split()), validate=True) or None
        except (binascii.Error, ValueError):  # ValueError: not ASCII
            self.refuse(key, "is not valid base64; write it anew (`base64 -w0 FILE`)")
            return None

    def map(self, key: str) -> "Fields":
        """Return the fields of a field."""
        values: dict[Any, Any] = self._typed(key, dict, "a map") or {}
        return Fields(self._file, self._label, values, self._problems, f"{self._prefix}{key}.")

    def _typed(self, key: str, wanted: type, meaning: str) -> Any:
        value = self.values.get(key)
        if value is None or isinstance(value, wanted):
            return value
        self.refuse(key, f"must be {meaning}")
        return None


def open_entry(kind: str, name: str, raw: RawEntry, problems: list[str]) -> Fields:
    """Return the fields of `{name: …, <kind>: {…}}`."""
    label = f"{kind} {show(name)}"
    outer = Fields(raw.file, label, raw.entry, problems)
    if raw.is_double:
        problems.append(f"{make_plain(str(raw.file))}: {label}: is there more than once; remove all but one.")
    outer.refuse_unknown(("name", kind))
    inner = outer.map(kind)
    return Fields(raw.file, label, inner.values, problems)


def resolve(file: Path, path: str) -> Path:
    """Return a path that a file names, taken from that file's folder."""
    return file.absolute().parent / path


def find_meant(key: object, known: Sequence[str]) -> str | None:
    """Return the known key that a misspelt one may mean, None where none is like it."""
    return next(iter(find_similar(str(key)[:100], known, limit=1)), None)


def kind_of(value: object) -> str:
    """Return what a YAML value is, in words."""
    if isinstance(value, dict):
        return "a map"
    return "a list" if isinstance(value, list) else "a single value"
