"""Cloning a repository for its CODEOWNERS, and what is left of that."""

import os
import re
from pathlib import Path

import pytest

from oomdb.errors import OwnersError
from oomdb.owners.checkout import open_codeowners
from tests.owners.checkouts import make_repository, write_codeowners
from tests.owners.commands import with_commands, write_command
from tests.remote.site import Reply, Site, serving


def test_a_folder_is_read_where_it_lies_also_if_a_repository_is_named(tmp_path: Path) -> None:
    folder = write_codeowners(tmp_path / "checkout")
    with open_codeowners(folder, "https://nowhere.invalid/x.git") as codeowners:
        assert codeowners.owners_of("prod-a", "shop") == ("@jdoe",)
        assert codeowners.folder == folder


@pytest.mark.parametrize("spelling", ["{}", "file://{}"])
def test_a_repository_is_cloned_for_as_long_as_it_is_open(tmp_path: Path, spelling: str) -> None:
    staging = "/tenants-config/cluster/stg/tenants/t/ @stg\n"
    repository = make_repository(tmp_path / "it's a repo", staging=staging)
    with open_codeowners(None, spelling.format(repository)) as codeowners:
        assert codeowners.owners_of("prod-a", "shop") == ("@jdoe",)
        assert codeowners.owners_of("stg", "t") == ("@stg",)
    assert not codeowners.folder.exists()


def test_a_clone_has_one_commit_and_no_other_file(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", staging="* @stg\n")
    with open_codeowners(None, repository.as_uri()) as codeowners:
        files = sorted(str(file.relative_to(codeowners.folder)) for file in codeowners.folder.rglob("*"))
        assert [name for name in files if not name.startswith(".git")] == [
            "CODEOWNERS",
            "staging",
            "staging/CODEOWNERS",
        ]
        assert (codeowners.folder / ".git" / "shallow").is_file()


def test_a_clone_is_removed_also_when_the_work_with_it_fails(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo")
    with pytest.raises(KeyboardInterrupt), open_codeowners(None, str(repository)) as codeowners:
        raise KeyboardInterrupt
    assert not codeowners.folder.exists()


def test_variables_of_a_hook_do_not_lead_the_clone_into_another_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo")
    environ = dict(os.environ, GIT_DIR=str(tmp_path / "other.git"), GIT_WORK_TREE=str(tmp_path), GIT_INDEX_FILE="x")
    with open_codeowners(None, str(repository), environ=environ) as codeowners:
        assert codeowners.owners_of("prod-a", "shop") == ("@jdoe",)


def test_a_link_in_a_foreign_repository_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("* @secret\n")
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "staging").mkdir()
    (folder / "staging" / "CODEOWNERS").symlink_to(tmp_path / "secret")
    with open_codeowners(None, str(make_repository(folder))) as codeowners:
        assert not (codeowners.folder / "staging" / "CODEOWNERS").is_symlink()
        assert codeowners.owners_of("any", "other") == ("@admins",)


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch {mark}",
        "-u touch {mark}",
        "ext::sh -c 'touch {mark}'",
        "EXT::sh -c 'touch {mark}'",
        "fd::17",
        "https::touch {mark}",
        "git://example.com/x",
        "ftp://example.com/x",
        "x\n--upload-pack=touch {mark}",
        "x\x00",
        "",
    ],
)
def test_a_url_that_would_run_something_is_refused_before_git_sees_it(tmp_path: Path, url: str) -> None:
    mark = tmp_path / "mark"
    log = tmp_path / "log"
    write_command(tmp_path / "bin", "git", f"#!/bin/sh\necho $@ > {log}\n")
    with (
        pytest.raises(OwnersError, match=r"^--codeowners-repo") as caught,
        open_codeowners(None, url.format(mark=mark), environ=with_commands(tmp_path / "bin")),
    ):
        raise AssertionError
    assert "\n" not in str(caught.value)
    assert not mark.exists()
    assert not log.exists()


@pytest.mark.parametrize("url", ["ssh://-oProxyCommand=touch%20{mark}/x", "-oProxyCommand=touch {mark}:x"])
def test_a_host_that_is_an_option_runs_nothing(tmp_path: Path, url: str) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(OwnersError), open_codeowners(None, url.format(mark=mark)):
        raise AssertionError
    assert not mark.exists()


def test_git_may_use_no_other_transport_also_where_a_server_redirects(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_command(
        tmp_path / "bin", "git", f'#!/bin/sh\necho "$GIT_ALLOW_PROTOCOL $GIT_TERMINAL_PROMPT" > {log}\nexit 1\n'
    )
    with (
        pytest.raises(OwnersError),
        open_codeowners(None, "git@example.com:x.git", environ=with_commands(tmp_path / "bin")),
    ):
        raise AssertionError
    assert log.read_text() == "https:http:ssh:file 0\n"


@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_ASKPASS": "{0}/ask"},
        {"SSH_ASKPASS": "{0}/ask"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.askPass", "GIT_CONFIG_VALUE_0": "{0}/ask"},
    ],
)
def test_a_repository_that_wants_a_login_is_said_and_nobody_is_asked_for_it(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    write_command(tmp_path / "bin", "ask", f"#!/bin/sh\ntouch {tmp_path / 'asked'}\necho me\n")
    environ = (
        os.environ | {"no_proxy": "*"} | {name: value.format(tmp_path / "bin") for name, value in variables.items()}
    )
    login_wanted = Reply(401, headers={"WWW-Authenticate": 'Basic realm="git"'})
    with (
        serving(Site({}, answer=lambda _: login_wanted)) as site,
        pytest.raises(OwnersError, match="could not read Username"),
        open_codeowners(None, f"{site.url}x.git", environ=environ),
    ):
        raise AssertionError
    assert not (tmp_path / "asked").exists()


def test_ssh_asks_nobody_for_a_passphrase(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_command(tmp_path / "bin", "ssh", f'#!/bin/sh\necho "[$SSH_ASKPASS] $SSH_ASKPASS_REQUIRE" > {log}\nexit 1\n')
    environ = with_commands(tmp_path / "bin") | {"SSH_ASKPASS": "/usr/bin/ask", "SSH_ASKPASS_REQUIRE": "force"}
    with pytest.raises(OwnersError), open_codeowners(None, "git@example.com:x.git", environ=environ):
        raise AssertionError
    assert log.read_text() == "[] never\n"


def test_a_repository_that_is_not_there_is_said_with_what_git_says(tmp_path: Path) -> None:
    with (
        pytest.raises(OwnersError, match=r"git could not clone .*nowhere: it failed with exit code \d+, saying: .*"),
        open_codeowners(None, str(tmp_path / "nowhere")),
    ):
        raise AssertionError


def test_a_repository_without_codeowners_is_said(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", None)
    with pytest.raises(OwnersError, match="has neither CODEOWNERS"), open_codeowners(None, str(repository)):
        raise AssertionError


@pytest.mark.parametrize("login", ["me:hunter2", "hunter2"])
def test_the_login_of_a_url_is_shown_nowhere(tmp_path: Path, login: str) -> None:
    script = '#!/bin/sh\nfor last in "$@"; do case $last in https*) echo "fatal: no $last" >&2;; esac; done; exit 128\n'
    write_command(tmp_path / "bin", "git", script)
    with (
        pytest.raises(OwnersError) as caught,
        open_codeowners(None, f"https://{login}@example.com/x.git", environ=with_commands(tmp_path / "bin")),
    ):
        raise AssertionError
    told = repr([caught.value, caught.value.__cause__])
    assert "hunter2" not in told
    assert told.count("https://***@example.com/x.git") == 2


def test_git_that_hangs_is_stopped_with_all_that_it_started_and_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f'#!/bin/sh\nsleep 600 &\nfor clone in "$@"; do :; done\nmkdir "$clone"\necho "$! $clone" > {log}\nwait\n'
    write_command(tmp_path / "bin", "git", script)
    environ = with_commands(tmp_path / "bin")
    with (
        pytest.raises(OwnersError, match=r"it did not end within [\d.]+ seconds and was stopped"),
        open_codeowners(None, "https://example.com/x.git", environ=environ, timeout_seconds=2),
    ):
        raise AssertionError
    child, _, clone = log.read_text().strip().partition(" ")
    assert not re.search(r"^State:\s+[^Z]", _status_of(int(child)), re.MULTILINE)
    assert not Path(clone).exists()


def _status_of(process: int) -> str:
    """Return what Linux tells of a process; a child that nobody waited for stays a while as a zombie."""
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""


def test_without_git_the_folder_is_advised(tmp_path: Path) -> None:
    with (
        pytest.raises(OwnersError, match=r"git cannot be started .*: install it, or give --codeowners-dir"),
        open_codeowners(None, "https://example.com/x.git", environ={"PATH": str(tmp_path)}),
    ):
        raise AssertionError


def test_without_folder_and_repository_both_options_are_named() -> None:
    with pytest.raises(OwnersError, match=r"--codeowners-dir .* --codeowners-repo"), open_codeowners(None, None):
        raise AssertionError
