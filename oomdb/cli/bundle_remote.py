"""`oomdb bundle -d URL`: a folder that Jenkins serves is downloaded as far as needed, and new tarballs go there too."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.artifacts.bundle import TARBALLS_FOLDER
from oomdb.cli.bundle_output import report_pods
from oomdb.cli.import_output import ImportProgress
from oomdb.cli.output import note
from oomdb.cli.report_from_dir import open_imported_folder
from oomdb.cli.tarball_output import bundle_texts, make_tarballs, prepare_tarballs_folder
from oomdb.errors import RemoteFolderError, RemoteRefusesMethod
from oomdb.importers.remote_folder import find_needed_files
from oomdb.remote.address import parse_folder_address
from oomdb.remote.connection import Connection
from oomdb.remote.folder import RemoteFolder
from oomdb.remote.login import find_login

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.queries.filters import FindingFilter


def bundle_remote(app: "App", url: str, wanted: "FindingFilter", owners: "OwnerWishes") -> int:
    """Bundle the pods of a folder on a web server, here and there, and return the exit code.

    Raises:
        UsageError: if the URL or the login cannot be used.
        RemoteFolderError: if the folder cannot be read at all.
    """
    address = parse_folder_address(url)
    login = find_login(os.environ, address.host)
    if login is not None and address.scheme == "http":
        note(f"warning: {address.url}: the login of {login.source} is sent without encryption; use https://", app)
    with (
        closing(Connection(address, login)) as connection,
        tempfile.TemporaryDirectory(prefix="oomdb-") as scratch,
    ):
        folder, copy = RemoteFolder(connection), Path(scratch) / "output"
        is_whole = _download(app, folder, copy, wanted.pod)
        with open_imported_folder(copy, app) as imported:
            planned = report_pods(app, imported.store, wanted, owners)
        prepare_tarballs_folder(app)
        make_tarballs(app, planned, copy)
        if not is_whole:
            note("nothing is uploaded: the tarballs may lack what could not be read; try again", app, is_error=True)
            return 1
        # the copy has the server's tarballs: what is new to it is new there
        bundles = [bundle_texts(app, tarball, copy, copy) for tarball in planned]
        is_uploaded = _upload(app, folder, [copy / it.path for it in bundles if it.is_new])
    return 0 if imported.is_whole and is_uploaded else 1


def _download(app: "App", folder: RemoteFolder, copy: Path, pod: str) -> bool:
    """Download what is needed, and tell whether that is all."""
    note(f"{folder.url}: looking for runs and artifacts", app)
    needed = find_needed_files(folder, pod)
    with ImportProgress(app) as progress:
        progress.begin("downloading", len(needed.wanted))
        problems = [*needed.problems]
        for it in folder.download(needed.wanted, copy, on_done=progress.advance):
            if it.problem:
                problems.append(f"{'/'.join(it.names)}: {it.problem}")
        for problem in problems:
            progress.say(problem, is_error=True)
    note(f"{folder.url}: {len(needed.wanted)} files wanted, {len(problems)} problems", app)
    return not problems


def _upload(app: "App", folder: RemoteFolder, files: Iterable[Path]) -> bool:
    """Upload new tarballs, and tell whether those of a server that takes files are all there."""
    is_whole = True
    for file in files:
        try:
            folder.upload(file, TARBALLS_FOLDER)
        except RemoteRefusesMethod as err:
            note(f"{err} The tarballs are in {app.output_folder / TARBALLS_FOLDER}.", app)
            break
        except RemoteFolderError as err:
            note(f"not uploaded: {err}", app, is_error=True)
            is_whole = False
        else:
            note(f"Uploaded: {folder.url}{TARBALLS_FOLDER}/{file.name}", app)
    return is_whole
