"""Checkouts with CODEOWNERS files, and repositories of them."""

import os
import subprocess
from pathlib import Path

RULES = """
# who may merge
* @admins
/tenants-config/cluster/prod-a/tenants/shop/ @jdoe
"""


def write_codeowners(folder: Path, rules: str | None = RULES, *, staging: str | None = None) -> Path:
    """Write the files into a folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if rules is not None:
        (folder / "CODEOWNERS").write_text(rules)
    if staging is not None:
        (folder / "staging").mkdir()
        (folder / "staging" / "CODEOWNERS").write_text(staging)
    return folder


def make_repository(folder: Path, rules: str | None = RULES, *, staging: str | None = None) -> Path:
    """Make a git repository with the files, some others, and two commits; return its folder."""
    write_codeowners(folder, rules, staging=staging)
    (folder / "tenants-config").mkdir()
    (folder / "tenants-config" / "large.yaml").write_text("a: 1\n")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    for message in ("first", "second"):
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return folder


def _git(folder: Path, *args: str) -> None:
    author = {f"GIT_{who}_{what}": "oomdb" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | author
    subprocess.run(["git", *args], cwd=folder, env=environ | {"GIT_CONFIG_GLOBAL": os.devnull}, check=True)
