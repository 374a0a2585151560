"""`oomdb collect`: scan the clusters, write one run, show what was found."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomdb.cli.clusters import select_targets
from oomdb.cli.collect_output import Tally, list_advice, render_coverage, render_findings
from oomdb.cli.ending import end_with, stopping_on_sigterm
from oomdb.cli.export_output import show_export_result
from oomdb.cli.options import DATABASE_NAME, command, option, pass_app
from oomdb.cli.output import note, write
from oomdb.cli.owner_options import owner_options
from oomdb.cli.owner_output import learn_owners
from oomdb.cli.progress import CollectProgress
from oomdb.cli.report_options import report_options
from oomdb.cli.tarball_output import make_tarballs_of_run, offer_tarballs_folder
from oomdb.cli.types import split_names, split_whole_names
from oomdb.collect.capture import CaptureRequest
from oomdb.collect.lookback import AUTO, LONGEST, plan_lookbacks
from oomdb.collect.namespaces import NamespaceRules, parse_ephemeral_rules, parse_name_filters
from oomdb.collect.run import CollectRequest, CollectResult, collect, list_namespaces
from oomdb.collect.scan import ScanRequest
from oomdb.collect.scope import Scope
from oomdb.detectors.registry import load_detectors
from oomdb.errors import OomdbError, UsageError
from oomdb.kube.auth import context_warnings
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.contexts import Context
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.reports.backups import STEM
from oomdb.reports.summary import render_run_summary
from oomdb.settings import mask_password
from oomdb.store.database import Store, database_path, open_for_writing
from oomdb.store.runs import RunningRun, RunStart, begin_run, begin_run_alone, close_abandoned_runs, process_is_alive
from oomdb.timespan import format_for_people, parse_span
from oomdb.version import __version__

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.reports.wishes import ReportWishes

EXIT_NOTHING_READ = 1
EXIT_INCOMPLETE = 3


@command(
    "collect",
    short_help="Scan the clusters and store a run.",
    examples=(
        ("All clusters of the kubeconfig, four at a time", "oomdb collect --batch 4"),
        (
            "Two clusters by a part of their names, the last three days",
            "oomdb collect --contexts rh02,rh03 --time-range 3d",
        ),
        ("From cron: what happened since the last time, also after an outage", "oomdb collect --time-range auto -q"),
        (
            "From cron: also write the exports, fail where something could not be read",
            "oomdb collect --report --strict -q",
        ),
        ("Only some namespaces, without a cluster-wide call", "oomdb collect --current -n team-a-tenant,team-b-tenant"),
    ),
)
@option("--current", is_flag=True, help="Only the kubeconfig's current context.")
@option("--contexts", metavar="A,B", help="Only clusters whose context or name contains A or B.")
@option(
    "--kubeconfig",
    type=click.Path(path_type=str),
    help="Path; else KUBECONFIG, else ~/.kube/config.",
)
@option(
    "--time-range",
    default="1d",
    metavar="SPAN|auto",
    help="How far back to look: 6h, 1d, 7d, 1M; auto: since each cluster's last complete scan, at most 7d.",
)
@option("--batch", type=click.IntRange(1, 64), default=2, help="Clusters at a time.")
@option("--ns-batch-size", type=click.IntRange(1), default=10, help="Namespaces at a time, where read one by one.")
@option("--ns-workers", type=click.IntRange(1, 256), default=5, help="Threads that read namespaces, and artifacts.")
@option("--timeout", type=click.FloatRange(0, min_open=True), default=45, help="Seconds without an answer.")
@option("--retries", type=click.IntRange(0, 20), default=3, help="Further tries of a request.")
@option("-n", "--namespace", "names", multiple=True, metavar="A,B", help="Read only these namespaces.")
@option("--include-ns", multiple=True, metavar="RE,RE", help="Only namespaces in which one of these is found.")
@option("--exclude-ns", multiple=True, metavar="RE,RE", help="No namespaces in which one of these is found.")
@option("--include-ephemeral", is_flag=True, help="Also namespaces that live for a test only.")
@option("--list-namespaces", is_flag=True, help="Print what would be scanned, scan nothing.")
@option("--no-artifacts", is_flag=True, help="Save no descriptions and logs.")
@option("--log-tail-lines", type=click.IntRange(1), help="Only the last lines of each log.")
@option("--log-limit-bytes", type=click.IntRange(1), default=10 * 2**20, help="At most so many bytes of each log.")
@option("--report", "wants_report", is_flag=True, help="Write the report afterwards: html, csv, json, table.")
@report_options
@owner_options
@option("--strict", is_flag=True, help="Exit with 3 where something could not be read.")
@option("--allow-overlap", is_flag=True, help="Run even if another collect of the same scope is running.")
@option("--tarballs/--no-tarballs", default=False, help="Make tarballs of what was saved of this run's pods.")
@pass_app
def collect_command(
    *,
    app: "App",
    current: bool,
    contexts: str | None,
    kubeconfig: str | None,
    time_range: str,
    batch: int,
    ns_batch_size: int,
    ns_workers: int,
    timeout: float,
    retries: int,
    names: Sequence[str],
    include_ns: Sequence[str],
    exclude_ns: Sequence[str],
    include_ephemeral: bool,
    list_namespaces: bool,
    no_artifacts: bool,
    log_tail_lines: int | None,
    log_limit_bytes: int,
    wants_report: bool,
    wishes: "ReportWishes",
    owners: "OwnerWishes",
    strict: bool,
    allow_overlap: bool,
    tarballs: bool,
) -> int:
    """Scan the clusters for OOMKilled and CrashLoopBackOff and store what was found as one run.

    Every cluster of the kubeconfig is read over its API, several at a time; what could not be read is stored too, so
    that "could not look" never reads as "nothing found". Descriptions and logs of new kills are saved under the output
    folder. Exit code: 0, also with findings; 1 if no cluster could be read; 3 with --strict if something is missing.
    """
    tally = Tally(clusters=0)
    if not list_namespaces:
        end_with(tally.line)
    scope = Scope(
        current=current,
        contexts=() if contexts is None else split_names("--contexts", [contexts]),
        names=split_whole_names("--namespace", names),
        include=include_ns,
        exclude=exclude_ns,
        include_ephemeral=include_ephemeral,
    )
    span = _parse_time_range(time_range)
    targets = _select_targets(app, scope, kubeconfig)
    request = CollectRequest(
        scan=ScanRequest(
            lookback=LONGEST if span is None else span,
            detectors=load_detectors(),
            names=tuple(scope.names),
            rules=_build_rules(app, scope),
            namespace_batch=ns_batch_size,
            namespace_workers=ns_workers,
        ),
        capture=None
        if no_artifacts
        else CaptureRequest(
            folder=app.artifacts_in(app.output_folder),
            log_tail_lines=log_tail_lines,
            log_limit_bytes=log_limit_bytes,
            workers=ns_workers,
        ),
        batch=batch,
        timeout_seconds=timeout,
        retries=retries,
    )
    if list_namespaces:
        return _print_namespaces(app, targets, request)
    tally.clusters = len(targets)
    _mention_legacy_runs(app)
    with (
        stopping_on_sigterm(),
        open_for_writing(app.database, file_mode=app.settings.database_file_mode) as store,
    ):
        for warning in store.warnings:
            note(f"warning: {warning}", app)
        offer_tarballs_folder(app)
        if span is None:
            request = _look_back_automatically(store, targets, request, scope)
        start = _describe_start(request, scope, AUTO if span is None else time_range.strip())
        report = wishes if wants_report else None
        return _run(app, store, targets, request, start, tally, report, owners, tarballs, strict, allow_overlap)


def _mention_legacy_runs(app: "App") -> None:
    """Say of a database that is about to be made that runs of the legacy script lie beside it."""
    if database_path(app.database).exists():
        return
    # the first versions of the script wrote to the working folder
    folders = [it for it in dict.fromkeys((app.output_folder, Path())) if any(it.glob(f"{STEM}*.csv"))]
    if folders:
        found = sorted(path.name for folder in folders for path in folder.glob(f"{STEM}*.csv"))
        is_elsewhere = app.database != str(app.output_folder / DATABASE_NAME)
        places = ["--output", str(app.output_folder), *(["--db", app.database] if is_elsewhere else [])]
        command = ["oomdb", "import", *places, *map(str, folders)]
        note(
            f"a new database is made, and {len(found)} file(s) such as {found[0]} are there: `{shlex.join(command)}` "
            "takes their runs over",
            app,
        )


def _run(
    app: "App",
    store: Store,
    targets: Sequence[ClusterTarget],
    request: CollectRequest,
    start: RunStart,
    tally: Tally,
    wishes: "ReportWishes | None",
    owners: "OwnerWishes",
    wants_tarballs: bool,
    strict: bool,
    allow_overlap: bool,
) -> int:
    begun = _begin(app, store, start, allow_overlap)
    if isinstance(begun, RunningRun):
        since = format_for_people(begun.started_at, app.zone)
        note(
            f"already running since {since} (run {begun.id}, process {begun.pid} on {begun.host}); "
            "nothing was done. --allow-overlap runs beside it.",
            app,
        )
        tally.skipped_for = begun.id
        return 0
    tally.run_id = begun
    with CollectProgress(app, tally) as progress:
        result = collect(store, begun, targets, request, listener=progress, clock=_now)
    _note_replaced_contexts(app, targets, result)
    if app.verbosity != "quiet":
        write(render_coverage(result.scans, app))
        write(render_findings(result.scans, app, run_id=begun))
    for told in list_advice(result.scans, quiet=app.verbosity == "quiet"):
        note(told, app, is_error=True)
    code = _exit_code(result, strict=strict)
    if result.clusters_read:
        _show_summary(app, store, result, owners)
        if wishes is not None:
            from oomdb.reports.files import write_exports  # only who wants the page pays for its memory

            written = write_exports(
                store,
                result.run_id,
                output_dir=app.output_folder,
                wishes=wishes,
                zone=app.zone,
                file_mode=app.settings.artifact_file_mode,
            )
            show_export_result(written, app)
        if wants_tarballs:
            make_tarballs_of_run(app, store, result.run_id)
    elif wishes is not None:
        note("no cluster could be read: the exports were left as they are", app)
    return code


def _show_summary(app: "App", store: Store, result: CollectResult, owners: "OwnerWishes") -> None:
    with store.reading() as conn:
        instances = list_instances_of_run(conn, find_run(conn, result.run_id))
    whose = learn_owners(store, {(it.cluster, it.namespace) for it in instances}, owners, app)
    if app.verbosity != "quiet":
        write(render_run_summary(instances, zone=app.zone, whose=whose))


def _begin(app: "App", store: Store, start: RunStart, allow_overlap: bool) -> int | RunningRun:
    now = start.started_at
    for run_id in close_abandoned_runs(store, now=now, is_alive=process_is_alive):
        note(f"run {run_id} was cut short: its process is gone; closed", app)
    if allow_overlap:
        return begin_run(store, start, now=now)
    return begin_run_alone(store, start, now=now, is_alive=process_is_alive)


def _look_back_automatically(
    store: Store, targets: Sequence[ClusterTarget], request: CollectRequest, scope: Scope
) -> CollectRequest:
    names = [target.name for target in targets]
    now = _now()
    lookbacks = plan_lookbacks(store, names, covered_by=scope.covered_by, now=now)
    longest = max((now - lookback.since for lookback in lookbacks.values()), default=LONGEST)
    return replace(request, lookbacks=lookbacks, scan=replace(request.scan, lookback=longest))


def _describe_start(request: CollectRequest, scope: Scope, time_range: str) -> RunStart:
    return RunStart(
        started_at=_now(),
        origin="collect",
        time_range=time_range,
        lookback=request.scan.lookback,
        scope=scope.text,
        scope_hash=scope.hash,
        tool_version=__version__,
        arguments=shlex.join(mask_password(argument) for argument in ["oomdb", *sys.argv[1:]]),
    )


def _parse_time_range(text: str) -> timedelta | None:
    """Return the span, None for `auto`."""
    if text.strip() == AUTO:
        return None
    try:
        return parse_span(text)
    except UsageError as err:
        raise UsageError(f"--time-range: {err} Or say `{AUTO}`: since each cluster's last complete scan.") from err


def _select_targets(app: "App", scope: Scope, kubeconfig: str | None) -> tuple[ClusterTarget, ...]:
    targets = select_targets(app, current=scope.current, contexts=scope.contexts, kubeconfig=kubeconfig)
    for target in targets:
        _warn_of(app, target.contexts[0])
        if len(target.contexts) > 1:
            others = ", ".join(context.name for context in target.contexts[1:])
            note(f"{target.name}: '{target.contexts[0].name}' is used; the same server: {others}", app)
    return targets


def _note_replaced_contexts(app: "App", targets: Sequence[ClusterTarget], result: CollectResult) -> None:
    """Say which clusters were read by another context than the one that was announced, and what is risky about it."""
    used = {scan.cluster: scan.context for scan in result.scans}
    for target in targets:
        first, *others = target.contexts
        for context in others:
            if context.name == used.get(target.name):
                note(f"{target.name}: '{context.name}' was used: the server refused '{first.name}'", app)
                _warn_of(app, context)


def _warn_of(app: "App", context: Context) -> None:
    for warning in context_warnings(context):
        note(f"warning: {warning}", app)


def _build_rules(app: "App", scope: Scope) -> NamespaceRules:
    return NamespaceRules(
        ephemeral=None if scope.include_ephemeral else parse_ephemeral_rules(app.settings.ephemeral),
        include=parse_name_filters("--include-ns", scope.include),
        exclude=parse_name_filters("--exclude-ns", scope.exclude),
    )


def _print_namespaces(app: "App", targets: Sequence[ClusterTarget], request: CollectRequest) -> int:
    code = EXIT_NOTHING_READ
    for cluster, namespace in list_namespaces(targets, request):
        if isinstance(namespace, OomdbError):
            note(f"{cluster}: {namespace}", app)
        else:
            code = 0
            write(f"{cluster}\t{namespace}\n")
    return code


def _exit_code(result: CollectResult, *, strict: bool) -> int:
    if not result.clusters_read:
        return EXIT_NOTHING_READ
    return EXIT_INCOMPLETE if strict and result.status != "complete" else 0


def _now() -> datetime:
    return datetime.now(UTC)
