"""The options of everything that writes the report: how far its charts reach, how long its table is, its look."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from oomdb.cli.options import Option, with_options
from oomdb.cli.types import SPAN
from oomdb.reports.wishes import DEFAULT_TEAM_TITLE, DEFAULT_TOP, ReportWishes, load_theme

_Function = TypeVar("_Function", bound=Callable[..., Any])


def report_options(function: _Function) -> _Function:
    """Add the options, and hand the command a `ReportWishes` as `wishes`."""

    @functools.wraps(function)
    def wrapper(*args: Any, theme: str, **kwargs: Any) -> Any:
        chosen = {name: kwargs.pop(name) for name in ("plot_range", "top", "team_title", "browser")}
        return function(*args, wishes=ReportWishes(theme=load_theme(theme), **chosen), **kwargs)

    decorated: _Function = with_options(wrapper, declare_report_options())
    return decorated


def declare_report_options() -> list[Option]:
    """Return the options, each time anew."""
    return [
        Option(["--plot-range"], metavar="SPAN", type=SPAN, default="2M", help="How far back the charts reach."),
        Option(
            ["--top"],
            metavar="N",
            type=click.IntRange(1),
            default=DEFAULT_TOP,
            help="At most N rows in the page's table of findings.",
        ),
        Option(
            ["--theme"],
            metavar="NAME|FILE.css",
            default="auto",
            help="Look of the page: light, dark, auto (as the reader's system is), or a style sheet that is added.",
        ),
        Option(["--team-title"], metavar="TEXT", default=DEFAULT_TEAM_TITLE, help="Heading of the page."),
        Option(
            ["--browser"], metavar="PATH", default=None, help="What prints the PDF.  [default: Chromium, Chrome, Edge]"
        ),
    ]
