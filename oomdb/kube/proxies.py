"""Which proxy leads to a server: the kubeconfig's proxy-url, else the environment's, by the rules of Go (so kubectl's).

Source: golang.org/x/net/http/httpproxy, client-go tools/clientcmd (proxy-url goes before the environment).
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy; `named_by` is the field or variable that names it."""

    scheme: str
    host: str
    port: int
    named_by: str
    authorization: str = field(default="", repr=False)  # the value of Proxy-Authorization

    @property
    def url(self) -> str:
        """The proxy's URL, without user and password."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class UnusableProxyError(Exception):
    """A proxy is named that cannot be used, and why; its URL, which may hold a password, is not told."""

    def __init__(self, named_by: str, why: str) -> None:
        super().__init__(f"{named_by} {why}")
        self.named_by = named_by
        self.why = why


def parse_proxy(url: str, *, named_by: str) -> Proxy:
    """Return the proxy of a URL such as http://user:password@proxy.example.com:3128.

    Raises:
        UnusableProxyError: it is no such URL, or one of a SOCKS proxy.
    """
    parts = _split(url)
    if parts is not None and parts.scheme.startswith("socks"):
        raise UnusableProxyError(
            named_by, "names a SOCKS proxy, which is not supported: name one whose URL begins with http:// or https://"
        )
    if parts is None or parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise UnusableProxyError(named_by, "is no URL of a proxy; it should look like http://proxy.example.com:3128")
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        named_by=named_by,
        authorization=_authorize(parts),
    )


def find_environment_proxy(server: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment names for a server's URL, None where it is to be reached directly.

    Raises:
        UnusableProxyError: as `parse_proxy`.
    """
    target = _split(server)
    if target is None or not target.hostname or target.scheme not in DEFAULT_PORTS:
        return None
    variable, url = _first_set(environ, f"{target.scheme}_proxy")
    _, exempt = _first_set(environ, "no_proxy")
    if not url or _is_exempt(target.hostname, target.port or DEFAULT_PORTS[target.scheme], exempt):
        return None
    return parse_proxy(url if "://" in url else f"http://{url}", named_by=variable)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return None
    return parts if usable else None


def _authorize(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _first_set(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    return next(((key, environ[key]) for key in (name.upper(), name) if environ.get(key)), ("", ""))


def _is_exempt(host: str, port: int, exempt: str) -> bool:
    """Tell whether a host is reached without the environment's proxy: loopback always is, as in Go."""
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    rules = (part.strip().lower() for part in exempt.split(","))
    return any(_matches(rule, host, address, port) for rule in rules if rule)


_HOST_AND_PORT = re.compile(r"(\[[^]]*\]|[^:]*):([^:]*)")


def _matches(rule: str, host: str, address: _Address | None, port: int) -> bool:
    """Tell whether a rule of NO_PROXY is about a host: `*`, a network, an address or domain, with a port or not."""
    if rule == "*":
        return True
    network = _parse_network(rule)
    if network is not None:
        return address is not None and address in network
    parted = _HOST_AND_PORT.fullmatch(rule)
    name, wanted_port = (parted[1].strip("[]"), parted[2]) if parted else (rule, "")
    if wanted_port not in ("", str(port)):
        return False
    wanted = _parse_address(name)
    if wanted is not None:
        return address == wanted
    domain = name[1:] if name.startswith("*.") else name
    if domain.startswith("."):
        return host.endswith(domain)
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _parse_address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None
