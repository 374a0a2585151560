"""The options of everything that tells whose a namespace is, and what becomes of them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from oomdb.cli.options import Option, with_options
from oomdb.cli.types import PATH

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerWishes:
    """Where CODEOWNERS is, and whether `glab` may tell who is behind an account."""

    folder: Path | None
    repo_url: str | None = field(repr=False)  # may hold a password: show it through `mask_password`
    use_glab: bool

    @property
    def are_given(self) -> bool:
        """Whether owners are to be told at all."""
        return self.folder is not None or self.repo_url is not None


def owner_options(function: _Function) -> _Function:
    """Add the options, and hand the command an `OwnerWishes` as `owners`."""

    @functools.wraps(function)
    def wrapper(
        *args: Any, codeowners_dir: Path | None, codeowners_repo: str | None, no_glab: bool, **kwargs: Any
    ) -> Any:
        wishes = OwnerWishes(folder=codeowners_dir, repo_url=codeowners_repo or None, use_glab=not no_glab)
        return function(*args, owners=wishes, **kwargs)

    decorated: _Function = with_options(wrapper, declare_owner_options())
    return decorated


def declare_owner_options() -> list[Option]:
    """Return the options, each time anew."""
    return [
        Option(
            ["-c", "--codeowners-dir"],
            metavar="DIR",
            type=PATH,
            default=None,
            help="Tell owners by CODEOWNERS and staging/CODEOWNERS of this checkout.",
        ),
        Option(
            ["--codeowners-repo"],
            metavar="URL",
            default=None,
            help="Without -c: by those of this repository, which is cloned for a moment.",
        ),
        Option(["--no-glab"], is_flag=True, default=False, help="Ask GitLab for no names and addresses of owners."),
    ]
