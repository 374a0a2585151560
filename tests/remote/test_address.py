"""Addresses: what a folder's links lead to, and what leads out of it."""

import pytest

from oomdb.errors import UsageError
from oomdb.remote.address import parse_folder_address
from oomdb.remote.listing import list_links

from .site import apache, jenkins, nginx

FOLDER = parse_folder_address("https://jenkins.example.com/job/oom/ws/output")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://jenkins.example.com/job/oom/ws/output", "https://jenkins.example.com/job/oom/ws/output/"),
        ("HTTPS://Jenkins.example.com:443/a//b/", "https://jenkins.example.com/a/b/"),
        ("http://localhost:8080", "http://localhost:8080/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x/"),
        ("https://h.example/a b/%7Ec/é", "https://h.example/a%20b/~c/%C3%A9/"),
    ],
)
def test_a_folders_address_is_written_in_one_way(typed: str, url: str) -> None:
    assert parse_folder_address(typed).url == url


@pytest.mark.parametrize(
    "typed",
    [
        "https://",
        "https:///output/",
        "ftp://h.example/",
        "https://h.example:port/",
        "https://h.example:99999/",
        "https://[::1/",
        "https://h.example/a?b",
        "https://h.example/a#b",
        "https://h.example/a/../b",
        "https://h.example/a/..%2fb",
        "https://h.example/%00",
        "https://h.example/\udcff",
    ],
)
def test_what_is_no_address_of_a_folder_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="--output-dir"):
        parse_folder_address(typed)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="leave user and password out") as caught:
        parse_folder_address("https://me:hunter2@h.example/output/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("oom_results.csv", "oom_results.csv"),
        ("./oom_results.csv", "oom_results.csv"),
        ("logs_and_description_files/", "logs_and_description_files"),
        ("/job/oom/ws/output/a.txt", "a.txt"),
        ("https://jenkins.example.com/job/oom/ws/output/a.txt", "a.txt"),
        ("//JENKINS.example.com:443/job/oom/ws/output/a.txt#top", "a.txt"),
        ("kind-dev%2C%20%22scratch%22/", 'kind-dev, "scratch"'),
        ("kube:admin", None),  # a scheme, by the rules of URLs
        ("./kube:admin/", "kube:admin"),
        ("%2e%2e%2e.txt", "....txt"),
        ("%252e%252e", "%2e%2e"),
        ("é.txt", "é.txt"),
    ],
)
def test_a_link_within_the_folder_has_a_name(href: str, name: str | None) -> None:
    assert FOLDER.find_name(href) == name


@pytest.mark.parametrize(
    "href",
    [
        "",
        ".",
        "./",
        "..",
        "../",
        "../secret.csv",
        "../output",
        "..%2fsecret.csv",
        "..%2Foutput%2Fa.txt",
        "%2e%2e/",
        "%2e%2e%2fsecret.csv",
        "a/../../secret.csv",
        "a%2fb",
        "a%5cb",
        "..\\secret.csv",
        "/etc/passwd",
        "/job/oom/ws/outputs/a.txt",
        "/job/oom/ws/other.csv",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/csv,x",
        "http://jenkins.example.com/job/oom/ws/output/a.txt",
        "https://jenkins.example.com:8443/job/oom/ws/output/a.txt",
        "https://evil.example/job/oom/ws/output/a.txt",
        "https://jenkins.example.com@evil.example/job/oom/ws/output/a.txt",
        "https://me@jenkins.example.com/job/oom/ws/output/a.txt",
        "//evil.example/job/oom/ws/output/a.txt",
        "https://[jenkins/",
        "https://jenkins.example.com:99999/job/oom/ws/output/a.txt",
        "oom_results.csv/*view*/",
        "?C=N;O=D",
        "oom_results.csv?x=1",
        "a%00b",
        "a%0ab",
        "a%ff",
        "x" * 256,
    ],
)
def test_a_link_that_leaves_the_folder_or_names_no_file_is_not_followed(href: str) -> None:
    assert FOLDER.find_name(href) is None


@pytest.mark.parametrize("page", [apache, nginx, jenkins])
def test_the_pages_of_all_servers_list_the_same(page: object) -> None:
    names = ["oom_results.csv", 'kind-dev, "scratch"/', "a&b<c>.txt"]
    written = page(names)  # type: ignore[operator]
    assert list_links(written, FOLDER) == ["oom_results.csv", 'kind-dev, "scratch"', "a&b<c>.txt"]


def test_a_base_that_the_page_claims_is_not_believed() -> None:
    page = '<base href="https://evil.example/"><A HREF = a.txt>a</A><a name="x">x</a><a href>y</a><a href="b.txt'
    assert list_links(page, FOLDER) == ["a.txt"]


def test_names_are_escaped_in_what_is_asked_for() -> None:
    assert FOLDER.folder('kind-dev, "scratch"').file_url("c?d#e%2f") == (
        "https://jenkins.example.com/job/oom/ws/output/kind-dev%2C%20%22scratch%22/c%3Fd%23e%252f"
    )
