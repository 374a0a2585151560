"""`oomdb ingest`: what somebody saved of a cluster becomes a run, without the cluster."""

import shlex
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomdb.cli.collect_output import render_coverage, render_findings
from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.options import command, option, pass_app
from oomdb.cli.output import note, write
from oomdb.cli.tarball_output import offer_tarballs_folder
from oomdb.cli.types import INSTANT_OR_SPAN
from oomdb.detectors.registry import load_detectors
from oomdb.errors import ImportFileError, UsageError
from oomdb.importers.foreign_files import read_file
from oomdb.importers.manifests.capture import BROKEN, UNREADABLE, Capture, read_capture_file
from oomdb.importers.manifests.ingest import CaptureTime, IngestRequest, date_capture, ingest
from oomdb.importers.manifests.must_gather import read_must_gather
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.other_clusters import count_pods_of_other_clusters
from oomdb.queries.selection import find_run
from oomdb.reports.summary import render_run_summary
from oomdb.settings import is_cluster_name, mask_password
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import close_abandoned_runs, process_is_alive
from oomdb.timespan import format_for_people, parse_span

if TYPE_CHECKING:
    from oomdb.cli.options import App

_STDIN = "-"


@command(
    "ingest",
    short_help="Store what `oc get` or a must-gather saved.",
    examples=(
        ("A cluster that oomdb cannot reach", "oc get pods,events -A -o json | oomdb ingest - --cluster prod-b"),
        ("A must-gather, with its logs", "oomdb ingest must-gather.local.4711 --cluster prod-b"),
        ("A file of a known moment", "oomdb ingest pods.json --cluster prod-b --at 2026-01-15T15:00:00Z"),
    ),
)
@click.argument("source", metavar="FILE|FOLDER|-")
@option("--cluster", required=True, metavar="NAME", help="Whose pods they are, as its runs name it.")
@option(
    "--at",
    metavar="WHEN",
    type=INSTANT_OR_SPAN,
    help="When they were saved.  [default: a must-gather's timestamp, else the newest time in them]",
)
@option("--time-range", default="1d", metavar="SPAN", help="How far back to look from then: 6h, 1d, 7d, 1M.")
@option("--no-artifacts", is_flag=True, help="Save no descriptions and logs.")
@option("--log-limit-bytes", type=click.IntRange(1), default=10 * 2**20, help="At most so many bytes of each log.")
@pass_app
def ingest_command(
    *,
    app: "App",
    source: str,
    cluster: str,
    at: datetime | None,
    time_range: str,
    no_artifacts: bool,
    log_limit_bytes: int,
) -> int:
    """Look at saved pods and events as a collect looks at a cluster's, and store what they show as one run.

    FILE is JSON or YAML: `oc get pods,events -A`, or a list of pods or of events alone. FOLDER is what `oc adm
    must-gather` or `oc adm inspect` made; logs of pods with a finding are saved from it. What was not saved counts as
    not looked at. The run is of this cluster alone: `oomdb report` shows it with --run. The same again changes nothing.
    """
    if not is_cluster_name(cluster):
        raise UsageError(f"--cluster: {cluster!r} cannot name a cluster, whose files lie in a folder of it.")
    if at is not None and at > app.now:
        raise UsageError(f"--at {format_for_people(at, app.zone)} is yet to come; say when they were saved.")
    request = IngestRequest(
        cluster=cluster,
        time_range=time_range.strip(),
        lookback=_parse_time_range(time_range),
        detectors=load_detectors(),
        arguments=shlex.join(mask_password(argument) for argument in ["oomdb", *sys.argv[1:]]),
        artifacts=None if no_artifacts else app.artifacts_in(app.output_folder),
        log_limit_bytes=log_limit_bytes,
    )
    capture = _read(source, app.now)
    time = date_capture(capture, told=at, now=app.now)
    note(f"{cluster}: as it was at {format_for_people(time.at, app.zone)}, by {time.evidence}", app)
    with stopping_on_sigterm(), open_for_writing(app.database, file_mode=app.settings.database_file_mode) as store:
        for warning in store.warnings:
            note(f"warning: {warning}", app)
        for run_id in close_abandoned_runs(store, now=app.now, is_alive=process_is_alive):
            note(f"run {run_id} was cut short: its process is gone; closed", app)
        code = _ingest(app, store, capture, request, time)
    offer_tarballs_folder(app)
    return code


def _ingest(app: "App", store: Store, capture: Capture, request: IngestRequest, time: CaptureTime) -> int:
    result = ingest(store, capture, request, at=time.at, now=app.now)
    if result.scan is None:
        note(f"run {result.run_id} holds this already; nothing was changed", app)
        return 0
    if app.verbosity != "quiet":
        write(render_coverage([result.scan], app))
        write(render_findings([result.scan], app, run_id=result.run_id))
        with store.reading() as conn:
            instances = list_instances_of_run(conn, find_run(conn, result.run_id))
        write(render_run_summary(instances, zone=app.zone))
    with store.reading() as conn:
        elsewhere = count_pods_of_other_clusters(conn, request.cluster, result.scan.findings)
    for cluster, pods in elsewhere.items():
        note(
            f"warning: {pods} of these pods are known as those of cluster {cluster}: nothing new is counted for them; "
            f"if that is the same cluster, take --cluster {cluster}",
            app,
        )
    found = f"{len(result.scan.findings)} findings, {result.new_occurrences} new occurrences"
    note(f"run {result.run_id}: {found}; `oomdb report --run {result.run_id}` shows it", app)
    broken = [gap.message for gap in result.scan.gaps if gap.status in (BROKEN, UNREADABLE)]
    for told in broken:
        note(f"not read whole: {told}", app, is_error=True)
    return 1 if broken else 0


def _read(source: str, now: datetime) -> Capture:
    if source == _STDIN:
        return read_capture_file(sys.stdin.buffer.read(), path="standard input", modified_at=now)
    path = Path(source).expanduser()
    if path.is_dir():
        return read_must_gather(path, now=now)
    try:
        content = read_file(path.resolve())  # a symlink that is named here is meant
    except ImportFileError as err:
        raise ImportFileError(f"'{path}' {err}") from err
    return read_capture_file(content.data, path=str(path), modified_at=content.modified_at)


def _parse_time_range(text: str) -> timedelta:
    try:
        return parse_span(text)
    except UsageError as err:
        raise UsageError(f"--time-range: {err}") from err
