"""The folder on a web server: listed, downloaded and uploaded to, whatever the server does."""

import base64
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from oomdb.errors import (
    RemoteFolderError,
    RemoteForbidden,
    RemoteLimitReached,
    RemoteRefusesMethod,
    RemoteUnavailable,
)
from oomdb.remote.address import parse_folder_address
from oomdb.remote.connection import Connection
from oomdb.remote.folder import Limits, Outcome, RemoteFolder
from oomdb.remote.login import Login
from tests.kube.proxy import run_proxy

from .site import HTML, ROOT, Reply, Request, Site, apache, jenkins, nginx, serving

LOGIN = Login("Authorization", "Basic aHVudGVyMg==", "REMOTE_USER and REMOTE_TOKEN")
FILES = {
    "oom_results.csv": b"cluster,namespace\r\n",
    "logs_and_description_files/prod-a/a.txt": b"a",
    "logs_and_description_files/kube:admin/b.txt": b"bb",
}


@contextmanager
def opened(
    site: Site,
    *,
    login: Login | None = LOGIN,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    pauses: list[float] | None = None,
) -> Iterator[RemoteFolder]:
    """Open a site's folder; it waits for nothing, and notes how long it would."""
    told = [] if pauses is None else pauses
    address = parse_folder_address(site.url)
    with closing(Connection(address, login, tls=tls, sleep=told.append)) as connection:
        yield RemoteFolder(connection, limits=limits)


@pytest.mark.parametrize("page", [apache, nginx, jenkins])
def test_folders_are_listed_and_files_downloaded_with_their_times(
    page: Callable[[list[str]], str], tmp_path: Path
) -> None:
    with serving(Site(dict(FILES), page=page)) as site, opened(site) as folder:
        assert folder.list_names() == ["logs_and_description_files", "oom_results.csv"]
        assert folder.list_names("logs_and_description_files") == ["kube:admin", "prod-a"]
        assert folder.list_names("tarballs") is None
        wanted = [tuple(path.split("/")) for path in FILES]
        assert folder.download(wanted, tmp_path) == [Outcome(names, "") for names in wanted]
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == FILES
    assert (tmp_path / "oom_results.csv").stat().st_mtime == 1772460301  # as the server said
    assert all(request.headers["Authorization"] == LOGIN.value for request in site.requests)


def test_several_folders_are_listed_and_what_is_none_is_left_out() -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(403) if "kube:admin" in request.path or "kube%3Aadmin" in request.path else None

    with serving(Site(dict(FILES), answer=refuse)) as site, opened(site) as folder:
        places = [("logs_and_description_files", name) for name in ("prod-a", "kube:admin", "readme.txt")]
        listed = folder.list_several(places)
    assert listed.names == {places[0]: ["a.txt"]}
    assert len(listed.problems) == 1
    assert "not allowed (HTTP 403)" in listed.problems[0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_asked_for_again_as_long_as_the_server_says(status: int, tmp_path: Path) -> None:
    replies = [
        Reply(status, headers={"Retry-After": "7"}),
        Reply(status),
        Reply(status, headers={"Retry-After": "9999"}),
    ]
    pauses: list[float] = []
    with (
        serving(Site(dict(FILES), answer=lambda _: replies.pop(0) if replies else None)) as site,
        opened(site, pauses=pauses) as folder,
    ):
        assert folder.download([("oom_results.csv",)], tmp_path) == [Outcome(("oom_results.csv",), "")]
    assert pauses[0] == 7
    assert 1.5 <= pauses[1] <= 2.5
    assert pauses[2] == 60


def test_an_answer_that_is_cut_is_asked_for_again_and_not_joined(tmp_path: Path) -> None:
    replies = [Reply(body=b"clus", cut=True)]
    with (
        serving(Site(dict(FILES), answer=lambda _: replies.pop(0) if replies else None)) as site,
        opened(site) as folder,
    ):
        assert folder.download([("oom_results.csv",)], tmp_path) == [Outcome(("oom_results.csv",), "")]
    assert (tmp_path / "oom_results.csv").read_bytes() == FILES["oom_results.csv"]


def test_what_stays_unavailable_is_a_problem_of_that_file_alone_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    def break_one(request: Request) -> Reply | None:
        return Reply(body=b"clus", cut=True) if request.path.endswith(".csv") else None

    wanted = [("oom_results.csv",), ("logs_and_description_files", "prod-a", "a.txt"), ("missing.json",)]
    done = []
    with serving(Site(dict(FILES), answer=break_one)) as site, opened(site) as folder:
        outcomes = folder.download(wanted, tmp_path, on_done=lambda: done.append(1))
        url = site.url
    assert outcomes == [
        Outcome(wanted[0], f"{url}oom_results.csv: the answer was cut off (5 tries)."),
        Outcome(wanted[1], ""),
        Outcome(wanted[2], f"{url}missing.json: there is no such file or folder (HTTP 404)."),
    ]
    assert not (tmp_path / "oom_results.csv").exists()
    assert len(done) == 3


def test_a_server_that_is_not_there_is_said_after_some_tries() -> None:
    with serving(Site({})) as site:
        pass
    pauses: list[float] = []
    with opened(site, pauses=pauses) as folder, pytest.raises(RemoteUnavailable, match=r"no connection \(5 tries\)"):
        folder.list_names()
    assert len(pauses) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.example/login?from=oom",
        "https://127.0.0.1/job/oom/ws/output/",
        "/login?from=%2Fjob",
        "/job/oom/ws/",
        "..%2f..%2f",
        "//evil.example/job/oom/ws/output/",
        "",
        "http://[",
    ],
)
def test_a_redirect_out_of_the_folder_is_not_followed(location: str) -> None:
    with (
        serving(Site({}, answer=lambda _: Reply(302, headers={"Location": location}))) as site,
        opened(site, login=None) as folder,
        pytest.raises(
            RemoteFolderError, match=r"out of the folder, to log in perhaps, or to https: set REMOTE_USER|in a circle"
        ),
    ):
        folder.list_names()
    assert set(site.asked_for()) == {ROOT}


def test_a_login_is_never_sent_to_another_server() -> None:
    with serving(Site(dict(FILES))) as other:
        elsewhere = Reply(307, headers={"Location": other.url})
        with (
            serving(Site({}, answer=lambda _: elsewhere)) as site,
            opened(site) as folder,
            pytest.raises(RemoteForbidden),
        ):
            folder.list_names()
    assert other.requests == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("login", [None, LOGIN])
def test_a_refusal_says_which_variables_to_set_and_no_secret(status: int, login: Login | None) -> None:
    with (
        serving(Site({}, answer=lambda _: Reply(status, b"hunter2"))) as site,
        opened(site, login=login) as folder,
        pytest.raises(RemoteForbidden, match="JENKINS_USER and JENKINS_TOKEN") as caught,
    ):
        folder.list_names()
    assert "hunter2" not in str(caught.value)
    assert "aHVudGVyMg" not in str(caught.value)
    assert len(site.requests) == 1


@pytest.mark.parametrize("reply", [Reply(body=b"{}", headers={"Content-Type": "application/json"}), Reply(body=b"x")])
def test_what_is_no_page_is_not_taken_for_an_empty_folder(reply: Reply) -> None:
    with (
        serving(Site({}, answer=lambda _: reply)) as site,
        opened(site) as folder,
        pytest.raises(RemoteFolderError, match="sends no HTML page"),
    ):
        folder.list_names()


def test_names_that_would_leave_the_local_folder_are_not_listed() -> None:
    page = "".join(f'<a href="{href}">x</a>' for href in ("..%2fa.csv", "%2e%2e", "/etc/passwd", "b%00", "c.csv"))
    with (
        serving(Site({}, answer=lambda _: Reply(body=page.encode(), headers=HTML))) as site,
        opened(site) as folder,
    ):
        assert folder.list_names() == ["c.csv"]


def test_what_is_beyond_the_limits_is_said_and_not_taken(tmp_path: Path) -> None:
    files = {f"{number}.txt": bytes(100 + number) for number in range(4)}
    wanted = [(name,) for name in files]
    with serving(Site(files)) as site:
        with opened(site, limits=Limits(file_bytes=101)) as folder:
            sizes = folder.download(wanted, tmp_path / "sizes")
        with opened(site, limits=Limits(total_bytes=250)) as folder:
            total = folder.download(wanted, tmp_path / "total")
        with opened(site, limits=Limits(files=3)) as folder:
            number = folder.download(wanted, tmp_path / "number")
        with opened(site, limits=Limits(folders=1)) as folder:
            folders = folder.list_several([("a",), ("b",), ("c",)])
        with opened(site, limits=Limits(page_bytes=50)) as folder, pytest.raises(RemoteLimitReached, match="its page"):
            folder.list_names()
    assert [bool(it.problem) for it in sizes] == [False, False, True, True]
    assert sorted(os.listdir(tmp_path / "sizes")) == ["0.txt", "1.txt"]
    assert sum(bool(it.problem) for it in total) == 2
    assert [it.problem for it in number] == ["", "", "", "not downloaded: more than 3 files are wanted"]
    assert "2 folders were not looked into" in folders.problems[0]


def test_a_file_that_cannot_be_written_here_is_a_problem_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "oom_results.csv").mkdir()
    with serving(Site(dict(FILES))) as site, opened(site) as folder:
        outcomes = folder.download([("oom_results.csv",), ("logs_and_description_files", "prod-a", "a.txt")], tmp_path)
    assert [it.problem for it in outcomes] == ["Is a directory", ""]


def test_a_download_that_is_interrupted_asks_for_nothing_again(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def delay_all_but_one(request: Request) -> Reply | None:
        return None if request.path.endswith(".csv") else Reply(503, headers={"Retry-After": "1"})

    wanted = [("oom_results.csv",), *((f"{number}.txt",) for number in range(100))]
    with serving(Site(dict(FILES), answer=delay_all_but_one)) as site:
        connection = Connection(parse_folder_address(site.url), None)
        with closing(connection), pytest.raises(KeyboardInterrupt):
            RemoteFolder(connection).download(wanted, tmp_path, on_done=interrupt)
    asked = site.asked_for()
    assert len(asked) == len(set(asked)) < 101


def test_a_file_is_uploaded_whole_also_at_the_second_try(tmp_path: Path) -> None:
    file = tmp_path / "a b.tgz"
    file.write_bytes(os.urandom(2**20))
    replies = [Reply(503)]
    with (
        serving(Site({}, answer=lambda _: replies.pop() if replies else None)) as site,
        opened(site) as folder,
    ):
        folder.upload(file, "tarballs")
    assert site.files == {"tarballs/a b.tgz": file.read_bytes()}
    assert site.asked_for("PUT") == [f"{ROOT}tarballs/a%20b.tgz"] * 2


@pytest.mark.parametrize("status", [405, 501])
def test_a_server_that_takes_no_files_is_told_by_its_name(status: int, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"a")
    with (
        serving(Site({}, answer=lambda _: Reply(status))) as site,
        opened(site) as folder,
        pytest.raises(RemoteRefusesMethod, match="the server does not allow PUT"),
    ):
        folder.upload(tmp_path / "a.tgz", "tarballs")
    assert len(site.requests) == 1


def test_an_upload_that_is_sent_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"a")
    with (
        serving(Site({}, answer=lambda _: Reply(307, headers={"Location": f"{ROOT}b.tgz"}))) as site,
        opened(site) as folder,
        pytest.raises(RemoteUnavailable, match="sends uploads elsewhere"),
    ):
        folder.upload(tmp_path / "a.tgz")


def test_a_trusted_certificate_is_enough() -> None:
    with serving(Site(dict(FILES)), tls=True) as site:
        trust = ssl.create_default_context(cadata=site.authority_pem)
        with opened(site, tls=trust) as folder:
            assert folder.list_names() == ["logs_and_description_files", "oom_results.csv"]


@pytest.mark.parametrize(("expired", "name"), [(True, "127.0.0.1"), (False, "elsewhere.example.com")])
def test_a_certificate_that_is_expired_or_of_another_name_is_refused_at_once(expired: bool, name: str) -> None:
    with serving(Site(dict(FILES)), tls=True, expired=expired, name=name) as site:
        trust = ssl.create_default_context(cadata=site.authority_pem)
        with (
            opened(site, tls=trust) as folder,
            pytest.raises(RemoteUnavailable, match="its certificate is not trusted"),
        ):
            folder.list_names()
    assert site.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused_by_default() -> None:
    pauses: list[float] = []
    with (
        serving(Site(dict(FILES)), tls=True) as site,
        opened(site, pauses=pauses) as folder,
        pytest.raises(RemoteUnavailable, match="add its authority to the system's trust store"),
    ):
        folder.list_names()
    assert pauses == []


def test_a_server_that_speaks_no_tls_is_not_called_untrusted() -> None:
    with serving(Site(dict(FILES))) as site:
        site.url = site.url.replace("http:", "https:")
        with opened(site) as folder, pytest.raises(RemoteUnavailable, match=r"TLS failed .* \(5 tries\)"):
            folder.list_names()


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_of_the_environment_leads_to_the_server_and_gets_no_login(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorization = "Basic " + base64.b64encode(b"me:of-the-proxy").decode()
    with (
        run_proxy(tmp_path, authorization=authorization) as proxy,
        serving(Site(dict(FILES)), tls=tls) as site,
    ):
        monkeypatch.setenv("https_proxy" if tls else "http_proxy", proxy.url("me:of-the-proxy@"))
        trust = ssl.create_default_context(cadata=site.authority_pem) if tls else None
        with opened(site, tls=trust) as folder:
            assert folder.list_names("logs_and_description_files") == ["kube:admin", "prod-a"]
        asked = proxy.requests
    assert len(asked) == 1
    assert asked[0].startswith("CONNECT 127.0.0.1:" if tls else f"GET {site.url}")
    assert "Proxy-Authorization" not in site.requests[0].headers


def test_a_proxy_that_refuses_is_named_as_the_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_proxy(tmp_path, refuse=407) as proxy, serving(Site(dict(FILES)), tls=True) as site:
        monkeypatch.setenv("https_proxy", proxy.url())
        with opened(site) as folder, pytest.raises(RemoteUnavailable, match="the proxy gives no connection"):
            folder.list_names()


def test_a_proxy_that_is_no_url_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:hunter2@[::/")
    with pytest.raises(RemoteUnavailable, match="https_proxy is no URL") as caught:
        Connection(parse_folder_address("https://jenkins.example.com/output/"), None)
    assert "hunter2" not in str(caught.value)
