"""The address of a folder on a web server, and which links lead to something within it."""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from oomdb.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_LONGEST_NAME_BYTES = 255  # of a file, on every file system in use


@dataclass(frozen=True, slots=True)
class FolderAddress:
    """Where a folder is: `path` ends in `/` and is escaped, with no `.` and `..` in it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The folder's URL, which holds no secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    def folder(self, *names: str) -> "FolderAddress":
        """Return the address of a folder some folders down, given by plain names."""
        below = "".join(f"{quote(name, safe='')}/" for name in names)
        return FolderAddress(self.scheme, self.host, self.port, self.path + below)

    def file_url(self, name: str) -> str:
        """Return the URL of a file in the folder, given by a plain name."""
        return self.url + quote(name, safe="")

    def resolve(self, url: str, link: str) -> str:
        """Return the URL to which a link leads from a URL; '' where that is not the folder or something below it."""
        try:
            there = urljoin(url, link.strip())
        except ValueError:  # no URL at all
            return ""
        return "" if self._names_below(there) is None else there

    def find_name(self, href: str) -> str | None:
        """Return the name of the file or folder to which a link of the folder's page leads.

        None for a link that leaves the folder (`../`, another path, another server, however it is escaped), leads
        deeper, has a query (Apache's links that sort), or names what no file here can be called.
        """
        there = self.resolve(self.url, href)
        names = self._names_below(there) if there else None
        return names[0] if names and len(names) == 1 else None

    def _names_below(self, url: str) -> list[str] | None:
        """Return the plain names that lead from the folder to what a URL names; None where they do not."""
        try:
            parts = urlsplit(url)
            server = (parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme))
        except ValueError:
            return None
        if server != (self.scheme, self.host, self.port) or parts.query or "@" in parts.netloc:
            return None
        own, names = _split(self.path), _split(parts.path)
        is_below = names[: len(own)] == own and all(map(is_plain_name, names))
        return names[len(own) :] if is_below else None


def parse_folder_address(url: str) -> FolderAddress:
    """Return the address that a user typed.

    Raises:
        UsageError: if it is no http(s) URL of a folder, or holds a user or password, which then stand in the
            shell's history and in lists of processes.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").lower()
    except ValueError:
        port, host = None, ""
    if not host or not host.isprintable() or parts.scheme not in _PORTS:
        raise UsageError("--output-dir: this is no URL of a folder; it should look like https://jenkins.example.com/….")
    if "@" in parts.netloc:
        raise UsageError(
            f"--output-dir: leave user and password out of the URL of {host}; say them by REMOTE_USER and "
            "REMOTE_TOKEN, JENKINS_USER and JENKINS_TOKEN, or ~/.netrc."
        )
    names = [unquote(name) for name in parts.path.split("/") if name]
    if parts.query or parts.fragment or not all(is_plain_name(name) for name in names):
        raise UsageError(f"--output-dir: the URL of {host} must end with the folder's path: no '?', '#' or '..' in it.")
    return FolderAddress(parts.scheme, host, port or _PORTS[parts.scheme], "/").folder(*names)


def _split(path: str) -> list[str]:
    return [unquote(name) for name in path.removeprefix("/").removesuffix("/").split("/") if path != "/"]


def is_plain_name(name: str) -> bool:
    """Tell whether a name can be that of a file in a folder, and of nothing else."""
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        return False
    is_special = name in ("", ".", "..") or "/" in name or "\\" in name
    return not is_special and name.isprintable() and "\ufffd" not in name and size_bytes <= _LONGEST_NAME_BYTES
