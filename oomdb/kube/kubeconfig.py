"""Reading kubeconfig files as kubectl does: every field of the API is honoured or refused, none ignored in silence."""

import base64
import binascii
import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from oomdb.errors import KubeconfigError
from oomdb.kube.impersonation import Impersonation
from oomdb.kube.proxies import Proxy, UnusableProxyError, find_environment_proxy, parse_proxy

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER_CONTEXT = "in-cluster"
EXEC_API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

_EXEC_EXTENSION = "client.authentication.k8s.io/exec"  # client-go clientcmd/client_config.go, clusterExtensionKey
_MAX_FILE_BYTES = 32 * 1024 * 1024  # some thousand contexts with their certificates inline are 10 MB
_MAX_DEPTH = 64  # the C reader recurses: far deeper nesting ends the process


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEntry:
    """How to reach an API server; `file` is the kubeconfig that says so, paths are absolute.

    `proxy` is that of `proxy_url`, else the environment's; `exec_config` is JSON that is meant for exec plug-ins alone.
    """

    file: Path
    name: str
    server: str
    certificate_authority: Path | None = None
    certificate_authority_data: bytes | None = field(default=None, repr=False)
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    disable_compression: bool = False
    proxy_url: str = field(default="", repr=False)  # may hold a password
    proxy: Proxy | None = None
    exec_config: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """A command that prints credentials; equal ones share one answer, whoever names them.

    `command` is an absolute path, or a name to look up in PATH; `cluster` is what the plug-in wants to know of the
    server (provideClusterInfo).
    """

    api_version: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cluster: ClusterEntry | None = field(default=None, repr=False)
    install_hint: str = field(default="", compare=False)
    file: Path = field(compare=False)
    user: str = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEntry:
    """Who to be; a user without any field is anonymous. Secrets are left out of `repr`."""

    file: Path
    name: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    client_certificate: Path | None = None
    client_certificate_data: bytes | None = field(default=None, repr=False)
    client_key: Path | None = None
    client_key_data: bytes | None = field(default=None, repr=False)
    exec: ExecPlugin | None = None
    impersonation: Impersonation | None = None

    @property
    def has_client_certificate(self) -> bool:
        """Whether the kubeconfig has a client certificate for the user."""
        return bool(self.client_certificate or self.client_certificate_data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A name for a server, a user and a namespace.

    `problem` says why it cannot be used, None where it can: the other contexts of the kubeconfig are not the worse for
    it. Whoever connects calls `require_usable` first; the entries of an unusable context hold what could be read.
    """

    name: str
    namespace: str
    cluster: ClusterEntry
    user: UserEntry
    in_cluster: bool = False
    problem: str | None = None

    def require_usable(self) -> None:
        """Return if the context can be used.

        Raises:
            KubeconfigError: it cannot; the message names the file, the entry and the field.
        """
        if self.problem is not None:
            raise KubeconfigError(self.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """All contexts in the order of the files, and the name of the current one (None: not set; it may lead nowhere)."""

    contexts: tuple[Context, ...]
    current_context: str | None = None


def load_kubeconfig(
    *,
    path: str | None,
    environ: Mapping[str, str],
    home: Path,
    service_account_folder: Path = SERVICE_ACCOUNT_FOLDER,
) -> Kubeconfig:
    """Read the kubeconfig: the file at `path`, else those in KUBECONFIG, else ~/.kube/config, else the pod's account.

    Several files are merged as client-go does (tools/clientcmd/loader.go): the first file to set a name or the current
    context wins, missing files are skipped, relative paths are taken from the folder of the file that names them.

    Args:
        path: of one file, which must exist.
        environ: the environment (KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, and the proxies of
            HTTPS_PROXY, HTTP_PROXY, NO_PROXY or the same in small letters).
        home: the user's home folder.
        service_account_folder: where a pod finds its token.

    Raises:
        KubeconfigError: there is none, or a file is broken as a whole. An entry that cannot be used is told by the
            contexts that use it.
    """
    files = _list_files(path, environ, home)
    documents = [document for file in files if (document := _load_document(file, must_exist=bool(path))) is not None]
    merged = _Merged(documents)
    if merged.contexts:
        contexts = tuple(_build_context(merged, name, raw, environ) for name, raw in merged.contexts.items())
        return Kubeconfig(contexts=contexts, current_context=merged.current_context or None)
    in_cluster = None if path else _find_service_account(environ, service_account_folder)
    if in_cluster:
        return Kubeconfig(contexts=(in_cluster,), current_context=in_cluster.name)
    raise KubeconfigError(_explain_emptiness(files, documents, from_environment=bool(environ.get("KUBECONFIG"))))


def show(name: object) -> str:
    """Return a name for a message: quoted, on one line, without control characters, and not endless."""
    text = str(name)
    return f"'{make_plain(text if len(text) <= 253 else text[:250] + '…')}'"


def make_plain(text: str) -> str:
    """Return the text with everything that does not print (control, surrogate, format characters) as U+FFFD."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


# --- files ----------------------------------------------------------------------------------------------------------


def _list_files(path: str | None, environ: Mapping[str, str], home: Path) -> list[Path]:
    if path:
        return [Path(path)]
    named = environ.get("KUBECONFIG")
    if named:
        return [Path(name) for name in dict.fromkeys(named.split(os.pathsep)) if name]
    return [home / ".kube" / "config"]


@dataclass(frozen=True, slots=True)
class _Document:
    """One file: where relative paths start from, and what it holds."""

    file: Path
    values: Mapping[str, Any]


def _load_document(file: Path, *, must_exist: bool) -> _Document | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as err:
        if must_exist:
            raise _file_error(file, "no such file; correct the path of the kubeconfig") from err
        return None
    except (OSError, ValueError) as err:  # ValueError: a null byte in the path
        raise _file_error(file, f"cannot be read ({_reason(err)}); correct its mode or its path") from err
    if len(content) > _MAX_FILE_BYTES:
        raise _file_error(file, f"is larger than {_MAX_FILE_BYTES >> 20} MiB, so it is no kubeconfig")
    values = _parse_yaml(file, content)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise _file_error(file, f"is no kubeconfig: it holds {_kind_of(values)} where a map is expected")
    _check_document(file, values)
    return _Document(file, values)


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader without merge keys: nested ones grow without bound, and no kubeconfig has them."""

    def flatten_mapping(self, node: Any) -> None:
        """Leave `<<` as it is; it has no constructor and is refused."""


def _parse_yaml(file: Path, content: bytes) -> Any:
    try:
        if _depth(yaml.parse(content, Loader=_Loader)) > _MAX_DEPTH:
            raise _file_error(file, f"is no kubeconfig: it is nested more than {_MAX_DEPTH} levels deep")
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _file_error(file, f"is not valid YAML ({place}{make_plain(err.problem or '')})") from err
    except (yaml.YAMLError, ValueError) as err:  # ValueError: a date such as 2026-99-99
        text = make_plain(str(err).partition("\n")[0])
        raise _file_error(file, f"is not valid YAML ({text})") from err


def _depth(events: Iterable[yaml.Event]) -> int:
    depth = deepest = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > _MAX_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


_DOCUMENT_FIELDS = (
    "apiVersion",
    "kind",
    "preferences",
    "clusters",
    "users",
    "contexts",
    "current-context",
    "extensions",
)


def _check_document(file: Path, values: Mapping[Any, Any]) -> None:
    for key, expected in (("kind", "Config"), ("apiVersion", "v1")):
        if values.get(key) not in (None, "", expected):
            raise _file_error(file, f"is no kubeconfig: {key} is {show(values[key])}, not '{expected}'")
    if not isinstance(values.get("current-context"), str | None):
        raise _file_error(file, "current-context must be text; put it in quotes")
    for key in values:
        # other tools keep their own things in here; only what is meant for us and misspelt is refused
        meant = None if key in _DOCUMENT_FIELDS else _find_similar(key, _DOCUMENT_FIELDS)
        if meant:
            raise _file_error(file, f"field {show(key)} is not known; did you mean '{meant}'?")


def _file_error(file: Path, text: str) -> KubeconfigError:
    return KubeconfigError(f"{make_plain(str(file))}: {text}{'' if text.endswith('?') else '.'}")


def _explain_emptiness(files: Sequence[Path], documents: Sequence[_Document], *, from_environment: bool) -> str:
    advice = "log in with `oc login`, or name another file with --kubeconfig"
    if documents:
        names = ", ".join(make_plain(str(document.file)) for document in documents)
        return f"{names}: there are no contexts in it; {advice}."
    names = ", ".join(make_plain(str(file)) for file in files)
    if from_environment:
        return f"KUBECONFIG names no file that exists ({names}); correct it, or {advice}."
    return f"There is no kubeconfig ({names} does not exist, KUBECONFIG is not set); {advice}."


# --- merging --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Raw:
    """A named entry as it stands in its file."""

    file: Path
    entry: Mapping[Any, Any]
    is_double: bool = False


class _Merged:
    """The entries of all files by name: the first file to set a name wins."""

    def __init__(self, documents: Sequence[_Document]) -> None:
        self.clusters = _merge(documents, "clusters")
        self.users = _merge(documents, "users")
        self.contexts = _merge(documents, "contexts")
        currents = (document.values.get("current-context") for document in documents)
        self.current_context = next((name for name in currents if name), "")


def _merge(documents: Iterable[_Document], key: str) -> dict[str, _Raw]:
    merged: dict[str, _Raw] = {}
    for document in documents:
        for name, raw in _list_entries(document, key).items():
            merged.setdefault(name, raw)
    return merged


def _list_entries(document: _Document, key: str) -> dict[str, _Raw]:
    values = document.values.get(key)
    if values is None:
        return {}
    if not isinstance(values, list):
        raise _file_error(document.file, f"{key} must be a list; it is {_kind_of(values)}")
    entries: dict[str, _Raw] = {}
    for place, value in enumerate(values, start=1):
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            raise _file_error(document.file, f"entry {place} of {key} must be a map with a name that is text")
        first = entries.get(name)
        entries[name] = _Raw(document.file, first.entry if first else value, is_double=first is not None)
    return entries


# --- entries --------------------------------------------------------------------------------------------------------


def _build_context(merged: _Merged, name: str, raw: _Raw, environ: Mapping[str, str]) -> Context:
    problems: list[str] = []
    fields = _open_entry("context", name, raw, problems)
    cluster_name, user_name = fields.text("cluster"), fields.text("user")
    namespace = fields.text("namespace")
    fields.refuse_unknown(("cluster", "user", "namespace", "extensions"))
    cluster = user = None
    if not cluster_name:
        fields.refuse("cluster", "is missing; it must name one of clusters")
    elif cluster_name not in merged.clusters:
        fields.refuse("cluster", f"names {show(cluster_name)}, which is not in clusters")
    else:
        cluster = _build_cluster(cluster_name, merged.clusters[cluster_name], problems, environ)
    if user_name and user_name not in merged.users:
        fields.refuse("user", f"names {show(user_name)}, which is not in users")
    elif user_name:  # without a user we are anonymous, as kubectl is
        user = _build_user(user_name, merged.users[user_name], problems, cluster)
    return Context(
        name=name,
        namespace=namespace or "default",  # as client-go (DirectClientConfig.Namespace)
        cluster=cluster or ClusterEntry(file=raw.file, name=cluster_name, server=""),
        user=user or UserEntry(file=raw.file, name=user_name),
        problem=problems[0] if problems else None,
    )


def _build_cluster(name: str, raw: _Raw, problems: list[str], environ: Mapping[str, str]) -> ClusterEntry:
    fields = _open_entry("cluster", name, raw, problems)
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
        proxy=_find_proxy(fields, server, environ),
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


def _read_server(fields: "_Fields") -> str:
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


def _find_proxy(fields: "_Fields", server: str, environ: Mapping[str, str]) -> Proxy | None:
    url = fields.text("proxy-url")
    try:
        return parse_proxy(url, named_by="proxy-url") if url else find_environment_proxy(server, environ)
    except UnusableProxyError as err:
        fields.refuse(err.named_by, err.why)
        return None


def _read_exec_config(fields: "_Fields") -> str:
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


def _build_user(name: str, raw: _Raw, problems: list[str], cluster: ClusterEntry | None) -> UserEntry:
    fields = _open_entry("user", name, raw, problems)
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


def _build_impersonation(fields: "_Fields") -> Impersonation | None:
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


def _build_plugin(user: str, raw: _Raw, fields: "_Fields", cluster: ClusterEntry | None) -> ExecPlugin | None:
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
        command=str(_resolve(raw.file, command)) if "/" in command else command,
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


# --- fields ---------------------------------------------------------------------------------------------------------


class _Fields:
    """The fields of one entry: each is read by its type, and what is wrong is noted for whoever uses the entry."""

    def __init__(
        self, file: Path, label: str, values: Mapping[Any, Any], problems: list[str], prefix: str = ""
    ) -> None:
        self.values = values
        self._file = file
        self._label = label
        self._problems = problems
        self._prefix = prefix

    def refuse(self, key: str, why: str) -> None:
        """Note that a field cannot be used, and why."""
        self._problems.append(f"{make_plain(str(self._file))}: {self._label}: {self._prefix}{key} {why}.")

    def refuse_both(self, one: str, other: str) -> None:
        """Note it if two fields are set that exclude each other (client-go validation.go)."""
        if self.has(one) and self.has(other):
            self.refuse(one, f"and {other} are both set; remove one of the two")

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Note fields that the API does not have: a misspelt one would do nothing."""
        for key in self.values:
            if key not in known:
                meant = _find_similar(key, known)
                hint = f"did you mean '{meant}'?" if meant else "correct or remove it"
                text = f"{make_plain(str(self._file))}: {self._label}: field {show(f'{self._prefix}{key}')}"
                self._problems.append(f"{text} is not known; {hint}{'' if meant else '.'}")

    def has(self, key: str) -> bool:
        """Tell whether a field is set to something."""
        return self.values.get(key) not in (None, "", [], {}, False)

    def text(self, key: str) -> str:
        """Return a text, '' where the field is not set."""
        return self._typed(key, str, "text; put it in quotes") or ""

    def flag(self, key: str) -> bool:
        """Return a truth value, False where the field is not set."""
        return self._typed(key, bool, "true or false") or False

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values: list[Any] = self._typed(key, list, "a list of texts") or []
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, "must be a list of texts; put each in quotes")
            return ()
        return tuple(values)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return a list of maps with a name and a value, as variables of an environment."""
        pairs = []
        for value in self._typed(key, list, "a list of names with values") or []:
            name, content = (value.get("name"), value.get("value", "")) if isinstance(value, dict) else (None, None)
            if not isinstance(name, str) or not isinstance(content, str) or not name or {"=", "\0"} & set(name):
                self.refuse(key, "must be a list of maps with name and value, both text; put them in quotes")
                return ()
            pairs.append((name, content))
        return tuple(pairs)

    def lists(self, key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return a map of lists of texts."""
        values: dict[Any, Any] = self._typed(key, dict, "a map of lists of texts") or {}
        for name, texts in values.items():
            is_list = isinstance(name, str) and isinstance(texts, list)
            if not is_list or not all(isinstance(text, str) for text in texts):
                self.refuse(key, "must be a map of lists of texts; put each in quotes")
                return ()
        return tuple((name, tuple(texts)) for name, texts in values.items())

    def path(self, key: str) -> Path | None:
        """Return a path, taken from the folder of the file that names it."""
        text = self.text(key)
        return _resolve(self._file, text) if text else None

    def data(self, key: str) -> bytes | None:
        """Return what the field holds in base64."""
        text = self.text(key)
        try:
            return base64.b64decode("".join(text.split()), validate=True) or None
        except (binascii.Error, ValueError):  # ValueError: not ASCII
            self.refuse(key, "is not valid base64; write it anew (`base64 -w0 FILE`)")
            return None

    def map(self, key: str) -> "_Fields":
        """Return the fields of a field."""
        values: dict[Any, Any] = self._typed(key, dict, "a map") or {}
        return _Fields(self._file, self._label, values, self._problems, f"{self._prefix}{key}.")

    def _typed(self, key: str, wanted: type, meaning: str) -> Any:
        value = self.values.get(key)
        if value is None or isinstance(value, wanted):
            return value
        self.refuse(key, f"must be {meaning}")
        return None


def _open_entry(kind: str, name: str, raw: _Raw, problems: list[str]) -> _Fields:
    """Return the fields of `{name: …, <kind>: {…}}`."""
    label = f"{kind} {show(name)}"
    outer = _Fields(raw.file, label, raw.entry, problems)
    if raw.is_double:
        problems.append(f"{make_plain(str(raw.file))}: {label}: is there more than once; remove all but one.")
    outer.refuse_unknown(("name", kind))
    inner = outer.map(kind)
    return _Fields(raw.file, label, inner.values, problems)


def _resolve(file: Path, path: str) -> Path:
    return file.absolute().parent / path


def _find_similar(key: object, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(key)[:100], known, n=1, cutoff=0.75)), None)


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    return "a list" if isinstance(value, list) else "a single value"


def _reason(err: Exception) -> str:
    return err.strerror if isinstance(err, OSError) and err.strerror else str(err)


# --- the pod's own account ------------------------------------------------------------------------------------------


def _find_service_account(environ: Mapping[str, str], folder: Path) -> Context | None:
    """Return the context that a pod is given, as client-go makes it (rest.InClusterConfig), or None outside of pods."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token, authority, namespace = folder / "token", folder / "ca.crt", folder / "namespace"
    if not host or not port or not token.is_file():
        return None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    problems: list[str] = []
    fields = _Fields(folder, f"cluster {show(IN_CLUSTER_CONTEXT)}", {}, problems)
    return Context(
        name=IN_CLUSTER_CONTEXT,
        namespace=_read_text(namespace) or "default",
        cluster=ClusterEntry(
            file=folder,
            name=IN_CLUSTER_CONTEXT,
            server=server,
            certificate_authority=authority if authority.exists() else None,
            proxy=_find_proxy(fields, server, environ),
        ),
        user=UserEntry(file=folder, name="service account", token_file=token),
        in_cluster=True,
        problem=problems[0] if problems else None,
    )


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
