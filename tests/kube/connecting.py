"""How the tests of the client get to a server: a kubeconfig on disk, or a server that says what it is told to."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import ClusterTarget, plan_clusters
from oomdb.kube.contexts import ClusterEntry, Context
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.simulator.certificates import Authority, KeyPair
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.server import RunningServer

from . import kubeconfigs


def load_target(folder: Path, *entries: ContextEntry) -> ClusterTarget:
    """Return the one cluster to which the contexts lead."""
    path = write_kubeconfig(folder / "config", entries)
    kubeconfig = load_kubeconfig(path=str(path), environ={}, home=folder)
    (target,) = plan_clusters(kubeconfig, names={})
    return target


def target_of(
    server: RunningServer, folder: Path, *, token: str = "token", authority_pem: str | None = None
) -> ClusterTarget:
    """Return a simulated server as one context sees it."""
    pem = server.authority_pem if authority_pem is None else authority_pem
    return load_target(folder, ContextEntry(context="dev", server=server.url, authority_pem=pem, token=token))


def load_login(
    folder: Path,
    user: Mapping[str, Any],
    *,
    server: str,
    authority_pem: str,
    environ: Mapping[str, str] | None = None,
    **fields: Any,
) -> ClusterTarget:
    """Return a server as one user sees it; `fields` are more of the kubeconfig's entry for the cluster."""
    if authority_pem:
        fields["certificate_authority_data"] = base64.b64encode(authority_pem.encode()).decode()
    path = kubeconfigs.write(
        folder / "config",
        clusters=[kubeconfigs.cluster(server=server, **fields)],
        users=[kubeconfigs.user("someone", user)],
    )
    (target,) = plan_clusters(load_kubeconfig(path=str(path), environ=environ or {}, home=folder), names={})
    return target


def change_cluster(target: ClusterTarget, change: Callable[[ClusterEntry], ClusterEntry]) -> ClusterTarget:
    """Return the target with every context's cluster entry changed."""
    contexts: list[Context] = [replace(context, cluster=change(context.cluster)) for context in target.contexts]
    return replace(target, contexts=tuple(contexts))


@contextmanager
def connect(
    target: ClusterTarget,
    *,
    retries: int = 0,
    timeout_seconds: float = 20,
    waits: list[float] | None = None,
) -> Iterator[ClusterClient]:
    """Open a client that notes its waits instead of sleeping, with no luck in the back-off's jitter."""
    noted: list[float] = [] if waits is None else waits
    with open_client(
        target, timeout_seconds=timeout_seconds, retries=retries, sleep=noted.append, random=lambda: 1.0
    ) as client:
        yield client


class ScriptedServer:
    """Says the same bytes to whoever asks, over TLS, then closes the connection.

    With `pause_seconds` a byte at a time. Client certificates are asked for where they have an authority.
    """

    def __init__(
        self,
        say: bytes,
        authority: Authority,
        *,
        client_authority: Authority | None = None,
        pause_seconds: float | None = None,
    ) -> None:
        self._say = say
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.num_tickets = 0
        pair: KeyPair = authority.server_certificate()
        pair.load_into(self._tls)
        if client_authority:
            self._tls.verify_mode = ssl.CERT_REQUIRED
            self._tls.load_verify_locations(cadata=client_authority.pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._authority = authority
        self._thread = threading.Thread(target=self._run, daemon=True)

    def target(self, folder: Path, *, client: KeyPair | None = None) -> ClusterTarget:
        """Return the server as one context sees it."""
        return load_target(
            folder,
            ContextEntry(
                context="dev",
                server=self.url,
                authority_pem=self._authority.pem,
                token="" if client else "s3cret-token",
                client=client,
            ),
        )

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain, contextlib.suppress(OSError):
                self._converse(plain)

    def _converse(self, plain: socket.socket) -> None:
        plain.settimeout(20)
        with self._tls.wrap_socket(plain, server_side=True) as connection:
            asked = b""
            while b"\r\n\r\n" not in asked:
                piece = connection.recv(65536)
                if not piece:
                    return
                asked += piece
            self._answer(connection)
            connection.unwrap()

    def _answer(self, connection: ssl.SSLSocket) -> None:
        if self._pause_seconds is None:
            connection.sendall(self._say)
            return
        for place in range(len(self._say)):
            if self._stopping.wait(self._pause_seconds):
                return
            connection.sendall(self._say[place : place + 1])
