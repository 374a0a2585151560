"""A pod's manifest as YAML, for the end of a description."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from oomdb.artifacts.anyjson import as_mapping
from oomdb.artifacts.layout import UNSEEN_BEYOND_ASCII

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def render_manifest(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as YAML that loads again as the same values, less `managedFields` and the last-applied one.

    Keys keep their order; control and direction characters are escaped; a half of a surrogate pair, which no file
    can hold, becomes its escape in plain characters. What YAML cannot write (nested too deeply) is said instead.
    """
    slim = _slim(manifest)
    try:
        try:
            text = _dump(slim)
        except UnicodeEncodeError:
            text = _dump(_without_surrogates(slim))
    except (RecursionError, ValueError, yaml.YAMLError) as err:
        return f"# The manifest cannot be written as YAML: {type(err).__name__}.\n"
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _slim(manifest: Mapping[str, Any]) -> dict[str, Any]:
    slim = {"apiVersion": "v1", "kind": "Pod", **manifest}  # members of a list carry neither
    metadata = as_mapping(slim.get("metadata"))
    if metadata:
        kept = {key: value for key, value in metadata.items() if key != "managedFields"}
        annotations = as_mapping(kept.get("annotations"))
        if LAST_APPLIED in annotations:
            kept["annotations"] = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
        slim["metadata"] = kept
    return slim


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return [_without_surrogates(each) for each in value] if isinstance(value, list) else value


def _dump(value: dict[str, Any]) -> str:
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_ENDLESS)
    )


_ENDLESS = 2**31 - 1  # lines are not folded: a folded message is hard to search for
_UNSEEN = re.compile(f"[{UNSEEN_BEYOND_ASCII}]")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # libyaml may be missing
    """Writes scripts as blocks, and a text with unseen characters in double quotes, where they can be escaped."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the base class asks it of each value
        return True


def _represent_text(dumper: Any, text: str) -> yaml.Node:
    style = None
    if not text.isprintable():
        style = '"' if _UNSEEN.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # type: ignore[no-any-return]


_Dumper.add_representer(str, _represent_text)
