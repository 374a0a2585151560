"""File names made of names that anybody may have chosen."""

import hashlib
import re

LONGEST_NAME_BYTES = 255  # of one file or folder name, on every file system in use


def safe_name(name: str, *, limit: int = LONGEST_NAME_BYTES) -> str:
    """Return a name that is one plain file name everywhere: `A-Za-z0-9_.-` only, at most `limit` bytes.

    A name that is safe already stays as it is. Any other is changed (other characters and doubled `_` become one `_`,
    so that `__` can part names within a file name) and gets a hash of the full name, so that two names never become
    the same one: `kube:admin` → `kube_admin-4f0e6ae1c3`.
    """
    safe = _REPLACED.sub("_", name)
    if safe == name and len(safe) <= limit and not _is_special(safe):
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    readable = safe.lstrip(".")[: limit - len(digest) - 1].rstrip(".-")
    if _is_special(readable):
        readable = ""
    return f"{readable or '_'}-{digest}"


_DIGEST_LENGTH = 10
_REPLACED = re.compile(r"[^A-Za-z0-9_.-]+|_{2,}")
# Windows takes these for devices, whatever their ending, and drops a dot at the end: folders are copied there too.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def _is_special(name: str) -> bool:
    return not name or name.startswith((".", "-")) or name.endswith(".") or _DEVICE.fullmatch(name) is not None
