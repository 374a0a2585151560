"""Making tarballs, of a pod or of a run's pods, and saying which were made and what is missing or other in them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.artifacts.bundle import TARBALLS_FOLDER, Bundle, write_bundle
from oomdb.cli.output import escape_controls, note, write
from oomdb.errors import ArtifactError
from oomdb.queries.bundles import list_evidence_of_names
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.reports.backups import format_day
from oomdb.reports.tarballs import Tarball, day_of, plan_tarballs

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.queries.bundles import SavedText
    from oomdb.store.database import Store

_NOTES_SHOWN = 5  # of one tarball; -v shows all
_LONGEST_DAY = timedelta(hours=26)  # a day on which the clock is set back, and some more


def prepare_tarballs_folder(app: "App") -> None:
    """Make the folder of tarballs, which jobs archive whether it holds any.

    Raises:
        ArtifactError: if it cannot be made.
    """
    app.artifacts_in(app.output_folder).make_folder(TARBALLS_FOLDER)


def offer_tarballs_folder(app: "App") -> None:
    """Make the folder of tarballs; where it cannot be made that is said, and costs nothing."""
    try:
        prepare_tarballs_folder(app)
    except ArtifactError as err:
        note(f"warning: {err}", app)


def make_tarballs(app: "App", planned: Iterable[Tarball], source: Path) -> None:
    """Make tarballs in the output folder of what lies in the source; print which are new, say what could not enter.

    Both are output folders, and may be one.
    """
    for tarball in planned:
        bundle = bundle_texts(app, tarball, source, app.output_folder)
        about = f"{tarball.type} on {format_day(tarball.day)}"
        _show_troubles(app, about, [*bundle.problems, *bundle.changed, *_iter_unsaved(tarball.texts)])
        path = app.output_folder / bundle.path
        if not bundle.path:
            note(f"{about}: nothing is saved of it, so there is no tarball", app)
        elif bundle.is_new:
            write(f"Created: {escape_controls(str(path))}\n")
        else:
            note(f"{path} is up to date", app)


def make_tarballs_of_run(app: "App", store: "Store", run_id: int) -> None:
    """Make the tarballs of each pod of a run, for the types and days on which the run saw something of it.

    They are those that `oomdb bundle` makes for the pod's name: what other runs saw of that day is in them too.
    """
    with store.reading() as conn:
        instances = list_instances_of_run(conn, find_run(conn, run_id))
        if not instances:
            return
        since = min(it.at for it in instances) - _LONGEST_DAY
        evidence = list_evidence_of_names(conn, {it.pod for it in instances}, since=since)
    seen = {(it.pod, it.type, day_of(it, app.zone)) for it in instances}
    by_pod = defaultdict(list)
    for it in evidence:
        by_pod[it.instance.pod].append(it)
    for pod in sorted(by_pod):
        planned = plan_tarballs(pod, by_pod[pod], zone=app.zone)
        make_tarballs(app, [it for it in planned if (pod, it.type, it.day) in seen], app.output_folder)


def bundle_texts(app: "App", tarball: Tarball, source: Path, target: Path) -> Bundle:
    """Make one tarball in an output folder of what lies in another, or in the same, where it is not there yet."""
    texts = {it.path: it.sha256 for it in tarball.texts if it.path}
    stamp = f"{app.now.astimezone(app.zone):%H-%M}"
    return write_bundle(app.artifacts_in(source), app.artifacts_in(target), tarball.stem, texts, stamp=stamp)


def _iter_unsaved(texts: Iterable["SavedText"]) -> Iterator[str]:
    for it in texts:
        if not it.path:
            yield f"no {it.kind} of {it.pod} (namespace {it.namespace}, cluster {it.cluster}): {it.message}"


def _show_troubles(app: "App", about: str, troubles: list[str]) -> None:
    shown = troubles if app.verbosity == "verbose" else troubles[:_NOTES_SHOWN]
    for trouble in shown:
        note(f"{about}: {trouble}", app)
    if len(shown) < len(troubles):
        note(f"{about}: {len(troubles) - len(shown)} more such lines; -v shows them", app)
