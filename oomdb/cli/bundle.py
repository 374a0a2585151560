"""`oomdb bundle`: when a pod was killed or looped, and tarballs of what was saved of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.cli.bundle_output import report_pods
from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.options import DATABASE_NAME, command, filter_options, is_typed, option, pass_app
from oomdb.cli.output import note
from oomdb.cli.owner_options import owner_options
from oomdb.cli.report_from_dir import ImportedFolder, open_imported_folder
from oomdb.cli.tarball_output import make_tarballs, prepare_tarballs_folder
from oomdb.errors import UsageError
from oomdb.importers.legacy.files import STEM
from oomdb.settings import mask_password
from oomdb.store.database import database_path, open_for_reading

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.queries.filters import FindingFilter


@command(
    "bundle",
    short_help="Make tarballs of what was saved of a pod.",
    examples=(
        ("A pod, or all pods whose name contains the text", "oomdb bundle -p checkout-7d9f"),
        ("With owners", "oomdb bundle -p checkout -n shop-tenant -c ~/konflux-release-data"),
        ("An output folder of the legacy script, without a database", "oomdb bundle -p checkout -d /srv/oom/output"),
        (
            "A folder that Jenkins serves, with the login of JENKINS_USER and JENKINS_TOKEN",
            "oomdb bundle -p checkout -d https://jenkins.example.com/job/oom/ws/output/",
        ),
    ),
)
@option("-p", "--pod-name", metavar="POD", required=True, help="The pod's name, or a part of it.")
@option(
    "-d",
    "--output-dir",
    "place",
    metavar="DIR|URL",
    default=None,
    help="The output folder, also one of the legacy script.  [default: --output]",
)
@filter_options("cluster", "namespace", "workload")
@owner_options
@pass_app
def bundle_command(
    *, app: "App", pod_name: str, place: str | None, filters: "FindingFilter", owners: "OwnerWishes"
) -> int:
    """Show when a pod was killed or looped, over the whole history, and make tarballs of its descriptions and logs.

    A pod of this very name goes before pods whose name contains the text. There is one line for each type, day (in
    --tz), cluster and namespace, and one tarball for each type and day, in the folder `tarballs` of the output folder.
    The same texts make the same tarball: one that is there already is left alone, and where a tarball of the name has
    other content, the new one's name ends in the time.

    With -c or --codeowners-repo each line ends with the owners of the namespace, as in `oomdb summary`.

    With a URL the folder is downloaded as far as it is needed, and new tarballs are uploaded to its `tarballs/` too.
    The login is that of REMOTE_USER and REMOTE_TOKEN, of JENKINS_USER and JENKINS_TOKEN, or of ~/.netrc; REMOTE_TOKEN
    alone is sent as a cookie. Exit code: 1 if something could not be read, or uploaded to a server that takes files.
    """
    if not pod_name.strip():
        raise UsageError("--pod-name is empty: say a pod's name, or a part of it.")
    wanted = replace(filters, pod=pod_name)
    with stopping_on_sigterm():  # temporary folders go in order
        if place is not None and place.lower().startswith(("http://", "https://")):
            from oomdb.cli.bundle_remote import bundle_remote  # with an HTTP client, which folders do without

            return bundle_remote(app, place, wanted, owners)
        return _bundle_local(app if place is None else _with_output_folder(app, Path(place)), wanted, owners)


def _bundle_local(app: "App", wanted: "FindingFilter", owners: "OwnerWishes") -> int:
    with _open_history(app) as history:
        planned = report_pods(app, history.store, wanted, owners)
    prepare_tarballs_folder(app)
    make_tarballs(app, planned, app.output_folder)
    return 0 if history.is_whole else 1


def _with_output_folder(app: "App", folder: Path) -> "App":
    """Return the app with another output folder, and with its database unless --db is typed beside it."""
    own = str(folder / DATABASE_NAME)
    is_another = folder.resolve() != app.output_folder.resolve()
    database = own if is_another and not is_typed("db") else app.database
    if Path(database) != Path(own):
        note(f"the database {mask_password(database)} is read, not that of {folder}", app)
    return replace(app, output_folder=folder, database=database)


@contextmanager
def _open_history(app: "App") -> Iterator[ImportedFolder]:
    """Open the database, or a temporary one of the legacy script's files where they are all there is."""
    if database_path(app.database).exists() or not any(app.output_folder.glob(f"{STEM}*.csv")):
        with open_for_reading(app.database) as store:  # which says where there is none
            yield ImportedFolder(store, is_whole=True)
        return
    note(f"there is no database {app.database}: the CSV files in {app.output_folder} are read", app)
    with open_imported_folder(app.output_folder, app) as imported:
        yield imported
