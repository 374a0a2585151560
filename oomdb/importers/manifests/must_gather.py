"""Reading the folder of a must-gather or of `oc adm inspect`: `namespaces/<namespace>/…`, at the top or below.

Layout: pkg/cli/admin/inspect of openshift/oc. `core/pods.yaml` and `core/events.yaml` are lists; `pods/<pod>/` holds
the pod's manifest and, by container, its logs.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from oomdb.errors import ImportFileError
from oomdb.importers.foreign_files import descend, list_folders, list_links, look_at, read_file
from oomdb.importers.manifests.capture import (
    EVERYWHERE,
    NOT_CAPTURED,
    UNREADABLE,
    Capture,
    Gathering,
    Source,
)

_NAMESPACES = "namespaces"
_DEEPEST = 3  # must-gather.local.…/<image>/namespaces, in a folder that somebody put them into
_SYMLINK = "symlink"
_LONGEST_TIMESTAMP = 4096  # bytes; two lines
# Go's time.Time.String: 2026-01-15 14:58:03.123456789 +0000 UTC m=+0.136
_GO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)? ([+-][0-9]{4}) ")


def read_must_gather(folder: Path, *, now: datetime) -> Capture:
    """Return what a folder holds of a cluster; symlinks in it are not followed.

    Args:
        folder: the must-gather, or one of several levels above it.
        now: a `timestamp` file that says a later time is not believed.

    Raises:
        ImportFileError: if there is no `namespaces` in it, or it holds neither pods nor events.
    """
    roots = list(_find_roots(folder, _DEEPEST))
    if not roots:
        raise ImportFileError(
            f"'{folder}' is no must-gather: there is no folder `{_NAMESPACES}` in it, nor up to {_DEEPEST} levels "
            "below; name the folder that `oc adm must-gather` or `oc adm inspect` made."
        )
    gathering = Gathering()
    for namespace in sorted({place.name for root in roots for place in list_folders(root / _NAMESPACES)}):
        places = [root / _NAMESPACES / namespace for root in roots]
        _Namespace(gathering, folder, namespace, [place for place in places if look_at(place) == "folder"]).read()
    for root in roots:
        for link in list_links(root / _NAMESPACES):
            told = f"{link.relative_to(folder)} is a symlink: it was not followed"
            gathering.miss(link.name, "pods", _SYMLINK, told)
            gathering.miss(link.name, "events", _SYMLINK, told)
    if not gathering.lists and not gathering.has_objects:
        raise ImportFileError(gathering.tell_why_empty(str(folder)))
    gathering.miss(EVERYWHERE, "namespaces", NOT_CAPTURED, "only the namespaces in the folder were looked at")
    return gathering.finish(
        path=str(folder),
        modified_at=datetime.fromtimestamp(folder.stat().st_mtime, UTC),
        times=_find_times(folder, roots, now),
        folders=tuple(roots),
    )


def find_log(roots: Sequence[Path], namespace: str, pod: str, container: str, *, previous: bool) -> Path | None:
    """Return where a container's log lies, None where there is none."""
    name = "previous.log" if previous else "current.log"
    # the container's name stands there twice
    below = (_NAMESPACES, namespace, "pods", pod, container, container, "logs", name)
    return next((found for root in roots if (found := descend(root, *below)) is not None), None)


def _find_roots(folder: Path, levels: int) -> Iterator[Path]:
    if look_at(folder / _NAMESPACES) == "folder":
        yield folder
    elif levels:
        for below in list_folders(folder):
            yield from _find_roots(below, levels - 1)


def _find_times(folder: Path, roots: Sequence[Path], now: datetime) -> list[datetime]:
    """Return the times that `timestamp` files between the folder and its roots tell: begins and ends."""
    places = {place for root in roots for place in (root, *root.parents) if place.is_relative_to(folder)}
    told: list[datetime] = []
    for place in places:
        file = descend(place, "timestamp")
        if file is not None:
            with suppress(ImportFileError):  # there is other evidence
                told += _read_go_times(read_file(file, last_bytes=_LONGEST_TIMESTAMP).data)
    return [at for at in told if at <= now]


def _read_go_times(text: bytes) -> Iterator[datetime]:
    """Iterate over the instants of a `timestamp` file: its begin and its end."""
    for day, time, offset in _GO_TIME.findall(text.decode("ascii", "replace")):
        try:
            yield datetime.strptime(f"{day} {time} {offset}", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
        except (ValueError, OverflowError):
            continue


class _Namespace:
    """One namespace of a folder, which several images may have saved."""

    def __init__(self, gathering: Gathering, folder: Path, name: str, places: Sequence[Path]) -> None:
        self._gathering = gathering
        self._folder = folder
        self._name = name
        self._places = places

    def read(self) -> None:
        self._read_lists("events")
        self._read_lists("pods")
        if ("pods", self._name) not in self._gathering.lists:
            for place in self._places:
                self._read_single_pods(place)

    def _read_lists(self, source: Source) -> None:
        files = [file for place in self._places if (file := descend(place, "core", f"{source}.yaml")) is not None]
        for file in files:
            self._take(file, source)
        if files:
            return
        wanted = [path for place in self._places for path in (place / "core", place / "core" / f"{source}.yaml")]
        link = next((path for path in wanted if look_at(path) == "link"), None)
        missing = link or wanted[-1]
        why = "is a symlink: it was not followed" if link else "is not there"
        status = _SYMLINK if link else NOT_CAPTURED
        self._gathering.miss(self._name, source, status, f"{missing.relative_to(self._folder)} {why}")

    def _read_single_pods(self, place: Path) -> None:
        if look_at(place / "pods") != "folder":
            return
        try:
            folders = list_folders(place / "pods")
        except ImportFileError as err:
            self._gathering.miss(self._name, "pods", UNREADABLE, str(err))
            return
        for folder in folders:
            file = descend(folder, f"{folder.name}.yaml")
            if file is not None:
                self._take(file, None)

    def _take(self, file: Path, holds: Source | None) -> None:
        path = str(file.relative_to(self._folder))
        try:
            data = read_file(file).data
        except ImportFileError as err:
            self._gathering.miss(self._name, holds or "pods", UNREADABLE, f"{path} {err}")
            return
        self._gathering.take(data, path=path, namespace=self._name, holds=holds)
