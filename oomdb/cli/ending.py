"""How a command ends: what its last line is, and SIGTERM as another way to stop it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

LastLine = Callable[[int], str]

_LAST_LINE = "oomdb.last_line"  # our key in click's dictionary that all contexts of one invocation share


class Terminated(KeyboardInterrupt):
    """SIGTERM: systemd, Jenkins or Kubernetes wants the process to end; it ends as it does on Ctrl-C."""


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Raise Terminated where SIGTERM comes, so that what is under way is closed in order: runs, and plug-ins."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with(line: LastLine) -> None:
    """Let the last line on stderr be what `line` makes of the exit code, however the command ends, errors included."""
    click.get_current_context().meta[_LAST_LINE] = line


def find_last_line(ctx: click.Context | None) -> LastLine | None:
    """Return what `end_with` was given, if it was."""
    return ctx.meta.get(_LAST_LINE) if ctx else None
