"""A kubeconfig's entries as contexts: every field of the API is honoured or refused, none ignored in silence."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from oomdb.kube.contexts import ClusterEntry, Context, ExecPlugin, UserEntry, show
from oomdb.kube.fields import Fields, RawEntry, open_entry, resolve
from oomdb.kube.impersonation import Impersonation
from oomdb.kube.proxies import Proxy, UnusableProxyError, find_environment_proxy, parse_proxy

EXEC_API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

_EXEC_EXTENSION = "client.authentication.k8s.io/exec"  # client-go clientcmd/client_config.go, clusterExtensionKey


def build_context(
    name: str,
    raw: RawEntry,
    *,
    clusters: Mapping[str, RawEntry],
    users: Mapping[str, RawEntry],
    environ: Mapping[str, str],
) -> Context:
    """Return a context with the cluster and the user that it names; what cannot be used is told as its problem.

    Args:
        name: of the context.
        raw: its entry.
        clusters: all entries of clusters by name, and
        users: those of users.
        environ: the environment, which may name a proxy.
    """
    problems: list[str] = []
    fields = open_entry("context", name, raw, problems)
    cluster_name, user_name = fields.text("cluster"), fields.text("user")
    namespace = fields.text("namespace")
    fields.refuse_unknown(("cluster", "user", "namespace", "extensions"))
    cluster = user = None
    if not cluster_name:
        fields.refuse("cluster", "is missing; it must name one of clusters")
    elif cluster_name not in clusters:
        fields.refuse("cluster", f"names {show(cluster_name)}, which is not in clusters")
    else:
        cluster = _build_cluster(cluster_name, clusters[cluster_name], problems, environ)
    if user_name and user_name not in users:
        fields.refuse("user", f"names {show(user_name)}, which is not in users")
    elif user_name:  # without a user we are anonymous, as kubectl is
        user = _build_user(user_name, users[user_name], problems, cluster)
    return Context(
        name=name,
        namespace=namespace or "default",  # as client-go (DirectClientConfig.Namespace)
        cluster=cluster or ClusterEntry(file=raw.file, name=cluster_name, server=""),
        user=user or UserEntry(file=raw.file, name=user_name),
        problem=problems[0] if problems else None,
    )


def _build_cluster(name: str, raw: RawEntry, problems: list[str], environ: Mapping[str, str]) -> ClusterEntry:
    fields = open_entry("cluster", name, raw, problems)
    server = _read_server(fields)
    cluster = ClusterEntry(
        file=raw.file,
        name=name,
        server=server,
        certificate_authority=fields.path("certificate-authority"),
        certificate_authority_data=fields.data("certificate-authority-data"),
        insecure_skip_tls_verify=fields.flag("insecure-skip-tls-verify"),
        tls_server_name=fields.text("tls-server-name"),
        disable_compression=fields.flag("disable-compression"),
        proxy_url=fields.text("proxy-url"),
        proxy=find_proxy(fields, server, environ),
        exec_config=_read_exec_config(fields),
    )
    fields.refuse_both("certificate-authority", "certificate-authority-data")
    for authority in ("certificate-authority", "certificate-authority-data"):
        if cluster.insecure_skip_tls_verify and fields.has(authority):
            fields.refuse(authority, "contradicts insecure-skip-tls-verify; remove one of the two")
    fields.refuse_unknown(
        (
            "server",
            "certificate-authority",
            "certificate-authority-data",
            "insecure-skip-tls-verify",
            "tls-server-name",
            "disable-compression",
            "proxy-url",
            "extensions",
        )
    )
    return cluster


def _read_server(fields: Fields) -> str:
    server = fields.text("server")
    example = "it should look like https://api.example.com:6443"
    if not server:
        fields.refuse("server", f"is missing; {example}")
        return ""
    try:
        url = urlsplit(server)
        usable = url.scheme in ("https", "http") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or " " in server or not server.isprintable():
        fields.refuse("server", f"is no URL that can be used; {example}")
        return ""
    if url.username is not None or url.query or url.fragment:
        fields.refuse("server", f"must not have a user, a query or a fragment in its URL; {example}")
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    return server


def find_proxy(fields: Fields, server: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that an entry or the environment names for a server; one that cannot be used is a problem."""
    url = fields.text("proxy-url")
    try:
        return parse_proxy(url, named_by="proxy-url") if url else find_environment_proxy(server, environ)
    except UnusableProxyError as err:
        fields.refuse(err.named_by, err.why)
        return None


def _read_exec_config(fields: Fields) -> str:
    """Return what the cluster's extensions tell exec plug-ins, as JSON; '' for nothing."""
    extensions = fields.values.get("extensions")
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == _EXEC_EXTENSION:
            try:
                return json.dumps(extension.get("extension"), allow_nan=False)
            except (TypeError, ValueError):  # YAML has dates, JSON has not
                fields.refuse(
                    "extensions", f"{show(_EXEC_EXTENSION)} holds a value that JSON has not; put it in quotes"
                )
    return ""


# What the API of kubeconfigs (client-go tools/clientcmd/api/v1/types.go) has and we have not.
_NO_BASIC_AUTH = "is not supported: Kubernetes 1.19 removed basic authentication; log in with `oc login` for a token"
_REFUSED_USER_FIELDS = {
    "username": _NO_BASIC_AUTH,
    "password": _NO_BASIC_AUTH,
}
_PLUGINS_BY_AUTH_PROVIDER = {
    "gcp": "gke-gcloud-auth-plugin",
    "azure": "kubelogin",
    "oidc": "kubectl oidc-login",
}


def _build_user(name: str, raw: RawEntry, problems: list[str], cluster: ClusterEntry | None) -> UserEntry:
    fields = open_entry("user", name, raw, problems)
    user = UserEntry(
        file=raw.file,
        name=name,
        token=fields.text("token"),
        token_file=fields.path("tokenFile"),
        client_certificate=fields.path("client-certificate"),
        client_certificate_data=fields.data("client-certificate-data"),
        client_key=fields.path("client-key"),
        client_key_data=fields.data("client-key-data"),
        exec=_build_plugin(name, raw, fields, cluster),
        impersonation=_build_impersonation(fields),
    )
    for key, why in _REFUSED_USER_FIELDS.items():
        if fields.has(key):
            fields.refuse(key, why)
    if fields.has("auth-provider"):
        fields.refuse("auth-provider", _explain_auth_provider(fields.values["auth-provider"]))
    fields.refuse_both("client-certificate", "client-certificate-data")
    fields.refuse_both("client-key", "client-key-data")
    has_certificate = fields.has("client-certificate") or fields.has("client-certificate-data")
    has_key = fields.has("client-key") or fields.has("client-key-data")
    if has_certificate and not has_key:
        fields.refuse("client-certificate", "has no key; add client-key or client-key-data")
    elif has_key and not has_certificate:
        fields.refuse("client-key", "has no certificate; add client-certificate or client-certificate-data")
    fields.refuse_unknown(
        (
            "token",
            "tokenFile",
            "client-certificate",
            "client-certificate-data",
            "client-key",
            "client-key-data",
            "exec",
            "auth-provider",
            *_IMPERSONATION_FIELDS,
            "extensions",
            *_REFUSED_USER_FIELDS,
        )
    )
    return user


def _explain_auth_provider(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    plugin = _PLUGINS_BY_AUTH_PROVIDER.get(name) if isinstance(name, str) else None
    instead = f"the exec plug-in {plugin}" if plugin else "an exec plug-in"
    return f"is not supported: Kubernetes 1.26 removed it; use {instead} instead"


_IMPERSONATION_FIELDS = ("as", "as-uid", "as-groups", "as-user-extra")


def _build_impersonation(fields: Fields) -> Impersonation | None:
    user, uid, groups, extra = (
        fields.text("as"),
        fields.text("as-uid"),
        fields.texts("as-groups"),
        fields.lists("as-user-extra"),
    )
    values = {"as": (user,), "as-uid": (uid,), "as-groups": groups, "as-user-extra": [v for _, vs in extra for v in vs]}
    for key, texts in values.items():
        if not all(text.isprintable() for text in texts):  # each becomes a header, and a line's end would begin another
            fields.refuse(key, "holds control characters, which no name has; remove them")
    if not user:
        for key in _IMPERSONATION_FIELDS[1:]:
            if fields.has(key):
                fields.refuse(key, "is set without as; say in as which user to act as, or remove it")
        return None
    return Impersonation(user=user, uid=uid, groups=groups, extra=extra)


def _build_plugin(user: str, raw: RawEntry, fields: Fields, cluster: ClusterEntry | None) -> ExecPlugin | None:
    if not fields.has("exec"):
        return None
    plugin = fields.map("exec")
    command = plugin.text("command")
    if not command:
        plugin.refuse("command", "is missing; it must name the plug-in to run")
    api_version = plugin.text("apiVersion")
    if api_version not in EXEC_API_VERSIONS:
        named = f"is {show(api_version)}" if api_version else "is missing"
        known = " and ".join(f"'{version}'" for version in EXEC_API_VERSIONS)
        plugin.refuse(
            "apiVersion", f"{named}; {known} are supported: update the plug-in and let it write the entry anew"
        )
    mode = plugin.text("interactiveMode")
    if mode == "Always":
        plugin.refuse("interactiveMode", "is 'Always', but oomdb never asks; log in beforehand and set 'IfAvailable'")
    elif mode not in ("Never", "IfAvailable") and (mode or api_version == EXEC_API_VERSIONS[0]):
        plugin.refuse("interactiveMode", "must be 'Never' or 'IfAvailable'")  # v1beta1 may leave it out
    built = ExecPlugin(
        api_version=api_version,
        # as client-go (GetAuthInfoFileReferences): only a command with a slash is a path
        command=str(resolve(raw.file, command)) if "/" in command else command,
        args=plugin.texts("args"),
        env=plugin.pairs("env"),
        cluster=cluster if plugin.flag("provideClusterInfo") else None,
        install_hint=plugin.text("installHint"),
        file=raw.file,
        user=user,
    )
    plugin.refuse_unknown(
        ("command", "args", "env", "apiVersion", "installHint", "provideClusterInfo", "interactiveMode")
    )
    return built
