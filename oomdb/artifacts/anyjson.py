"""Reading JSON of which nothing is certain: any value may stand anywhere, and nothing here raises."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an object as it is, and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> Sequence[Any]:
    """Return an array as it is, and anything else as an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


def as_text(value: object, default: str = "") -> str:
    """Return a string as it is, null as `default`, and anything else as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return default
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, ValueError):
        return "<nested too deeply>"


def as_instant(value: object) -> datetime | None:
    """Return the UTC instant of an RFC 3339 text, None for anything else; no zone means UTC."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
