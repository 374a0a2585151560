"""Where CODEOWNERS is read from: a folder that is there, or a shallow clone that is gone afterwards."""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from oomdb.errors import OwnersError
from oomdb.owners.codeowners import FILES, Codeowners, load_codeowners
from oomdb.processes import CommandFailed, run_to_end
from oomdb.settings import mask_password
from oomdb.table import escape_controls

CLONE_TIMEOUT_SECONDS = 180.0

_TRANSPORTS = ("https", "http", "ssh", "file")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?:://|::)")
_MAX_OUTPUT_BYTES = 1 << 20
# what `git rev-parse --local-env-vars` lists of where a repository is: set in hooks, and not about the clone
_OF_ANOTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
)
_NEVER_ASK = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # no program, also where core.askPass names one
    "GCM_INTERACTIVE": "never",  # Git Credential Manager's windows
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",  # since OpenSSH 8.4
}


@contextmanager
def open_codeowners(
    folder: Path | None,
    repo_url: str | None,
    *,
    environ: Mapping[str, str] | None = None,
    timeout_seconds: float = CLONE_TIMEOUT_SECONDS,
) -> Iterator[Codeowners]:
    """Read the folder's CODEOWNERS; without a folder those of the repository, cloned for as long as they are open.

    Args:
        folder: a checkout.
        repo_url: https, http, ssh, file, `user@host:path` or a local path.
        environ: in place of our own environment.
        timeout_seconds: for all that `git` does.

    Raises:
        OwnersError: there is neither, or it cannot be had; the URL's password is masked.
    """
    if folder is not None:
        yield load_codeowners(folder)
        return
    if repo_url is None:
        raise OwnersError("There is no CODEOWNERS: give --codeowners-dir a checkout, or --codeowners-repo its URL.")
    _check_url(repo_url)
    with tempfile.TemporaryDirectory(prefix="oomdb-codeowners-", ignore_cleanup_errors=True) as scratch:
        clone = Path(scratch) / "clone"
        _clone(repo_url, clone, os.environ if environ is None else environ, timeout_seconds)
        yield load_codeowners(clone)


def without_repository(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what ties `git` to another repository than that of its folder."""
    return {name: value for name, value in environ.items() if name not in _OF_ANOTHER_REPOSITORY}


def _check_url(url: str) -> None:
    scheme = _SCHEME.match(url)
    shown = escape_controls(mask_password(url))
    if not url.isprintable() or not url or url.startswith("-"):
        raise OwnersError(f"--codeowners-repo '{shown}' is no URL of a repository.")
    if scheme and (scheme[1].lower() not in _TRANSPORTS or scheme[0].endswith("::")):
        raise OwnersError(f"--codeowners-repo '{shown}': of transports, only {', '.join(_TRANSPORTS)} are used.")


def _clone(url: str, clone: Path, environ: Mapping[str, str], timeout_seconds: float) -> None:
    """Clone the newest commit without its files, of which there are many, then take those that are read."""
    deadline = time.monotonic() + timeout_seconds
    environ = without_repository(environ) | {
        "GIT_ALLOW_PROTOCOL": ":".join(_TRANSPORTS),  # also for redirections and submodules
        **_NEVER_ASK,
        "GIT_LFS_SKIP_SMUDGE": "1",
    }
    # links come as small texts: none of a foreign repository is followed
    small = ("--depth=1", "--filter=blob:none", "--sparse", "--no-tags", "--config=core.symlinks=false", "--quiet")
    files = [f"/{name}" for name in FILES]
    for command in (
        ["git", "clone", *small, "--", url, str(clone)],
        ["git", "-C", str(clone), "sparse-checkout", "set", "--no-cone", *files],
    ):
        _run_git(command, url, environ, max(0.0, deadline - time.monotonic()))


def _run_git(command: list[str], url: str, environ: Mapping[str, str], timeout_seconds: float) -> None:
    shown = escape_controls(mask_password(url))
    try:
        run_to_end(command, environ=environ, timeout_seconds=timeout_seconds, max_output_bytes=_MAX_OUTPUT_BYTES)
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise OwnersError(
            f"git cannot be started ({reason}) to clone {shown}: install it, or give --codeowners-dir a checkout."
        ) from err
    except CommandFailed as err:
        # not chained: what git said may have the password
        said = mask_password(err.said)
        raise OwnersError(f"git could not clone {shown}: it {err}{f', saying: {said}' if said else '.'}") from None
