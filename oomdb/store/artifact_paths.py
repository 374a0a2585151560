"""Artifacts whose files came into the output folder later, and result files whose paths were repaired."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select, update

from oomdb.model import Artifact
from oomdb.store.database import Store
from oomdb.store.dialect import upsert
from oomdb.store.rows import put_artifacts
from oomdb.store.schema import artifacts, findings, import_files

_NOT_SAVED = "the legacy script could not save it"
_SAVED = ("ok", "empty")
_POD = ("run_id", "cluster", "namespace", "pod", "pod_uid")
_IS_LOST = and_(artifacts.c.path == "", artifacts.c.status == "error")
_LOST_MESSAGES = select(artifacts.c.message).where(_IS_LOST).distinct()


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """A file that is in the output folder now: its path relative to it, its size and its SHA-256.

    `is_failure` tells one in which the legacy script wrote why it could not save the text.
    """

    path: str
    size_bytes: int
    sha256: str
    is_failure: bool


def list_lost_paths(store: Store) -> list[str]:
    """Return the paths that artifacts have only as text, since no file was to be had."""
    with store.reading() as conn:
        return sorted({_path_in(message) for message in conn.execute(_LOST_MESSAGES).scalars()} - {""})


def count_lost_artifacts(store: Store, paths: Collection[str]) -> int:
    """Return how many artifacts have one of these paths only as text."""
    with store.reading() as conn:
        messages = conn.execute(select(artifacts.c.message).where(_IS_LOST)).scalars()
        return sum(_path_in(message) in paths for message in messages)


def repair_artifacts(store: Store, found: Mapping[str, FoundArtifact]) -> int:
    """Give artifacts that have a path only as text the file that is there now, and return how many got one."""
    repaired = 0
    with store.writing() as conn:
        for row in conn.execute(select(artifacts).where(_IS_LOST)).all():
            file = found.get(_path_in(row.message))
            if file is None:
                continue
            repaired += 1
            status = "error" if file.is_failure else "ok" if file.size_bytes else "empty"
            key = and_(*(column == row._mapping[column.name] for column in artifacts.primary_key))
            told = _NOT_SAVED if file.is_failure else ""
            conn.execute(
                update(artifacts)
                .where(key)
                .values(status=status, path=file.path, size_bytes=file.size_bytes, sha256=file.sha256, message=told)
            )
            if status == "error":
                continue
            _show(conn, *(row._mapping[name] for name in _POD))
    return repaired


def add_artifacts(conn: Connection, run_id: int, found: Iterable[tuple[str, Artifact]]) -> int:
    """Add to a run the artifacts, each with its cluster, whose files it had not, and return how many those are."""
    of_run = select(artifacts).where(artifacts.c.run_id == run_id, artifacts.c.status.in_(_SAVED))
    saved = {(it.cluster, it.namespace, it.pod, it.kind) for it in conn.execute(of_run)}
    added = [
        (cluster, it)
        for cluster, it in found
        if it.status in _SAVED and (cluster, it.namespace, it.pod, it.kind) not in saved
    ]
    put_artifacts(conn, run_id, added)
    for cluster, it in added:
        _show(conn, run_id, cluster, it.namespace, it.pod, it.pod_uid)
    return len(added)


def note_rewritten(store: Store, old: str, new: str) -> None:
    """Remember a file that was imported under the SHA-256 of its repaired content too."""
    with store.writing() as conn:
        for row in conn.execute(select(import_files).where(import_files.c.sha256 == old)).all():
            same = {name: value for name, value in row._mapping.items() if name != "id"}
            statement = upsert(import_files).on_conflict_do_nothing(index_elements=["sha256", "run_at"])
            conn.execute(statement, same | {"sha256": new})


def _show(conn: Connection, run_id: int, *pod: str) -> None:
    """Let the findings that a run has of a pod show the run's artifacts, where they show none."""
    of_pod = (findings.c[name] == value for name, value in zip(_POD, (run_id, *pod), strict=True))
    shown = update(findings).where(*of_pod, findings.c.artifacts_from.is_(None))
    conn.execute(shown.values(artifacts_from=run_id))


def _path_in(message: str) -> str:
    """Return the path at the end of a message that says why it was not opened, '' where there is none."""
    return message[at + 2 :] if (at := message.find(": /")) >= 0 else ""
