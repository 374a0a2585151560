"""The ways to one server: its contexts, of which one is in use, and the next when the server refuses it."""

import threading
from dataclasses import dataclass
from functools import partial

from oomdb.errors import ClusterUnauthorized, KubeconfigError, OomdbError
from oomdb.kube.auth import Credentials, open_credentials
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.contexts import Context
from oomdb.kube.credential import Credential
from oomdb.kube.failures import NAME_CHARACTERS, to_plain
from oomdb.kube.transport import Transport


@dataclass(frozen=True, slots=True)
class Way:
    """One context that leads to the server."""

    context: Context
    transport: Transport
    credentials: Credentials

    def find_credential(self) -> Credential:
        """Return what to show to the server.

        Raises:
            ClusterUnauthorized: there are no credentials, or they cannot be sent.
            KubeconfigError: the kubeconfig says something that cannot be done.
        """
        credential = self.credentials.current()
        if not (credential.token.isascii() and credential.token.isprintable()):
            raise ClusterUnauthorized(
                f"The token of context '{to_plain(self.context.name, NAME_CHARACTERS)}' holds characters that no token "
                "has; correct it, or log in again."
            )
        return credential

    def renew(self, refusal: ClusterUnauthorized) -> OomdbError | None:
        """Get new credentials after a refusal; return why there are none, None where another try makes sense."""
        try:
            return None if self.credentials.refresh() else refusal
        except (ClusterUnauthorized, KubeconfigError) as err:
            return err


class Ways:
    """The contexts of one server: the one in use, and the next when the server refuses it."""

    def __init__(self, target: ClusterTarget, *, timeout_seconds: float, connections: int) -> None:
        self._contexts = target.contexts
        self._open_transport = partial(Transport, timeout_seconds=timeout_seconds, connections=connections)
        self._lock = threading.Lock()
        self._opened: list[Way] = []
        self._current: Way | None = None
        self._refusals: list[OomdbError] = []

    @property
    def context_name(self) -> str:
        """The context in use; the first until the server has refused it."""
        return self._contexts[min(len(self._refusals), len(self._contexts) - 1)].name

    def current(self) -> Way:
        """Return the way to take.

        Raises:
            ClusterUnauthorized: the server refused every context.
            KubeconfigError: no context can be used.
        """
        with self._lock:
            while self._current is None:
                if len(self._refusals) == len(self._contexts):
                    raise self._explain_refusals()
                try:
                    self._current = self._open(self._contexts[len(self._refusals)])
                except (ClusterUnauthorized, KubeconfigError) as err:
                    self._refusals.append(err)
            return self._current

    def leave(self, way: Way, refusal: OomdbError) -> None:
        """Take the next way from now on, unless another thread saw to it already."""
        with self._lock:
            if self._current is way:
                self._refusals.append(refusal)
                self._current = None

    def close(self) -> None:
        """Close all connections."""
        for way in self._opened:
            way.transport.close()

    def _open(self, context: Context) -> Way:
        way = Way(context, self._open_transport(context), open_credentials(context))
        self._opened.append(way)
        return way

    def _explain_refusals(self) -> OomdbError:
        # a new one at each call: several threads may raise it
        first = next((err for err in self._refusals if isinstance(err, ClusterUnauthorized)), self._refusals[0])
        others = len(self._refusals) - 1
        text = f"{first} ({others} more context(s) of this server failed too)" if others else str(first)
        return type(first)(text)
