"""A folder on a web server: its names, and its files to and fro, several at a time and within limits."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import urllib3

from oomdb.errors import RemoteFolderError, RemoteLimitReached, RemoteNotFound
from oomdb.remote.connection import Connection
from oomdb.remote.listing import list_links

AT_A_TIME = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken of a folder at most; what is beyond is said, not taken."""

    folders: int = 1_000
    files: int = 20_000
    file_bytes: int = 2**29
    total_bytes: int = 2**32
    page_bytes: int = 2**25


@dataclass(frozen=True, slots=True)
class Listed:
    """The names in folders; `problems` tell which folders could not be listed, and why."""

    names: Mapping[tuple[str, ...], Sequence[str]]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file, given by the names that lead to it; `problem` is '' where it is here."""

    names: tuple[str, ...]
    problem: str


class RemoteFolder:
    """The folder at the connection's root; names are plain ones, those of folders before that of a file."""

    def __init__(self, connection: Connection, *, limits: Limits | None = None) -> None:
        self._connection = connection
        self._limits = limits or Limits()
        self._taken_bytes = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its URL, which holds no secret."""
        return self._connection.root.url

    def list_names(self, *folders: str) -> list[str] | None:
        """Return the names in a folder, sorted; None where there is no such folder.

        Raises:
            RemoteFolderError: if it cannot be listed, or the server gives no page for it.
        """
        address = self._connection.root.folder(*folders)

        def read(response: urllib3.BaseHTTPResponse) -> list[str]:
            if not response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
                raise RemoteFolderError(f"{address.url}: the server lists no files here: it sends no HTML page.")
            page = response.read(self._limits.page_bytes + 1)
            if len(page) > self._limits.page_bytes:
                raise RemoteLimitReached(f"{address.url}: its page is larger than {_show(self._limits.page_bytes)}.")
            return sorted(list_links(page.decode("utf-8", "replace"), address))

        try:
            return self._connection.get(address.url, read)
        except RemoteNotFound:
            return None

    def list_several(self, folders: Sequence[tuple[str, ...]]) -> "Listed":
        """List folders, several at a time; one that is no folder is left out."""

        def look(folder: tuple[str, ...]) -> list[str] | str | None:
            try:
                return self.list_names(*folder)
            except RemoteFolderError as err:
                return str(err)

        taken, beyond = folders[: self._limits.folders], len(folders) - self._limits.folders
        with self._threads() as threads:
            found = dict(zip(taken, threads.map(look, taken), strict=True))
        problems = [problem for problem in found.values() if isinstance(problem, str)]
        if beyond > 0:
            problems.append(f"{self.url}: {beyond:,} folders were not looked into: they are more than {len(taken):,}.")
        return Listed(
            names={folder: names for folder, names in found.items() if isinstance(names, list)},
            problems=tuple(problems),
        )

    def download(
        self, wanted: Sequence[tuple[str, ...]], into: Path, *, on_done: Callable[[], None] = lambda: None
    ) -> list[Outcome]:
        """Download files into a local folder, under the same names, several at a time; each has an outcome.

        `on_done` is called after each, by one thread.
        """
        taken, beyond = wanted[: self._limits.files], wanted[self._limits.files :]
        too_many = f"not downloaded: more than {self._limits.files:,} files are wanted"
        outcomes = []
        with self._threads() as threads:
            for outcome in threads.map(lambda names: self._download_one(names, into), taken):
                outcomes.append(outcome)
                on_done()
        return [*outcomes, *(Outcome(names, too_many) for names in beyond)]

    def upload(self, file: Path, *folders: str) -> None:
        """Upload a file into a folder, under its name.

        Raises:
            RemoteRefusesMethod: if the server does not take files.
            RemoteFolderError: if it fails otherwise.
        """
        self._connection.put(self._connection.root.folder(*folders).file_url(file.name), file)

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        """Give threads, which an exception ends, and with them what they wait for."""
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            try:
                yield threads
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                self._connection.stop()
                raise

    def _download_one(self, names: tuple[str, ...], into: Path) -> Outcome:
        *folders, name = names
        target = into.joinpath(*names)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            url = self._connection.root.folder(*folders).file_url(name)
            self._connection.get(url, lambda response: self._save(response, url, target))
        except (RemoteFolderError, OSError) as err:
            with suppress(OSError):
                target.unlink()
            told = err.strerror or str(err) if isinstance(err, OSError) else str(err)
            return Outcome(names, told)
        return Outcome(names, "")

    def _save(self, response: urllib3.BaseHTTPResponse, url: str, target: Path) -> None:
        size_bytes = 0
        with target.open("wb") as file:
            for piece in self._connection.read_pieces(response):
                size_bytes += len(piece)
                self._count(len(piece), size_bytes, url)
                file.write(piece)
        modified_at = _read_modified_at(response)
        if modified_at is not None:
            os.utime(target, (modified_at, modified_at))  # by which a run without other evidence is dated

    def _count(self, piece_bytes: int, size_bytes: int, url: str) -> None:
        with self._lock:
            self._taken_bytes += piece_bytes
            if self._taken_bytes > self._limits.total_bytes:
                raise RemoteLimitReached(f"{url}: all files are more than {_show(self._limits.total_bytes)}.")
        if size_bytes > self._limits.file_bytes:
            raise RemoteLimitReached(f"{url}: larger than {_show(self._limits.file_bytes)}.")


def _read_modified_at(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return when a file was changed last, by the server's word, as Unix time."""
    with suppress(ValueError, OverflowError, TypeError):
        at = parsedate_to_datetime(response.headers.get("Last-Modified", ""))
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        return seconds if seconds >= 0 else None
    return None


def _show(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:g} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:g} MiB"
