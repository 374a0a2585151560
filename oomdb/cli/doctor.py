"""`oomdb doctor`: what would keep a collect from working, before it is run."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomdb.cli.clusters import select_targets
from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.options import Output, command, option, pass_app
from oomdb.cli.output import Paint, emit, escape_controls, paint_for, write
from oomdb.cli.types import SPAN, split_names, split_whole_names
from oomdb.collect.doctor import DoctorRequest, check_clusters
from oomdb.collect.folders import check_folders
from oomdb.errors import KubeconfigError, StoreError, UsageError
from oomdb.kube.clusters import ClusterTarget
from oomdb.model import Check
from oomdb.queries.doctor import DatabaseRequest, check_database
from oomdb.store.database import database_path
from oomdb.table import Table

if TYPE_CHECKING:
    from oomdb.cli.options import App

EXIT_FAILED = 1
EXIT_WARNED = 3
RETRIES = 1  # a moment's trouble is no finding; what lasts is told soon

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


@command(
    "doctor",
    short_help="Tell what would keep a collect from working.",
    examples=(
        ("Everything a collect needs", "oomdb doctor"),
        ("From cron or a monitor: fails if a cluster was not read for six hours", "oomdb doctor --max-age 6h -q"),
        ("What may be read in two namespaces", "oomdb doctor --current -n team-a-tenant,team-b-tenant"),
        ("Where only the database is", "oomdb doctor --no-clusters --json"),
    ),
)
@option("--current", is_flag=True, help="Only the kubeconfig's current context.")
@option("--contexts", metavar="A,B", help="Only clusters whose context or name contains A or B.")
@option("--kubeconfig", type=click.Path(path_type=str), help="Path; else KUBECONFIG, else ~/.kube/config.")
@option(
    "-n", "--namespace", "names", multiple=True, metavar="A,B", help="Ask for permissions in these namespaces only."
)
@option("--no-clusters", is_flag=True, help="Ask no cluster: look at the database and the folders only.")
@option("--max-age", type=SPAN, metavar="SPAN", help="Fail where a cluster was last read longer ago: 6h, 1d.")
@option("--batch", type=click.IntRange(1, 64), default=8, help="Clusters at a time.")
@option("--timeout", type=click.FloatRange(0, min_open=True), default=15, help="Seconds without an answer.")
@option("--strict", is_flag=True, help="Exit with 3 where there are warnings.")
@option("--json", "as_json", is_flag=True, help="Print a JSON array of objects.")
@pass_app
def doctor_command(
    *,
    app: "App",
    current: bool,
    contexts: str | None,
    kubeconfig: str | None,
    names: Sequence[str],
    no_clusters: bool,
    max_age: timedelta | None,
    batch: int,
    timeout: float,
    strict: bool,
    as_json: bool,
) -> int:
    """Look at the kubeconfig, at each cluster (connection, credentials, clock, permissions), at the database and at the
    folders, and tell what would fail and what to do. Nothing is written, neither to a cluster nor to the database.

    Exit code: 0, also with warnings; 1 if something failed; 3 with --strict if there are warnings.
    """
    if no_clusters and (current or contexts is not None or kubeconfig is not None or names):
        raise UsageError("--no-clusters excludes --current, --contexts, --kubeconfig and -n.")
    namespaces = split_whole_names("--namespace", names)
    targets: tuple[ClusterTarget, ...] | None = None  # nobody knows which
    checks: list[Check] = []
    if not no_clusters:
        try:
            texts = () if contexts is None else split_names("--contexts", [contexts])
            targets = select_targets(app, current=current, contexts=texts, kubeconfig=kubeconfig)
            checks.append(_tell_kubeconfig(targets))
        except KubeconfigError as err:
            checks.append(Check(subject="kubeconfig", name="file", status="failed", message=str(err)))
    request = DoctorRequest(names=namespaces, batch=batch, timeout_seconds=timeout, retries=RETRIES)
    with stopping_on_sigterm():
        checks += check_clusters(targets or (), request)
    checks += check_database(
        DatabaseRequest(
            target=app.database,
            clusters=None if targets is None else [target.name for target in targets],
            names=namespaces,
            max_age=max_age,
            now=app.now,
            zone=UTC if as_json else app.zone,
        )
    )
    checks += check_folders(app.output_folder, _find_database(app))
    _show(checks, app, as_json=as_json)
    return _exit_code(checks, strict=strict)


def _tell_kubeconfig(targets: Sequence[ClusterTarget]) -> Check:
    contexts = sum(len(target.contexts) for target in targets)
    told = f"leads to {len(targets)} cluster{'s' * (len(targets) != 1)} by {contexts} context{'s' * (contexts != 1)}"
    return Check(subject="kubeconfig", name="file", status="ok", message=told)


def _find_database(app: "App") -> Path | None:
    try:
        return database_path(app.database)
    except StoreError:
        return None  # `check_database` says why


def _show(checks: Sequence[Check], app: "App", *, as_json: bool) -> None:
    if as_json:
        rows = [(it.subject, it.name, it.status, it.message, it.advice) for it in checks]
        emit(Table(("subject", "check", "status", "message", "advice"), rows), Output(format="json"), app)
        return
    shown = [check for check in checks if check.status != "ok"] if app.verbosity == "quiet" else checks
    write("".join(_iter_lines(shown, paint_for(app, sys.stdout))))
    if app.verbosity != "quiet":
        counts = Counter(check.status for check in checks)
        write(f"\n{counts['ok']} fine, {counts['warning']} warned of, {counts['failed']} failed\n")


def _iter_lines(checks: Sequence[Check], paint: "Paint") -> Iterable[str]:
    """Yield the checks under their subjects, in the order in which these come first."""
    colors = {"ok": paint.clean, "warning": paint.namespace, "failed": paint.finding}
    for subject in dict.fromkeys(check.subject for check in checks):
        yield f"{paint.cluster(subject)}\n"
        for check in checks:
            if check.subject == subject:
                yield f"  {colors[check.status](f'{_MARKS[check.status]} {check.message}')}\n"
                if check.advice:
                    yield f"    → {escape_controls(check.advice)}\n"


def _exit_code(checks: Sequence[Check], *, strict: bool) -> int:
    statuses = {check.status for check in checks}
    if "failed" in statuses:
        return EXIT_FAILED
    return EXIT_WARNED if strict and "warning" in statuses else 0
