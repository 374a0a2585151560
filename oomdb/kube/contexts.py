"""Contexts of a kubeconfig as values: a server, a user, and how both are reached; whoever reads them knows no file."""

from dataclasses import dataclass, field
from pathlib import Path

from oomdb.errors import KubeconfigError
from oomdb.kube.impersonation import Impersonation
from oomdb.kube.proxies import Proxy


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


def show(name: object) -> str:
    """Return a name for a message: quoted, on one line, without control characters, and not endless."""
    text = str(name)
    return f"'{make_plain(text if len(text) <= 253 else text[:250] + '…')}'"


def make_plain(text: str) -> str:
    """Return the text with everything that does not print (control, surrogate, format characters) as U+FFFD."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
