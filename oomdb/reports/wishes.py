"""What people may choose of a report: how far its charts reach back, how long its table is, its heading, its look."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from oomdb.errors import UsageError

ThemeName = Literal["auto", "light", "dark"]

DEFAULT_PLOT_RANGE = timedelta(days=60)
DEFAULT_TOP = 2000  # rows of which a page stays below 3 MB, with charts of twenty clusters
DEFAULT_TEAM_TITLE = "Performance and Scale Engineering"
LARGEST_STYLESHEET_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The look of the page: light, dark, or as the reader's system is; a team's own CSS comes after ours."""

    name: ThemeName = "auto"
    css: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWishes:
    """What is wished of a report; `top` bounds the rows of the page, `browser` prints it (None: one that is found)."""

    plot_range: timedelta = DEFAULT_PLOT_RANGE
    top: int = DEFAULT_TOP
    team_title: str = DEFAULT_TEAM_TITLE
    theme: Theme = Theme()
    browser: str | None = None


DEFAULT_WISHES = ReportWishes()


def load_theme(text: str) -> Theme:
    """Return the theme that is called so, or the one of a CSS file.

    Raises:
        UsageError: if it is neither, or the file cannot be read.
    """
    if text in ("auto", "light", "dark"):
        return Theme(name=text)  # type: ignore[arg-type]  # one of the three
    path = Path(text)
    if path.suffix.lower() != ".css":
        raise UsageError(f"'{text}' is no theme; use light, dark, auto, or a file that ends in .css.")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_STYLESHEET_BYTES + 1)
        css = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise UsageError(f"The theme '{text}' cannot be read: {reason}; use light, dark, auto, or a CSS file.") from err
    if len(data) > LARGEST_STYLESHEET_BYTES:
        raise UsageError(f"The theme '{text}' is larger than 1 MiB, and every report would hold it: make it smaller.")
    return Theme(css=css)
