"""Files that a kubeconfig names: read whole, and told with the entry and the field that name them."""

from pathlib import Path

from oomdb.errors import KubeconfigError
from oomdb.kube.contexts import make_plain, show

_MAX_FILE_BYTES = 4 * 1024 * 1024  # the largest bundles of authorities are some hundred KiB


def place_of(file: Path, kind: str, name: str, field: str) -> str:
    """Return the place of a field for a message: its file, entry and name."""
    return f"{make_plain(str(file))}: {kind} {show(name)}: {field}"


def read_named_file(path: Path, place: str) -> bytes:
    """Return what a file holds.

    Args:
        path: the file.
        place: who names it, of `place_of`.

    Raises:
        KubeconfigError: it cannot be read, or is too large for what it should be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as err:  # ValueError: a null byte in the path
        raise KubeconfigError(
            f"{place}: {make_plain(str(path))} cannot be read ({explain_os_error(err)}); correct its path or its mode."
        ) from err
    if len(content) > _MAX_FILE_BYTES:
        raise KubeconfigError(f"{place}: {make_plain(str(path))} is larger than {_MAX_FILE_BYTES >> 20} MiB.")
    return content


def explain_os_error(err: Exception) -> str:
    """Return the system's words without the path, which the message has already."""
    return err.strerror if isinstance(err, OSError) and err.strerror else make_plain(str(err))
