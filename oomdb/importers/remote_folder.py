"""Which files of a legacy output folder on a web server are needed to bundle a pod."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from oomdb.artifacts.bundle import SUFFIX, TARBALLS_FOLDER, stem_middle
from oomdb.artifacts.local import ARTIFACTS_FOLDER
from oomdb.errors import RemoteFolderError, RemoteNotFound
from oomdb.importers.legacy.files import STEM
from oomdb.remote.folder import RemoteFolder

_REPLACED = re.compile(r"[^A-Za-z0-9_.-]")  # the legacy script writes `_` for each of these
_MAY_BE_SHORTENED = 200  # letters of a file's name: in a longer one the pod's may be cut


@dataclass(frozen=True, slots=True)
class NeededFiles:
    """The files to download, each as the names that lead to it; `problems` tell which folders could not be read."""

    wanted: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]


def find_needed_files(folder: RemoteFolder, pod: str) -> NeededFiles:
    """Return the runs, the artifacts of pods whose name contains `pod`, and the tarballs there are of it already.

    Raises:
        RemoteFolderError: if the folder itself is not there, cannot be listed, or has no runs.
    """
    names = folder.list_names()
    if names is None:
        raise RemoteNotFound(f"{folder.url}: there is no such folder: give the URL of the output folder.")
    runs = [name for name in names if name.startswith(STEM) and name.endswith((".csv", ".json"))]
    if not any(name.endswith(".csv") for name in runs):
        raise RemoteFolderError(
            f"{folder.url}: no {STEM}*.csv among its {len(names)} files and folders: give the URL of the output folder."
        )
    below = folder.list_several([(ARTIFACTS_FOLDER,), (TARBALLS_FOLDER,)])
    clusters = folder.list_several([(ARTIFACTS_FOLDER, name) for name in below.names.get((ARTIFACTS_FOLDER,), ())])
    texts = [(*place, name) for place, found in clusters.names.items() for name in _of_pod(found, pod)]
    tarballs = [name for name in below.names.get((TARBALLS_FOLDER,), ()) if _is_tarball(name, pod)]
    return NeededFiles(
        wanted=(*((name,) for name in runs), *((TARBALLS_FOLDER, name) for name in tarballs), *texts),
        problems=(*below.problems, *clusters.problems),
    )


def _of_pod(names: Iterable[str], pod: str) -> list[str]:
    part = _REPLACED.sub("_", pod)
    return [name for name in names if name.endswith(".txt") and (part in name or len(name) >= _MAY_BE_SHORTENED)]


def _is_tarball(name: str, pod: str) -> bool:
    return f"-{stem_middle(pod)}" in name and name.endswith(SUFFIX)
