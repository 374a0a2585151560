"""Which proxy leads to a server, by Go's rules, and what is said of one that cannot be used."""

import pytest

from oomdb.kube.proxies import Proxy, UnusableProxyError, find_environment_proxy, parse_proxy

SERVER = "https://api.dev.example.com:6443"
PROXY = "http://proxy.example.com:3128"


def found(server: str = SERVER, **environ: str) -> str | None:
    proxy = find_environment_proxy(server, environ)
    return proxy.url if proxy else None


def test_without_variables_there_is_no_proxy() -> None:
    assert found() is None
    assert found(HTTPS_PROXY="", NO_PROXY="a") is None


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_an_https_server_is_reached_by_the_proxy_for_https(variable: str) -> None:
    proxy = find_environment_proxy(SERVER, {variable: PROXY, "HTTP_PROXY": "http://other:1"})
    assert proxy == Proxy(scheme="http", host="proxy.example.com", port=3128, named_by=variable)


def test_an_http_server_is_reached_by_the_proxy_for_http() -> None:
    assert found("http://api.example.com", HTTP_PROXY=PROXY, HTTPS_PROXY="http://other:1") == PROXY
    assert found("http://api.example.com", HTTPS_PROXY=PROXY) is None


def test_capital_letters_go_before_small_ones() -> None:
    assert found(https_proxy="http://small:1", HTTPS_PROXY="http://capital:1") == "http://capital:1"


def test_a_scheme_may_be_missing_in_the_environment_and_a_port_anywhere() -> None:
    assert found(HTTPS_PROXY="proxy.example.com:3128") == PROXY
    assert found(HTTPS_PROXY="http://proxy.example.com") == "http://proxy.example.com:80"
    assert found(HTTPS_PROXY="https://proxy.example.com/") == "https://proxy.example.com:443"
    assert found(HTTPS_PROXY="http://[fd00::1]:3128") == "http://[fd00::1]:3128"


@pytest.mark.parametrize(
    "exempt",
    [
        "*",
        "a.example.org, * ,b",
        "api.dev.example.com",
        "API.Dev.Example.COM",
        "example.com",
        ".example.com",
        "*.example.com",
        "example.com:6443",
        ".dev.example.com:6443",
        "x, ,dev.example.com",
    ],
)
def test_a_host_that_no_proxy_names_is_reached_directly(exempt: str) -> None:
    assert found(HTTPS_PROXY=PROXY, NO_PROXY=exempt) is None
    assert found(HTTPS_PROXY=PROXY, no_proxy=exempt) is None


@pytest.mark.parametrize(
    "exempt",
    [
        "",
        "ample.com",
        ".api.dev.example.com",
        "example.com:443",
        "example.org",
        ":6443",
        "10.0.0.0/8",
        "*ample.com",
        "/",
    ],
)
def test_a_host_that_no_proxy_does_not_name_is_proxied(exempt: str) -> None:
    assert found(HTTPS_PROXY=PROXY, NO_PROXY=exempt) == PROXY


@pytest.mark.parametrize(
    ("host", "exempt", "direct"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:6443", True),
        ("10.1.2.3", "10.1.2.3:443", False),
        ("10.1.2.3", "10.1.2.3/24", True),
        ("10.1.2.3", "10.1.2", False),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]", "[fd00::1]:6443", True),
        ("[fd00::1]", "10.0.0.0/8", False),
    ],
)
def test_addresses_are_exempt_by_address_or_network(host: str, exempt: str, direct: bool) -> None:
    assert (found(f"https://{host}:6443", HTTPS_PROXY=PROXY, NO_PROXY=exempt) is None) is direct


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_loopback_is_never_reached_by_the_environments_proxy(host: str) -> None:
    assert found(f"https://{host}:6443", HTTPS_PROXY=PROXY) is None


def test_a_password_is_sent_and_not_shown() -> None:
    proxy = parse_proxy("http://me:p%40ss%C3%A9@proxy.example.com:3128", named_by="proxy-url")
    assert proxy.authorization == "Basic bWU6cEBzc8Op"  # me:p@ssé
    assert proxy.url == PROXY
    assert proxy.authorization not in repr(proxy)
    assert "p%40ss" not in repr(proxy)


def test_a_user_without_a_password_is_sent_too() -> None:
    assert parse_proxy("http://me@proxy:1", named_by="proxy-url").authorization == "Basic bWU6"


@pytest.mark.parametrize("url", ["socks5://me:s3cret@proxy:1080", "socks5h://proxy", "socks4://proxy"])
def test_socks_is_refused_by_name(url: str) -> None:
    with pytest.raises(UnusableProxyError) as caught:
        parse_proxy(url, named_by="HTTPS_PROXY")
    assert str(caught.value) == (
        "HTTPS_PROXY names a SOCKS proxy, which is not supported: name one whose URL begins with http:// or https://"
    )


@pytest.mark.parametrize(
    "url", ["proxy:3128", "ftp://me:s3cret@proxy", "http://", "http://me:s3cret@proxy:x", "http://a b", "::"]
)
def test_what_is_no_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnusableProxyError) as caught:
        parse_proxy(url, named_by="proxy-url")
    assert str(caught.value) == "proxy-url is no URL of a proxy; it should look like http://proxy.example.com:3128"
