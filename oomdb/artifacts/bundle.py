"""Tarballs of artifacts: the same texts make the same bytes, on any day and any machine."""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from oomdb.artifacts.local import ArtifactFolder
from oomdb.artifacts.names import safe_name
from oomdb.errors import ArtifactError

TARBALLS_FOLDER = "tarballs"
SUFFIX = ".tgz"
_MODE = 0o644
_MODIFIED_AT = 315532800  # 1980-01-01, which archivers do not doubt; when a text was captured stands in its name
_PIECE_BYTES = 2**20
_LONGEST_TYPE = 40
_LONGEST_NAME = 150  # of what was asked for, in a file's name


@dataclass(frozen=True, slots=True)
class Bundle:
    """What became of a tarball.

    Attributes:
        path: relative to the output folder; '' where there was nothing to put into it.
        is_new: it was written now; else one with the same content was there.
        problems: which texts are not in it, and why.
        changed: which texts are in it, but are others than were captured.
    """

    path: str
    is_new: bool
    problems: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def tarball_stem(type_: str, name: str, day: str) -> str:
    """Return a tarball's name less its suffix: `OOMKilled-checkout-1-instance-28th-Jan-2026`.

    `type_` and `name` may be any text; they are made safe.
    """
    return f"{safe_name(type_, limit=_LONGEST_TYPE)}-{stem_middle(name)}{day}"


def stem_middle(name: str) -> str:
    """Return the part of a tarball's name that stands between type and day: all of `name` have it in common."""
    return f"{safe_name(name, limit=_LONGEST_NAME)}-instance-"


def write_bundle(
    source: ArtifactFolder, target: ArtifactFolder, stem: str, texts: Mapping[str, str], *, stamp: str
) -> Bundle:
    """Write a tarball of artifacts to the folder `tarballs`, where none of its name has the same content.

    Where a tarball has the name and other content, the new one is called `<stem>-<stamp>.tgz`, and so on with a number.

    Args:
        source: in whose folder of artifacts the texts lie; nothing else enters, and no symlink is followed.
        target: below which the tarball is written: aside, then renamed.
        stem: see `tarball_stem`.
        texts: their paths relative to the source, and the SHA-256 that each had when it was captured, '' if unknown.
        stamp: the time of the bundling, `HH-MM`.

    Raises:
        ArtifactError: when the tarball cannot be written, or a text changes while it is read; then nothing remains.
    """
    readable, problems, changed = _look_through(source, texts)
    if not readable:
        return Bundle("", False, problems)

    def refuse_same(path: str) -> None:
        # what is no ordinary file, or gone again, is not the same
        with suppress(ArtifactError), target.open(path, below=TARBALLS_FOLDER) as existing:
            if _holds(existing, _iter_tar(source, stem, readable)):
                raise _IsThereError(path)

    def iter_free_names() -> Iterator[str]:
        for name in _iter_names(stem, stamp):
            yield name
            refuse_same(f"{TARBALLS_FOLDER}/{name}")  # perhaps another bundling was faster

    try:
        for path in _list_tarballs(target.make_folder(TARBALLS_FOLDER), stem):
            refuse_same(path)
        pieces = _compress(_iter_tar(source, stem, readable))
        written = target.write_named(TARBALLS_FOLDER, iter_free_names(), pieces)
    except _IsThereError as err:
        return Bundle(err.path, False, problems, changed)
    return Bundle(written.path, True, problems, changed)


class _IsThereError(Exception):
    """A tarball with the same content is there."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _look_through(
    source: ArtifactFolder, texts: Mapping[str, str]
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """Return which texts can be read, why the others cannot, and which are others than were captured."""
    readable, problems, changed = [], [], []
    for path, sha256 in sorted(texts.items()):
        try:
            with source.open(path) as stream:
                # typeshed wants readinto
                digest = hashlib.file_digest(stream, "sha256").hexdigest() if sha256 else ""  # type: ignore[arg-type]
        except ArtifactError as err:
            problems.append(str(err))
            continue
        readable.append(path)
        if digest != sha256:
            changed.append(f"{path!r} was changed since it was captured; it is bundled as it is now")
    return readable, tuple(problems), tuple(changed)


def _list_tarballs(folder: Path, stem: str) -> list[str]:
    """Return the paths of the ordinary files that earlier bundlings may have made of a stem's texts."""
    pattern = re.compile(re.escape(stem) + r"(-\d\d-\d\d(-\d+)?)?" + re.escape(SUFFIX))
    found = [it for it in folder.iterdir() if pattern.fullmatch(it.name) and it.is_file() and not it.is_symlink()]
    return sorted(f"{TARBALLS_FOLDER}/{it.name}" for it in found)


def _iter_names(stem: str, stamp: str) -> Iterator[str]:
    yield f"{stem}{SUFFIX}"
    yield f"{stem}-{stamp}{SUFFIX}"
    for number in range(2, 10**6):
        yield f"{stem}-{stamp}-{number}{SUFFIX}"
    raise ArtifactError(f"There are a million tarballs named '{stem}-{stamp}-….tgz': no further one is written.")


def _iter_tar(source: ArtifactFolder, stem: str, paths: Sequence[str]) -> Iterator[bytes]:
    """Iterate over the bytes of a tar with one folder, of the stem's name, so that unpacking it litters nothing."""
    for path in paths:
        with source.open(path) as stream:
            info = tarfile.TarInfo(str(PurePosixPath(stem, *PurePosixPath(path).parts[1:])))
            info.size = stream.seek(0, 2)
            info.mode, info.mtime = _MODE, _MODIFIED_AT
            stream.seek(0)
            yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            yield from _iter_content(stream, info.size, path)
        yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def _iter_content(stream: BinaryIO, size_bytes: int, path: str) -> Iterator[bytes]:
    """Iterate over as much of a file as its header promises: one that is still written to may be longer by now."""
    left = size_bytes
    while left:
        piece = stream.read(min(_PIECE_BYTES, left))
        if not piece:
            raise ArtifactError(f"'{path}' became shorter while it was read: try again when its writer is done.")
        left -= len(piece)
        yield piece


def _compress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # gzip; without a name and a time in its header
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _holds(existing: BinaryIO, pieces: Iterable[bytes]) -> bool:
    """Tell whether a tarball holds a tar byte for byte, reading no more of it than is the same."""
    try:
        with gzip.GzipFile(fileobj=existing) as inflated:
            return all(inflated.read(len(piece)) == piece for piece in pieces) and not inflated.read(1)
    except (OSError, EOFError, zlib.error):
        return False
