"""Field selectors as the API server reads them: `=`, `==`, `!=` over the keys that each resource supports."""

import re
from collections.abc import Callable, Mapping
from typing import Any

ApiObject = Mapping[str, Any]
_TERM = re.compile(r"(?P<key>(?:[^\\=!,]|\\.)*)(?P<operator>!=|==|=)(?P<value>(?:[^\\=,]|\\[\\=,])*)", re.DOTALL)
_SPLIT = re.compile(r"((?:[^\\,]|\\.)*)(?:,|$)", re.DOTALL)


class SelectorError(ValueError):
    """A selector that the API server refuses with 400; the message is the server's."""


def parse_field_selector(text: str, resource: str) -> Callable[[ApiObject], bool]:
    """Return the predicate of a field selector over objects of `namespaces`, `pods` or `events`.

    Syntax: apimachinery/pkg/fields/selector.go; keys: kubernetes/pkg/apis/core/v1/conversion.go. An absent field
    is the empty string.

    Raises:
        SelectorError: for what cannot be parsed and for keys that the resource does not support.
    """
    fields = _FIELDS[resource]
    terms: list[tuple[Callable[[ApiObject], str], bool, str]] = []
    for part in filter(None, (match[1] for match in _SPLIT.finditer(text))):
        match = _TERM.fullmatch(part)
        if not match:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        if match["key"] not in fields:
            raise SelectorError(f"field label not supported: {match['key']}")
        value = re.sub(r"\\(.)", r"\1", match["value"])
        terms.append((fields[match["key"]], match["operator"] != "!=", value))
    return lambda obj: all((read(obj) == value) is wanted for read, wanted, value in terms)


def _field(*path: str) -> Callable[[ApiObject], str]:
    def read(obj: ApiObject) -> str:
        value: Any = obj
        for step in path:
            value = value.get(step) or {} if isinstance(value, Mapping) else {}
        return value if isinstance(value, str) else ""

    return read


def _event_source(event: ApiObject) -> str:
    # the server fills an empty source from the newer field: registry/core/event/strategy.go
    return _field("source", "component")(event) or _field("reportingComponent")(event)


_METADATA = {"metadata.name": _field("metadata", "name"), "metadata.namespace": _field("metadata", "namespace")}
_FIELDS: Mapping[str, Mapping[str, Callable[[ApiObject], str]]] = {
    "namespaces": {
        "metadata.name": _METADATA["metadata.name"],
        "name": _METADATA["metadata.name"],
        "status.phase": _field("status", "phase"),
    },
    "pods": {
        **_METADATA,
        "spec.nodeName": _field("spec", "nodeName"),
        "spec.restartPolicy": _field("spec", "restartPolicy"),
        "spec.schedulerName": _field("spec", "schedulerName"),
        "spec.serviceAccountName": _field("spec", "serviceAccountName"),
        "status.phase": _field("status", "phase"),
        "status.podIP": _field("status", "podIP"),
        "status.nominatedNodeName": _field("status", "nominatedNodeName"),
    },
    "events": {
        **_METADATA,
        **{
            f"involvedObject.{name}": _field("involvedObject", name)
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
        "reason": _field("reason"),
        "type": _field("type"),
        "source": _event_source,
        "reportingComponent": _field("reportingComponent"),
    },
}
