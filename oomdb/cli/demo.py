"""`oomdb demo`: a simulated fleet, weeks of real collects over HTTPS under a moved clock, the report."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from oomdb.cli.export_output import show_export_result
from oomdb.cli.options import DATABASE_NAME, command, option, pass_app
from oomdb.cli.output import note
from oomdb.cli.tarball_output import offer_tarballs_folder
from oomdb.collect.capture import CaptureRequest
from oomdb.collect.run import CollectRequest, Listener, collect
from oomdb.collect.scan import ScanRequest
from oomdb.collect.scope import ALL
from oomdb.detectors.registry import load_detectors
from oomdb.errors import OomdbError
from oomdb.kube.clusters import ClusterTarget, plan_clusters
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.reports.files import write_exports
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Reset
from oomdb.simulator.fleet import ClusterStory, tell_fleet
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.server import serve
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import RunStart, begin_run, list_origins
from oomdb.version import __version__

if TYPE_CHECKING:
    from oomdb.cli.options import App

DEMO_FOLDER = "demo-output"
_BETWEEN_RUNS = timedelta(hours=8)
_LOOKBACK = timedelta(days=1)
_DOWN = Fault(match=".", action=Reset())


@command(
    "demo",
    short_help="Try everything on a simulated fleet: no cluster needed.",
    examples=(
        ("Three clusters, three weeks, into demo-output", "oomdb demo"),
        ("Then ask the history", "oomdb occurrences --output demo-output --since 7d"),
    ),
)
@option("--days", type=click.IntRange(7, 60), default=21, help="Days of history, three collects a day.")
@pass_app
def demo_command(*, app: "App", days: int) -> int:
    """Collect from three simulated clusters over some weeks, and write the report.

    The clusters are HTTPS servers on this machine; the collects are real, under a clock that is moved on by eight
    hours each time; one cluster is down on some days. Everything goes to demo-output (or --output), into a database of
    its own: one that holds runs already is refused.
    """
    folder = _demo_folder(app)
    database = app.database if _was_given("db") else str(folder / DATABASE_NAME)
    with open_for_writing(database) as store:
        origins = list_origins(store)
        if origins - {"demo"}:
            raise OomdbError(f"{store.path} holds real runs; give the demo a folder of its own with --output.")
        if origins:  # the fleet's story ends now: told again, its kills would be others
            raise OomdbError(
                f"{store.path} holds a demo already: `oomdb findings --db {store.path}` asks it; for a new one delete "
                "that file, or name another folder with --output."
            )
        _tell(app, store, folder, days)
        runs, clusters = days * 3, 3
        note(f"{runs} collects from {clusters} clusters were recorded in {store.path}", app)
        result = write_exports(store, "latest", output_dir=folder, zone=app.zone)
    offer_tarballs_folder(replace(app, output_folder=folder))
    show_export_result(result, app)
    for line in _next_steps(folder):
        note(line, app)
    return 0


def _tell(app: "App", store: Store, folder: Path, days: int) -> None:
    stories = tell_fleet(until=app.now, days=days)
    moments = [stories[0].until - _BETWEEN_RUNS * number for number in reversed(range(days * 3))]
    with ExitStack() as stack:
        authority = Authority()
        clusters = {story.cluster: SimulatedCluster() for story in stories}
        faults = {story.cluster: Faults() for story in stories}
        servers = {
            name: stack.enter_context(serve(cluster, authority=authority, faults=faults[name]))
            for name, cluster in clusters.items()
        }
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oomdb-demo-")))
        entries = [
            ContextEntry(
                context=story.context,
                server=servers[story.cluster].url,
                authority_pem=authority.pem,
                token="token",  # noqa: S106  # of the simulator, gone with it
            )
            for story in stories
        ]
        kubeconfig = write_kubeconfig(scratch / "kubeconfig", entries)
        targets = plan_clusters(load_kubeconfig(path=str(kubeconfig), environ={}, home=scratch), names={})
        request = _build_request(app, folder)
        for number, at in enumerate(moments, start=1):
            _move_on(stories, clusters, faults, at)
            _collect_at(store, targets, request, at)
            if number % 9 == 0 or number == len(moments):
                note(f"{at:%Y-%m-%d %H:%M} UTC: collect {number} of {len(moments)}", app)


def _move_on(
    stories: Sequence[ClusterStory],
    clusters: Mapping[str, SimulatedCluster],
    faults: Mapping[str, Faults],
    at: datetime,
) -> None:
    for story in stories:
        clusters[story.cluster].replace(*story.content_at(at))
    # the last cluster is down for a day and a half, twelve days and five days before the end
    days_left = (stories[-1].until - at) / timedelta(days=1)
    faults[stories[-1].cluster].clear()
    if 11 <= days_left <= 12.5 or 4.5 <= days_left <= 5:
        faults[stories[-1].cluster].add(_DOWN)


def _collect_at(store: Store, targets: Sequence[ClusterTarget], request: CollectRequest, at: datetime) -> None:
    start = RunStart(
        started_at=at,
        origin="demo",
        time_range="1d",
        lookback=_LOOKBACK,
        scope=ALL,
        scope_hash=ALL,
        tool_version=__version__,
        arguments="oomdb demo",
    )
    run_id = begin_run(store, start, now=at)
    collect(store, run_id, targets, request, listener=Listener(), clock=lambda: at)


def _build_request(app: "App", folder: Path) -> CollectRequest:
    return CollectRequest(
        scan=ScanRequest(lookback=_LOOKBACK, detectors=load_detectors()),
        capture=CaptureRequest(folder=app.artifacts_in(folder), log_tail_lines=None, log_limit_bytes=2**20, workers=2),
        batch=3,
        timeout_seconds=10,
        retries=0,
    )


def _demo_folder(app: "App") -> Path:
    return app.output_folder if _was_given("output") else Path(DEMO_FOLDER)


def _was_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, ParameterSource.DEFAULT)


def _next_steps(folder: Path) -> tuple[str, ...]:
    return (
        "try next:",
        f"  open {folder / 'oom_results.html'} in a browser",
        f"  oomdb findings --output {folder}",
        f"  oomdb occurrences --output {folder} --since 7d --type OOMKilled",
        f"  oomdb trends --output {folder}",
        f"  oomdb coverage --output {folder} --since 14d",
        f"  oomdb summary --output {folder}",
    )
