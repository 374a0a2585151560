"""Every error that oomdb raises on purpose; the command line turns one into one line on stderr.

A message says what is wrong and what to do next. `exit_code` is the process's exit code, `slug` a stable
name for logs and for the database.
"""

from collections.abc import Iterable


class OomdbError(Exception):
    """Base of all errors that a user can read and act on."""

    exit_code = 1
    slug = "error"


class UsageError(OomdbError):
    """An option, argument or filter has a value that cannot be used."""

    exit_code = 2
    slug = "usage"


class SettingsError(OomdbError):
    """The settings file cannot be read, or says something that oomdb does not know."""

    exit_code = 2
    slug = "settings"


class StoreError(OomdbError):
    """The database cannot be opened, read or written."""

    slug = "store"


class QueryError(StoreError):
    """A user's SQL was refused or failed."""

    slug = "query"


class NothingReadError(OomdbError):
    """No run has read a cluster yet: there is nothing to show."""

    slug = "nothing-read"


class ArtifactError(OomdbError):
    """An artifact file cannot be written."""

    slug = "artifact"


class ImportFileError(OomdbError):
    """A file cannot be imported; the message says the line and the reason, the caller which file it is."""

    slug = "import"


class RemoteFolderError(OomdbError):
    """A folder on a web server, or a file of it, cannot be read or written."""

    slug = "remote"


class RemoteUnavailable(RemoteFolderError):
    """No answer, or none that can be used, also after some tries."""


class RemoteForbidden(RemoteFolderError):
    """The server wants a login, or another one."""


class RemoteNotFound(RemoteFolderError):
    """There is no such file or folder."""


class RemoteRefusesMethod(RemoteFolderError):
    """The server takes no files: 405."""


class RemoteLimitReached(RemoteFolderError):
    """More, or something larger, is there than is taken."""


class DetectorError(OomdbError):
    """A detector plug-in cannot be loaded, or none is installed."""

    slug = "detector"


class OwnersError(OomdbError):
    """CODEOWNERS cannot be had: no folder, no file, no repository, or `git` failed."""

    slug = "owners"


class KubeconfigError(OomdbError):
    """A kubeconfig cannot be read, or a field in it is not honoured: the message names the file and the field."""

    slug = "kubeconfig"


class ClusterError(OomdbError):
    """A cluster, or a part of it, could not be read: a gap in the coverage."""

    slug = "failed"


class ClusterUnreachable(ClusterError):
    """No connection: name not resolved, refused, reset, or TLS failed (the message says which check)."""

    slug = "unreachable"


class ClusterTimeout(ClusterUnreachable):
    """The server did not answer in time."""

    slug = "timeout"


class ClusterUnauthorized(ClusterError):
    """401: the credentials are missing, wrong or expired."""

    slug = "unauthorized"


class ClusterForbidden(ClusterError):
    """403: logged in, but not allowed; the sign to go namespace by namespace."""

    slug = "forbidden"


class ClusterNotFound(ClusterError):
    """404: the object, or the whole API group, is not there."""

    slug = "not-found"


class ClusterAnswerError(ClusterError):
    """The server answered, but not with what the API promises: cut, not JSON, a proxy's page, 4xx, 5xx."""

    slug = "bad-answer"


def find_similar(word: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Return the known names of which one may be a slip of the finger, the nearest first."""
    from difflib import get_close_matches  # only a mistake pays for its import

    # more alike than by default: the names of tenants end alike
    return get_close_matches(word, sorted(known), n=limit, cutoff=0.75)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the nearest known one, and all of them."""
    from difflib import get_close_matches  # only a mistake pays for its import

    words = sorted(known)
    nearest = get_close_matches(word, words, n=1)
    return f"{f'did you mean {nearest[0]!r}? Known' if nearest else 'known'}: {', '.join(words) or 'none'}."
