"""Logins: which variables count, what is sent, and that no secret is ever shown."""

import base64
from pathlib import Path

import pytest

from oomdb.errors import UsageError
from oomdb.remote.login import Login, find_login

HOST = "jenkins.example.com"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def put_netrc(home: Path, text: str, mode: int = 0o600) -> None:
    (home / ".netrc").write_text(text)
    (home / ".netrc").chmod(mode)


@pytest.mark.parametrize(
    ("environ", "login"),
    [
        ({}, None),
        ({"REMOTE_USER": "me"}, None),
        ({"JENKINS_USER": "me", "JENKINS_TOKEN": " "}, None),
        ({"REMOTE_TOKEN": "abc"}, Login("Cookie", "token=abc", "REMOTE_TOKEN")),
        ({"REMOTE_TOKEN": "YWJj=="}, Login("Cookie", "token=YWJj==", "REMOTE_TOKEN")),
        ({"REMOTE_TOKEN": "JSESSIONID.1=abc; b=c\n"}, Login("Cookie", "JSESSIONID.1=abc; b=c", "REMOTE_TOKEN")),
        (
            {"REMOTE_USER": "me", "REMOTE_TOKEN": "abc", "JENKINS_USER": "other", "JENKINS_TOKEN": "x"},
            Login("Authorization", basic("me", "abc"), "REMOTE_USER and REMOTE_TOKEN"),
        ),
        (
            {"REMOTE_USER": "me", "JENKINS_USER": "other", "JENKINS_TOKEN": "x:y"},
            Login("Authorization", basic("other", "x:y"), "JENKINS_USER and JENKINS_TOKEN"),
        ),
    ],
)
def test_the_first_login_that_is_set_counts(environ: dict[str, str], login: Login | None) -> None:
    assert find_login(environ, HOST) == login


def test_netrc_is_asked_for_the_host_where_no_variable_is_set(home: Path) -> None:
    put_netrc(home, f"machine other login a password b\nmachine {HOST} login me password abc\n")
    assert find_login({}, HOST) == Login("Authorization", basic("me", "abc"), "~/.netrc")
    assert find_login({}, "third.example.com") is None
    assert find_login({"REMOTE_TOKEN": "a=b"}, HOST) == Login("Cookie", "a=b", "REMOTE_TOKEN")


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("machine h\nlogin me passwd hunter2", 0o600, "cannot be used"),
        (f"machine {HOST} login me password hunter2", 0o644, "chmod 600"),
        ("machine \udcff", 0o600, "cannot be read"),
    ],
)
def test_a_netrc_that_cannot_be_used_is_said_without_its_content(home: Path, text: str, mode: int, told: str) -> None:
    (home / ".netrc").write_bytes(text.encode("utf-8", "surrogateescape"))
    (home / ".netrc").chmod(mode)
    with pytest.raises(UsageError, match=told) as caught:
        find_login({}, HOST)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None or "hunter2" not in str(caught.value.__cause__)


@pytest.mark.parametrize("value", ["hunter2\r\nX-Evil: 1", "hunter2\0", "hunter2é", "hunter2\x7f"])
@pytest.mark.parametrize("name", ["REMOTE_TOKEN", "JENKINS_USER"])
def test_a_value_that_no_header_can_hold_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has letters that cannot be sent") as caught:
        find_login({name: value}, HOST)
    assert "hunter2" not in str(caught.value)


def test_a_login_that_is_printed_shows_no_secret() -> None:
    assert "hunter2" not in repr(find_login({"REMOTE_TOKEN": "hunter2"}, HOST))
