"""The export files: rendered, written aside, noted, and put in the place of older ones, which keep another name."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Literal

from oomdb.errors import OomdbError
from oomdb.reports.backups import (
    STEM,
    back_up,
    describe_past_report,
    find_backup_name,
    modified_at,
    order_past_reports,
)
from oomdb.reports.content import ReportContent, build_content
from oomdb.reports.csv_export import render_csv
from oomdb.reports.html_export import find_generated_at, render_html
from oomdb.reports.json_export import render_json
from oomdb.reports.pdf_export import render_pdf
from oomdb.reports.table_export import render_table
from oomdb.reports.wishes import DEFAULT_WISHES, ReportWishes
from oomdb.store.database import Store
from oomdb.store.files import note_exports

Render = Callable[[ReportContent], bytes]


def _print_page(content: ReportContent) -> bytes:
    return render_pdf(render_html(content), made_at=content.generated_at, browser=content.wishes.browser)


FORMATS: Mapping[str, Render] = {
    "html": render_html,
    "csv": render_csv,
    "json": render_json,
    "table": render_table,
    "pdf": _print_page,
}
DEFAULT_FORMATS = tuple(name for name in FORMATS if name != "pdf")  # which needs a browser, and seconds
FILE_MODE = 0o640


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What became of the files: written, left alone because they would not change, and the old ones' new names."""

    content: ReportContent
    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    backed_up: tuple[Path, ...]


def write_exports(
    store: Store,
    wanted: Literal["latest"] | int,
    *,
    output_dir: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    wishes: ReportWishes = DEFAULT_WISHES,
    backup: bool = True,
    zone: tzinfo | None = None,
    generated_at: datetime | None = None,
    file_mode: int = FILE_MODE,
    write_bytes: Callable[[Path, bytes], object] = Path.write_bytes,
    link: Callable[[Path, Path], None] = os.link,
) -> ExportResult:
    """Write `oom_results.<format>` of a run, all from one content, and note them in the database.

    A file that is there is kept under another name, by the time of its last change in `zone` (None: the system's);
    one that would not change is left alone (the time at which the page was made does not count). All files are written
    aside and noted before the first one is replaced: a full disk or a locked database leaves every old one as it was.
    `write_bytes` and `link` are the system's, and parameters for file systems that differ.

    Raises:
        UsageError: if there is no such run, or it could read no cluster.
        OomdbError: if a file cannot be written; those that were there are whole.
        StoreError: if the database cannot be read or written.
    """
    content = build_content(store, wanted, output_dir=output_dir, wishes=wishes, zone=zone, generated_at=generated_at)
    backed_up: list[Path] = []
    try:
        output_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        page = output_dir / f"{STEM}.html"
        if "html" in formats and page.is_file():
            content = _carry_on(content, page, backup=backup)
        rendered = {output_dir / f"{STEM}.{name}": FORMATS[name](content) for name in formats}
        changed = [path for path, data in rendered.items() if not _holds(path, data)]
        with tempfile.TemporaryDirectory(prefix=f".{STEM}-", dir=output_dir) as folder:
            aside = {path: Path(folder) / path.name for path in changed}
            for path in changed:
                write_bytes(aside[path], rendered[path])
                aside[path].chmod(file_mode)
            _note(store, content, rendered, aside)
            for path in changed:
                if backup and path.exists():
                    backed_up.append(back_up(path, zone, link))
                aside[path].replace(path)
    except OSError as err:
        advice = "free some space" if err.errno in _FULL else "check that folder, or name another one with --output"
        raise OomdbError(
            f"The exports cannot be written to '{output_dir}': {err.strerror or err}; {advice}. "
            "The files that were there are whole."
        ) from err
    return ExportResult(
        content=content,
        written=tuple(changed),
        unchanged=tuple(path for path in rendered if path not in changed),
        backed_up=tuple(backed_up),
    )


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _carry_on(content: ReportContent, page: Path, *, backup: bool) -> ReportContent:
    """Return the content as it is after the page that is there: of the same time if it says the same, else the past."""
    data = page.read_bytes()
    generated_at = find_generated_at(data)
    if generated_at is not None:
        same = replace(content, generated_at=generated_at)
        if render_html(same) == data:
            return same
    if not backup:
        return content
    past = describe_past_report(find_backup_name(page, content.zone).name)
    return replace(content, past_reports=order_past_reports([*content.past_reports, past]))


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether a file is there and says just this."""
    if not os.path.lexists(path):
        return False
    if not path.is_file():  # a pipe would keep us waiting, a folder would be renamed with all that is in it
        raise OomdbError(f"{path}: cannot be written: it is no ordinary file; move it away.")
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _note(store: Store, content: ReportContent, rendered: Mapping[Path, bytes], aside: Mapping[Path, Path]) -> None:
    """Note what the run's exports are, also those that stay: another database may have written them."""
    files = [
        (
            # a folder's name need not be UTF-8
            str(path.absolute()).encode("utf-8", "backslashreplace").decode(),
            hashlib.sha256(data).hexdigest(),
            modified_at(aside.get(path, path)),
            len(content.rows),
        )
        for path, data in rendered.items()
    ]
    note_exports(store, content.run.id, files, run_at=content.run.started_at)
