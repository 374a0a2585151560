"""Bringing a file to its new place: copied aside, never over another one, removed where it was when all is done."""

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oomdb.errors import ImportFileError
from oomdb.importers.foreign_files import descend, look_at, read_file
from oomdb.importers.relocation.references import Reference

State = Literal["new", "there", "missing", "other-content", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an artifact lies, where it shall lie, and what there is to do.

    `state`: `new` is to be copied, `there` lies at its new place already, `missing` at neither; `other-content` lies at
    the new place and differs, `refused` is what cannot be read, or a symlink.
    """

    reference: Reference
    sources: tuple[Path, ...]  # copies of it that are to go once it is at its new place
    target: Path
    state: State
    why: str = ""

    @property
    def is_settled(self) -> bool:
        """Tell whether the new place holds it, or will when it is copied."""
        return self.state in ("new", "there")


def plan_move(reference: Reference, folders: tuple[Path, ...], artifacts: Path) -> Move:
    """Look at both places of an artifact; nothing is changed.

    Args:
        reference: its cluster and name.
        folders: where artifacts may lie by cluster, the likeliest first.
        artifacts: the folder to which it shall come, by cluster too.
    """
    target = artifacts / reference.cluster / reference.name
    try:
        return _plan(reference, folders, target)
    except ImportFileError as err:
        return Move(reference=reference, sources=(), target=target, state="refused", why=str(err))


def copy_to_target(move: Move, *, file_mode: int, folder_mode: int) -> None:
    """Copy an artifact to its new place, with its time of modification.

    Raises:
        OSError: if it cannot be written, or another file came there meanwhile; then nothing of it remains.
        ImportFileError: if it cannot be read.
    """
    content = read_file(move.sources[0])
    move.target.parent.mkdir(mode=folder_mode, parents=True, exist_ok=True)
    aside = move.target.with_name(_ASIDE)
    aside.unlink(missing_ok=True)  # of a migration that was killed
    try:
        write_aside(aside, content.data, mode=file_mode, modified_ns=move.sources[0].lstat().st_mtime_ns)
        _give_name(aside, move.target)
    finally:
        aside.unlink(missing_ok=True)


def write_aside(aside: Path, data: bytes, *, mode: int, modified_ns: int) -> None:
    """Write a new file, down to the disk, with a time of modification.

    Raises:
        OSError: if it cannot be written.
    """
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    os.utime(aside, ns=(modified_ns, modified_ns))


def _give_name(aside: Path, target: Path) -> None:
    try:
        os.link(aside, target)  # a rename would overwrite
    except OSError as err:
        if err.errno not in _NO_HARD_LINKS or os.path.lexists(target):
            raise
        aside.rename(target)


_ASIDE = ".migrating.tmp"  # the same for all: what a migration that was killed leaves, the next one takes away
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def remove_sources(move: Move) -> int:
    """Remove an artifact from where it was, as far as its new place holds the same, and return how many copies went."""
    removed = 0
    for source in move.sources:
        with suppress(OSError, ImportFileError):  # what cannot be removed stays, and harms nobody
            if _hash(source) == _hash(move.target):
                source.unlink()
                removed += 1
    return removed


def _plan(reference: Reference, folders: tuple[Path, ...], target: Path) -> Move:
    for folder in (target.parent.parent, target.parent):
        if look_at(folder) == "link":
            raise ImportFileError(f"'{folder}' is a symlink: nothing is moved there.")
    found = (descend(folder, reference.cluster, reference.name) for folder in folders)
    sources = {path: _hash(path) for path in found if path is not None}
    state: State = "new" if look_at(target) == "none" else "there"
    wanted = _hash(target) if state == "there" else next(iter(sources.values()), "")
    why = ""
    if state == "new" and not sources:
        why = _find_refused(reference, folders)
        state = "refused" if why else "missing"
    elif wanted not in sources.values() and sources:
        state, why = "other-content", f"'{target}' is there, and has another content"
    same = tuple(path for path, digest in sources.items() if digest == wanted)
    return Move(reference=reference, sources=same, target=target, state=state, why=why)


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(read_file(path).data).hexdigest()
    except ImportFileError as err:
        raise ImportFileError(f"'{path}' {err}") from err


def _find_refused(reference: Reference, folders: tuple[Path, ...]) -> str:
    for folder in folders:
        for path in (folder / reference.cluster, folder / reference.cluster / reference.name):
            kind = look_at(path)
            if kind in ("link", "other"):
                return f"'{path}' is {'a symlink' if kind == 'link' else 'no ordinary file'}: it is not moved."
    return ""
