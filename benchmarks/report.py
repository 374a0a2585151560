"""What a report costs, against reading the CSV of every run again as the script did that oomdb replaces; and its size.

Ours is told twice: page and summary made from the two-year history, and whole processes, of which most is start-up. The
legacy way is its passes over the files alone, without start-up and drawing: `legacy_report` lists them.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

from sqlalchemy import Connection

from benchmarks.bounds import Measured, report
from benchmarks.history import DAYS, LAST_RUN, Fleet, iter_history, record_run, stored_history
from benchmarks.legacy_report import PASSES
from benchmarks.process import run_module
from oomdb.queries.exports import ExportRow, list_export_rows
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.queries.series import RunPoint, read_series
from oomdb.reports.backups import STEM, backup_name
from oomdb.reports.content import ReportContent, ReportRow, build_content
from oomdb.reports.csv_export import render_csv
from oomdb.reports.html_export import render_html
from oomdb.reports.summary import render_run_summary
from oomdb.reports.wishes import ReportWishes
from oomdb.store.database import Store, open_for_reading, open_for_writing

PLOT_RANGE = "2M"
WISHES = ReportWishes(plot_range=timedelta(days=60))
ROUNDS = 7
# CSV runs → how many times less CPU it must take to make page and summary, and for whole processes
TIMES_LESS = {500: (50, 5), 5_000: (400, 50)}
LARGEST_PAGE_MB = 3
BUSY_DAYS, CALM_FLEET, BUSY_FLEET = 3, Fleet(clusters=20), Fleet(clusters=20, kills_per_day=1_800)


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as name:
        folder = Path(name)
        database = folder / "history.sqlite"
        database.write_bytes(stored_history().read_bytes())
        failed |= _compare(database, folder)
        print()
        failed |= _measure_page(folder)
    return failed


# --- against the legacy way -------------------------------------------------------------------------------------------


def _compare(database: Path, folder: Path) -> int:
    with open_for_reading(str(database)) as store:
        csv_folders = _write_csvs(store, folder)
        made_seconds = _median_cpu_seconds(lambda: _make_page_and_summary(store, folder))
    page_seconds = _process_seconds(
        "report", "--format", "html", "--plot-range", PLOT_RANGE, "--no-backup", database=database
    )
    summary_seconds = _process_seconds("summary", database=database)
    failed = report(
        f"a report from {DAYS} days of history, CPU",
        [
            Measured("page and summary, read and rendered", made_seconds, unit=" s"),
            Measured(f"oomdb report --format html --plot-range {PLOT_RANGE}", page_seconds, unit=" s"),
            Measured("oomdb summary", summary_seconds, unit=" s"),
        ],
    )
    for runs, csvs in csv_folders.items():
        print()
        start_seconds = run_module("benchmarks.legacy_report", str(csvs)).cpu_seconds
        passes = {
            name: run_module("benchmarks.legacy_report", str(csvs), name).cpu_seconds - start_seconds for name in PASSES
        }
        legacy_seconds = sum(passes.values())
        for_making, for_processes = TIMES_LESS[runs]
        measured = [Measured(f"legacy: {name}", seconds, unit=" s") for name, seconds in passes.items()]
        measured += [
            Measured(
                "page and summary / legacy",
                made_seconds / legacy_seconds * 100,
                100 / for_making,
                " %",
            ),
            Measured(
                "report and summary, whole processes / legacy",
                (page_seconds + summary_seconds) / legacy_seconds * 100,
                100 / for_processes,
                " %",
            ),
            Measured(
                "report alone, whole process / legacy: both passes for charts",
                page_seconds / (legacy_seconds - passes["summary"]) * 100,
                unit=" %",
            ),
        ]
        failed |= report(f"against {runs:,} CSV runs, CPU", measured)
    return failed


def _make_page_and_summary(store: Store, folder: Path) -> None:
    """Read and render the page, and the summary by pod."""
    render_html(build_content(store, "latest", output_dir=folder, wishes=WISHES))
    with store.reading() as conn:
        instances = list_instances_of_run(conn, find_run(conn, "latest"))
    render_run_summary(instances, zone=UTC)


def _write_csvs(store: Store, folder: Path) -> dict[int, Path]:
    """Write our CSVs of the newest runs under the names that the legacy script gave them, a folder for each number."""
    folders = {runs: folder / f"{runs}-runs" for runs in TIMES_LESS}
    for each in folders.values():
        each.mkdir()
    template = build_content(store, "latest", output_dir=folder)
    with store.reading() as conn:
        points = read_series(conn, template.run, timedelta(days=DAYS)).points[-max(TIMES_LESS) :]
        for age, point in enumerate(reversed(points)):
            csv = render_csv(_content_of(conn, point, template))
            name = backup_name(Path(f"{STEM}.csv"), point.started_at, UTC) if age else f"{STEM}.csv"
            for path in (it / name for runs, it in folders.items() if age < runs):
                path.write_bytes(csv)
                os.utime(path, (point.started_at.timestamp(),) * 2)
    return folders


def _content_of(conn: Connection, point: RunPoint, template: ReportContent) -> ReportContent:
    run = find_run(conn, point.run_id)
    return replace(template, run=run, rows=tuple(_iter_rows(list_export_rows(conn, run), template.folder)))


def _iter_rows(rows: Sequence[ExportRow], folder: Path) -> Iterator[ReportRow]:
    for row in rows:
        yield ReportRow(
            cluster=row.cluster,
            namespace=row.namespace,
            pod=row.pod,
            type=row.type,
            application=row.application,
            component=row.component,
            timestamps=row.timestamps,
            sources=row.sources,
            description_file=f"{folder}/{row.description}",
            pod_log_file=f"{folder}/{row.log}",
        )


# --- the page ---------------------------------------------------------------------------------------------------------


def _measure_page(folder: Path) -> int:
    """Measure a page of two months, eight runs a day, twenty clusters and as many rows as a page shows."""
    database, output = folder / "large.sqlite", folder / "large"
    output.mkdir()
    with open_for_writing(str(database)) as store:
        _write_large_history(store)
        content = _with_artifacts(store, output)
    command = ("report", "--format", "html", "--plot-range", PLOT_RANGE, "--no-backup")
    process_seconds = _process_seconds(*command, database=database, output=output)
    page = (output / f"{STEM}.html").read_bytes()
    measured = [
        Measured("runs", len(content.series.points)),
        Measured("clusters", len(content.clusters)),
        Measured("rows", len(content.rows)),
        Measured("rows on the page", min(len(content.rows), content.wishes.top)),
        Measured("size", len(page) / 1e6, LARGEST_PAGE_MB, " MB"),
        Measured("CPU to render it", _median_cpu_seconds(lambda: render_html(content)), unit=" s"),
        Measured("CPU of the whole process", process_seconds, unit=" s"),
    ]
    return report("a page of two months", measured)


def _write_large_history(store: Store) -> None:
    """Record two months, of which the last days have as much trouble as a page can show."""
    calm_until = LAST_RUN - timedelta(days=BUSY_DAYS)
    for run in iter_history(WISHES.plot_range.days + 1, CALM_FLEET):
        if run.at <= calm_until:
            record_run(store, run)
    for run in iter_history(BUSY_DAYS, BUSY_FLEET):
        record_run(store, run)


def _with_artifacts(store: Store, output: Path) -> ReportContent:
    """Return the content of the latest run, after making the files to which it links."""
    for row in build_content(store, "latest", output_dir=output).rows:
        for path in map(Path, filter(None, (row.description_file, row.pod_log_file))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return build_content(store, "latest", output_dir=output, wishes=WISHES)


# --- CPU --------------------------------------------------------------------------------------------------------------


def _median_cpu_seconds(work: Callable[[], object]) -> float:
    used = []
    work()  # builds statements and templates once
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        used.append(time.process_time() - began)
    return statistics.median(used)


def _process_seconds(*arguments: str, database: Path, output: Path | None = None) -> float:
    """Return the median CPU of a command of ours that finds no report of before in the folder."""
    used = []
    for _ in range(ROUNDS):
        folder = output or database.parent
        (folder / f"{STEM}.html").unlink(missing_ok=True)
        cost = run_module("oomdb", *arguments, "--db", str(database), "--output", str(folder))
        used.append(cost.cpu_seconds)
    return statistics.median(used)


if __name__ == "__main__":
    sys.exit(main())
