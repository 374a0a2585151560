"""Commands that stand in for `glab` and `git`: small scripts in a folder of their own, first in PATH."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

PEOPLE = {
    "jdoe": {"username": "jdoe", "name": "Jane Doe", "public_email": "jane@example.com"},
    "shy": {"username": "shy", "name": "Shy Person", "public_email": ""},
}
ANSWERS_LIKE_GITLAB = """#!/bin/sh
echo "$@" >> {log}
account="${{2#users?username=}}"
cat "{folder}/$account.json" 2>/dev/null || echo '[]'
"""


def write_command(folder: Path, name: str, script: str) -> Path:
    """Make an executable script and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def write_glab(folder: Path, people: Mapping[str, Mapping[str, object]] = PEOPLE) -> Path:
    """Make a `glab` that knows people, and return the file in which it notes what it was asked."""
    for account, person in people.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{account}.json").write_text(json.dumps([person]))
    log = folder / "glab.log"
    write_command(folder, "glab", ANSWERS_LIKE_GITLAB.format(log=log, folder=folder))
    return log


def with_commands(folder: Path) -> dict[str, str]:
    """Return our environment with the folder first in PATH."""
    return dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
