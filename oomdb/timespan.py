"""Time spans as people type them (`30s 15m 6h 1d 7d 1M`) and instants as they write and read them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from oomdb.errors import UsageError

SPAN_FORMAT = "use a number and a unit: 30s, 15m (minutes), 6h, 1d, 7d, 1M (months of 30 days)"
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "M": timedelta(days=30),
}
_LONGEST = timedelta(days=36525)
_SPAN = re.compile(r"([0-9]{1,6})([smhdM])")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The instants from `since` to `until`, both included and UTC; None is an open end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Tell whether an instant lies in the range."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)


def parse_span(text: str) -> timedelta:
    """Return the length of a span such as `7d`.

    Raises:
        UsageError: for anything else than digits and one of the units s, m, h, d, M, for nothing, or for zero.
    """
    match = _SPAN.fullmatch(text.strip())
    if not match:
        raise UsageError(f"'{text}' is not a time span; {SPAN_FORMAT}.")
    span = int(match[1]) * _UNITS[match[2]]
    if span > _LONGEST:
        raise UsageError(f"'{text}' is longer than a hundred years; {SPAN_FORMAT}.")
    if not span:
        raise UsageError(f"'{text}' is an empty time span; {SPAN_FORMAT}.")
    return span


def format_span(span: timedelta) -> str:
    """Return a span as people type it, in the largest unit that leaves nothing over: `2M`, `7d`, `36h`."""
    unit = next(name for name, length in reversed(_UNITS.items()) if not span % length)
    return f"{span // _UNITS[unit]}{unit}"


def parse_instant(text: str, *, now: datetime) -> datetime:
    """Return the UTC instant of an ISO 8601 text, or of a span counted back from `now`.

    A date or time without a zone is UTC, as the machine formats print it.

    Raises:
        UsageError: for anything else.
    """
    if _SPAN.fullmatch(text.strip()):
        return now - parse_span(text)
    try:
        instant = datetime.fromisoformat(text.strip())
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as err:
        raise UsageError(
            f"'{text}' is neither an instant (2026-01-15, 2026-01-15T15:00:00Z) nor a time span; {SPAN_FORMAT}."
        ) from err


def format_instant(at: datetime) -> str:
    """Return an instant for machines: UTC, whole seconds, `2026-01-15T15:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_for_people(at: datetime, zone: tzinfo | None) -> str:
    """Return an instant in a zone (None: the system's), with the zone's name: `2026-01-15 10:00:00 EST`."""
    try:
        return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    except OverflowError:  # at the ends of the calendar a zone leads out of it
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S %Z")


def to_whole_seconds(at: datetime) -> datetime:
    """Return the instant as it is stored: UTC, fractions cut off.

    Raises:
        ValueError: for an instant without a zone, which would be a guess.
    """
    if at.tzinfo is None:
        raise ValueError(f"instant without a zone: {at!r}")
    utc = at.astimezone(UTC)
    return utc.replace(microsecond=0) if utc.microsecond else utc
