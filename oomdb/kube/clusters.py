"""Which clusters a kubeconfig leads to: one API server is one cluster, however many contexts name it."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from oomdb.errors import SettingsError, UsageError
from oomdb.kube.contexts import Context, Kubeconfig, show

_LISTED = 20  # candidates in a message


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """One API server under its short name, and the contexts that lead to it: the one to use, then those for a 401."""

    name: str
    contexts: tuple[Context, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user chose; `matched` pairs what was typed with the context that is used for it."""

    targets: tuple[ClusterTarget, ...]
    matched: tuple[tuple[str, str], ...] = ()


def plan_clusters(kubeconfig: Kubeconfig, *, names: Mapping[str, str]) -> tuple[ClusterTarget, ...]:
    """Return the clusters of a kubeconfig, in the order of their first contexts.

    Contexts with the same (server, proxy-url, tls-server-name) are one cluster; the current context is its first, else
    the kubeconfig's first. Its name comes from the context that tells most of it, whichever is current, so that
    `oc project` does not change it; servers whose names clash all get a suffix of their URL's hash.

    Args:
        kubeconfig: as loaded; contexts that cannot be used are clusters too, which will fail with their problem.
        names: the settings' `[clusters]`, server or context → name; they go before all rules.

    Raises:
        SettingsError: a configured name cannot be used, or two clusters, or two names for one, are configured.
    """
    by_server: dict[tuple[str, ...], list[Context]] = {}
    for context in kubeconfig.contexts:
        by_server.setdefault(_identify(context), []).append(context)
    configured = {server: _find_configured_name(contexts, names) for server, contexts in by_server.items()}
    _require_different(configured, by_server)
    derived = {server: _derive_name(by_server[server]) for server, name in configured.items() if name is None}
    chosen = {server: name for server, name in configured.items() if name} | _part_clashes(derived, configured)
    return tuple(
        ClusterTarget(chosen[server], _put_first(contexts, lambda context: context.name == kubeconfig.current_context))
        for server, contexts in by_server.items()
    )


def select_clusters(
    targets: Sequence[ClusterTarget], *, current: bool, contexts: Sequence[str], kubeconfig: Kubeconfig
) -> Selection:
    """Return the clusters that `--current` and `--contexts` choose, all without them.

    Each text is a case-insensitive part of a context's or a cluster's name and must lead to exactly one cluster; a
    whole name goes before parts of others. The contexts that a text names are tried before the cluster's others.

    Args:
        targets: of `plan_clusters`.
        current: the cluster of the current context.
        contexts: the texts; blank ones are passed over.
        kubeconfig: whose current context is meant.

    Raises:
        UsageError: none or several clusters match (the message lists the candidates), both ways are used at once, or
            there is no current context.
    """
    texts = [text.strip() for text in contexts if text.strip()]
    if current and texts:
        raise UsageError("--current and --contexts exclude each other; use one of them.")
    if contexts and not texts:
        raise UsageError("--contexts names nothing; give parts of contexts or clusters, separated by commas.")
    if current:
        return Selection((_find_current(targets, kubeconfig),))
    if not texts:
        return Selection(tuple(targets))
    chosen: dict[str, ClusterTarget] = {}
    matched = []
    for text in texts:
        target = _find_match(targets, text)
        matched.append((text, target.contexts[0].name))
        chosen.setdefault(target.name, target)
    return Selection(tuple(chosen.values()), tuple(matched))


# --- one server, one cluster ----------------------------------------------------------------------------------------


def _identify(context: Context) -> tuple[str, ...]:
    """Return what makes the context's server one of its own; without a server every context is on its own."""
    cluster = context.cluster
    if not cluster.server:
        return ("", context.name)
    return (_normalize_server(cluster.server), cluster.proxy_url, cluster.tls_server_name.lower())


def _normalize_server(server: str) -> str:
    """Return a URL in which case, the default port and a slash at the end make no difference."""
    try:
        url = urlsplit(server.strip())
        port = url.port or {"https": 443, "http": 80}.get(url.scheme)
        host = url.hostname or ""
    except ValueError:
        return server
    if not host:
        return server
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{port}{url.path.rstrip('/')}"


def _put_first(contexts: Iterable[Context], is_first: Callable[[Context], bool]) -> tuple[Context, ...]:
    return tuple(sorted(contexts, key=lambda context: not is_first(context)))


# --- names ----------------------------------------------------------------------------------------------------------

_FLEET_CONTEXT = re.compile(r"(?:^|/)api-([^-/:]+-[^-/:]+-[^-/:]+)")
_LOGIN_CONTEXT = re.compile(r"[^/]*/(?P<host>[^/]+):[0-9]+/.*", re.DOTALL)  # project/host:port/user, as oc login writes
_SYSTEM_USER = re.compile(r"(kube|system):")


def _derive_name(contexts: Sequence[Context]) -> str:
    """Return the name by the context that tells most; among equals by the alphabet, since their order may change."""
    candidates = (
        (rank, context.name, name)
        for context in contexts
        for rank, find in enumerate((_find_fleet_name, _find_login_host, _find_plain_name, _find_server_host))
        if (name := _make_safe(find(context)))
    )
    _, _, name = min(candidates, default=(0, "", ""))
    return name or f"cluster-{_hash(min(context.name for context in contexts), digits=8)}"


def _find_fleet_name(context: Context) -> str:
    match = _FLEET_CONTEXT.search(context.name)
    return match[1] if match else ""


def _find_login_host(context: Context) -> str:
    match = _LOGIN_CONTEXT.fullmatch(context.name)
    return match["host"].strip("[]") if match else ""


def _find_plain_name(context: Context) -> str:
    """Return what follows the last slash, else the whole, unless that is a user's name."""
    _, slash, last = context.name.rpartition("/")
    is_user = (
        _LOGIN_CONTEXT.fullmatch(context.name)
        or _SYSTEM_USER.match(last)
        or (slash and last == context.user.name.partition("/")[0])
    )
    return "" if is_user else last


def _find_server_host(context: Context) -> str:
    try:
        return urlsplit(context.cluster.server).hostname or ""
    except ValueError:
        return ""


def _make_safe(name: str) -> str:
    """Return the name as it can stand in a path and on a terminal, '' where nothing is left of it."""
    safe = "".join(char if char.isprintable() and char not in "/:" else "_" for char in name).strip()
    return "" if safe in (".", "..") or not safe.strip("_") else safe


def _part_clashes(
    derived: Mapping[tuple[str, ...], str], configured: Mapping[tuple[str, ...], str | None]
) -> dict[tuple[str, ...], str]:
    """Give a suffix to all derived names that are there twice, or that were given to another cluster."""
    given = [name for name in configured.values() if name]
    parted = dict(derived)
    for digits in (8, 64):  # a second round, since a context may be named like another's name with its suffix
        taken = Counter([*parted.values(), *given])
        for server, name in derived.items():
            if taken[parted[server]] > 1:
                parted[server] = f"{name}-{_hash(*server, digits=digits)}"
    return parted


def _hash(*parts: str, digits: int) -> str:
    text = "\n".join(part for part in parts if part)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _find_configured_name(contexts: Sequence[Context], names: Mapping[str, str]) -> str | None:
    found: dict[str, str] = {}
    servers = {_normalize_server(key): key for key in names if "://" in key}
    for context in contexts:
        server_key = servers.get(_normalize_server(context.cluster.server)) if context.cluster.server else None
        for key in (context.name, server_key):
            if key is not None and key in names:
                found[key] = names[key]
    for key, name in found.items():
        if not name or name != _make_safe(name):
            raise SettingsError(
                f"[clusters]: {show(key)} is named {show(name)}; a cluster's name must not be empty, '.' or '..', nor "
                "hold '/', ':' or control characters."
            )
    if len(set(found.values())) > 1:
        pairs = ", ".join(f"{show(key)} = {show(name)}" for key, name in found.items())
        raise SettingsError(f"[clusters]: one API server has several names ({pairs}); keep one.")
    return next(iter(found.values()), None)


def _require_different(
    configured: Mapping[tuple[str, ...], str | None], by_server: Mapping[tuple[str, ...], Sequence[Context]]
) -> None:
    owners: dict[str, str] = {}
    for server, name in configured.items():
        if name is None:
            continue
        context = by_server[server][0]
        owner = f"{context.cluster.server} (context {show(context.name)})"
        if name in owners:
            raise SettingsError(
                f"[clusters]: {show(name)} is the name of two API servers, {owners[name]} and {owner}; name them apart."
            )
        owners[name] = owner


# --- selection ------------------------------------------------------------------------------------------------------


def _find_current(targets: Sequence[ClusterTarget], kubeconfig: Kubeconfig) -> ClusterTarget:
    current = kubeconfig.current_context
    if current is None:
        raise UsageError("No current context is set in the kubeconfig; set one (`oc login`), or use --contexts.")
    for target in targets:
        if any(context.name == current for context in target.contexts):
            return target
    raise UsageError(
        f"The current context {show(current)} is not in the kubeconfig; correct it, or use --contexts with a part of: "
        f"{_list_candidates(targets)}."
    )


def _find_match(targets: Sequence[ClusterTarget], text: str) -> ClusterTarget:
    for matches in _matchers(text):
        found = [target for target in targets if any(matches(name) for name in _list_names(target))]
        if len(found) == 1:
            contexts = _put_first(found[0].contexts, lambda context: matches(context.name))  # noqa: B023 - used at once
            return ClusterTarget(found[0].name, contexts)
        if found:
            raise UsageError(
                f"{show(text)} matches {len(found)} clusters: {_list_candidates(found)}; give more of the name."
            )
    raise UsageError(f"{show(text)} matches no context and no cluster; there are: {_list_candidates(targets)}.")


def _matchers(text: str) -> Iterator[Callable[[str], bool]]:
    """Yield how a name may match, the strictest first."""
    folded = text.casefold()
    yield lambda name: name == text
    yield lambda name: name.casefold() == folded
    yield lambda name: folded in name.casefold()


def _list_names(target: ClusterTarget) -> list[str]:
    return [target.name, *(context.name for context in target.contexts)]


def _list_candidates(targets: Sequence[ClusterTarget]) -> str:
    lines = [f"{show(target.name)} (context {show(target.contexts[0].name)})" for target in targets[:_LISTED]]
    more = len(targets) - len(lines)
    return ", ".join(lines) + (f" and {more} more" if more > 0 else "")
