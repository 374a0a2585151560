"""The types of options: texts become spans, instants, zones, paths, runs, names; or a message that says the format."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from oomdb.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta, tzinfo
    from pathlib import Path

    _AnyParamType = click.ParamType[Any]  # generic for the type checker only: click 8.1 cannot be subscripted
else:
    _AnyParamType = click.ParamType

_NOW = "oomdb.now"  # our key in click's dictionary that all contexts of one invocation share


def moment_of(ctx: click.Context) -> datetime:
    """Return the moment at which the command began: `obj` of the outermost context, else the clock, read once."""
    given = ctx.find_root().obj
    moment: datetime = ctx.meta.setdefault(_NOW, given if isinstance(given, datetime) else datetime.now(UTC))
    return moment


def split_names(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts of all texts, which commas part.

    Raises:
        UsageError: texts were given, but there is nothing in them.
    """
    parts = tuple(part for text in texts for part in (piece.strip() for piece in text.split(",")) if part)
    if texts and not parts:
        raise UsageError(f"{option} names nothing; leave it out to take everything.")  # an unset variable, perhaps
    return parts


def split_whole_names(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the names of namespaces to be asked for one by one, of which no pattern can be made.

    Raises:
        UsageError: texts were given, but there is nothing in them, or a pattern.
    """
    names = split_names(option, texts)
    for name in names:
        if any(char in name for char in "*?["):
            raise UsageError(
                f"{option} {name!r} is a pattern: name each namespace whole, or let `oomdb collect --include-ns RE` "
                "choose among all."
            )
    return names


class SpanType(_AnyParamType):
    """A span of time as people type it: `7d`; becomes a timedelta."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "timedelta":
        """Return the span."""
        from datetime import timedelta

        from oomdb.timespan import parse_span

        if isinstance(value, timedelta):
            return value
        try:
            return parse_span(value)
        except UsageError as err:
            self.fail(str(err), param, ctx)


class InstantOrSpanType(_AnyParamType):
    """An instant, or a span counted back from the moment the command began; becomes a UTC datetime."""

    name = "instant|span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant."""
        from oomdb.timespan import parse_instant

        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(value, now=moment_of(ctx or click.get_current_context()))
        except UsageError as err:
            self.fail(str(err), param, ctx)


class ZoneType(_AnyParamType):
    """A time zone by its IANA name; becomes a ZoneInfo."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "tzinfo":
        """Return the zone."""
        from datetime import tzinfo
        from zoneinfo import ZoneInfo, available_timezones

        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # not there; a path out of the folder; a folder such as Europe
            from difflib import get_close_matches

            near = get_close_matches(value, available_timezones(), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "use an IANA name such as Europe/Prague or UTC."
            self.fail(f"{value!r} is not a time zone; {hint}", param, ctx)


class PathType(_AnyParamType):
    """A path, in which `~` is the home folder also where no shell replaced it; becomes a Path."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Path":
        """Return the path."""
        from pathlib import Path

        if not str(value) or "\0" in str(value):
            self.fail("a path cannot be empty or hold a NUL character.", param, ctx)
        try:
            return Path(value).expanduser()
        except RuntimeError:
            self.fail(f"{value!r}: there is no such user; write the path without ~.", param, ctx)


class RunType(_AnyParamType):
    """A run's number, or `latest`."""

    name = "id|latest"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Literal["latest"] | int:
        """Return the run."""
        if isinstance(value, int):
            return value
        if value == "latest":
            return "latest"
        if not re.fullmatch("[0-9]{1,18}", value):
            self.fail(f"{value!r} is neither a run's number nor 'latest'; `oomdb runs` lists them.", param, ctx)
        return int(value)


SPAN = SpanType()
INSTANT_OR_SPAN = InstantOrSpanType()
ZONE = ZoneType()
PATH = PathType()
RUN = RunType()
