"""The HTML report: one file, complete without script and style, that loads nothing and opens anywhere."""

import base64
import functools
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.reports.backups import format_day
from oomdb.reports.charts import Chart, build_charts
from oomdb.reports.content import ReportContent
from oomdb.reports.drawing import Drawing, Look, draw, look_of
from oomdb.reports.news import tell_news
from oomdb.reports.page import build_detail, list_figures, list_trend, summarize
from oomdb.table import escape_controls
from oomdb.timespan import format_for_people, format_instant, format_span
from oomdb.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "OOM / CrashLoopBackOff Report"
_TEMPLATES = Path(__file__).parent / "templates"
_GENERATED_AT = re.compile(rb'<meta name="generated-at" content="([0-9TZ:+-]{1,40})">')
_MOST_TIMESTAMPS, _MOST_FOLDED = 4, 16  # of a row that are shown at once, and that fold
_MOST_PAST_REPORTS = 500
_SHORT_NAMES = {OOM_KILLED: "OOM", CRASH_LOOP_BACK_OFF: "CrashLoopBackOffs"}  # as the legacy charts were headed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A chart with its heading and its drawing."""

    heading: str
    chart: Chart
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What a type's lines look like."""

    type: str
    look: Look


def render_html(content: ReportContent) -> bytes:
    """Return the page in UTF-8; every value in it is escaped, and its own policy lets nothing be loaded or run."""
    style, script = _read_style(content.wishes.theme.css), _read("report.js")
    charts = build_charts(content.series, zone=content.zone)
    types = charts.types
    shown = content.rows[: content.wishes.top]
    text = (
        _environment()
        .get_template("report.html")
        .render(
            title=TITLE,
            version=__version__,
            content=content,
            style=style,
            script=script,
            policy=_policy(style, script),
            generated_at=format_instant(content.generated_at),
            plot_range=format_span(content.wishes.plot_range),
            news=tell_news(content),
            figures=list_figures(content, types),
            charts=charts,
            overall=[
                _Figure(
                    heading=f"{_SHORT_NAMES.get(type_, type_)} – all clusters", chart=chart, drawing=draw(chart, types)
                )
                for type_, chart in zip(types, charts.overall, strict=True)
            ],
            by_cluster=[
                _Figure(
                    heading=f"OOM & CrashLoopBackOffs - Historical trend (cluster: {chart.name})",
                    chart=chart,
                    drawing=draw(chart, types),
                )
                for chart in charts.clusters
            ],
            keys=[_Key(type=type_, look=look_of(type_, types)) for type_ in types],
            trend=list_trend(charts),
            summary=summarize(content, types),
            details=[build_detail(row, content, types) for row in shown],
            left_out=len(content.rows) - len(shown),
            most_timestamps=_MOST_TIMESTAMPS,
            most_folded=_MOST_FOLDED,
            past_reports=content.past_reports[:_MOST_PAST_REPORTS],
            past_left_out=max(len(content.past_reports) - _MOST_PAST_REPORTS, 0),
            when=functools.partial(format_for_people, zone=content.zone),
            day=format_day,
            quote=lambda name: quote(os.fsencode(name)),  # names need not be UTF-8
        )
    )
    return text.encode("utf-8", "replace")


def find_generated_at(page: bytes) -> datetime | None:
    """Return when a page was made, None where it does not tell."""
    found = _GENERATED_AT.search(page[:2048])
    try:
        return datetime.fromisoformat(found[1].decode()) if found else None
    except ValueError:
        return None


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a tenth of a second, for pages alone

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_make_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _make_plain(value: object) -> object:
    """Return a text with everything as escapes that could reorder or hide what is beside it; before it is escaped."""
    return escape_controls(value) if type(value) is str else value


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def _read_style(own: str) -> str:
    """Return our style and, after it, the team's; neither can end the element that holds it."""
    return f"{_read('report.css')}\n{own}".strip().replace("</", "<\\/")


def _policy(style: str, script: str) -> str:
    """Return the page's own content-security policy: this style and this script, by their hashes, and nothing else."""
    by_hash = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (style, script))
    style_hash, script_hash = (base64.b64encode(digest).decode() for digest in by_hash)
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )
