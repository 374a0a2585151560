"""Who we are to a server: tokens, files of tokens, exec plug-ins."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from oomdb.errors import KubeconfigError
from oomdb.kube.contexts import Context, ExecPlugin, UserEntry, make_plain, show
from oomdb.kube.credential import Credential
from oomdb.kube.named_files import place_of, read_named_file
from oomdb.kube.plugins import Clock, PluginRunner, find_answers, run_plugin
from oomdb.kube.trust import uses_tls

TOKEN_FILE_MAX_AGE_SECONDS = 60.0  # client-go rest/token_source.go: bound tokens rotate


class Credentials(Protocol):
    """Who we are to one server; may be used by several threads."""

    def current(self) -> Credential:
        """Return what to show to the server with the next request.

        Raises:
            KubeconfigError: the kubeconfig says something that cannot be done.
            ClusterUnauthorized: no credentials could be had.
        """
        ...

    def refresh(self) -> bool:
        """Get new credentials after the server refused those that this thread was given last.

        Returns:
            Whether there are other ones now, so that another try makes sense.

        Raises:
            KubeconfigError, ClusterUnauthorized: as `current`.
        """
        ...


def _now() -> datetime:
    return datetime.now(UTC)


def open_credentials(context: Context, *, run: PluginRunner = run_plugin, clock: Clock = _now) -> Credentials:
    """Return the context's credentials; nothing is read or run before they are asked for.

    As in client-go a tokenFile goes before a token, which stands in until the file can be read, and both go before an
    exec plug-in. Plug-ins that are equal share one answer and run one at a time, whichever contexts name them.

    Args:
        context: whose user.
        run: runs a plug-in and returns its output.
        clock: the present, UTC.

    Raises:
        KubeconfigError: the context cannot be used.
    """
    context.require_usable()
    user = context.user
    if user.token_file:
        return _TokenFile(user, user.token_file, clock)
    if user.token or user.exec is None:
        return _FixedToken(user.token)
    return _PluginCredentials(user.exec, run, clock)


def context_warnings(context: Context) -> tuple[str, ...]:
    """Return what is risky about a context, or does not do what its user may think; nothing of it stops us."""
    cluster, user = context.cluster, context.user
    warnings = []
    if cluster.insecure_skip_tls_verify and uses_tls(cluster):
        warnings.append(
            f"context {show(context.name)}: insecure-skip-tls-verify is set in {make_plain(str(cluster.file))}: "
            f"anybody on the way to {make_plain(cluster.server)} can read and change what is sent, the token included."
        )
    if cluster.server and not uses_tls(cluster) and (user.token or user.token_file or user.exec):
        warnings.append(
            f"context {show(context.name)}: the token of user {show(user.name)} travels unencrypted to "
            f"{make_plain(cluster.server)}; use https://."
        )
    if user.exec and (user.token or user.token_file):
        warnings.append(
            f"context {show(context.name)}: user {show(user.name)} has a token and an exec plug-in; the token is used, "
            "as kubectl does."
        )
    return tuple(warnings)


class _FixedToken:
    """A token as the kubeconfig has it, or none: a client certificate, or nobody."""

    def __init__(self, token: str) -> None:
        self._credential = Credential(token)

    def current(self) -> Credential:
        return self._credential

    def refresh(self) -> bool:
        return False


class _TokenFile:
    """A token in a file that somebody else renews."""

    def __init__(self, user: UserEntry, path: Path, clock: Clock) -> None:
        self._place = place_of(user.file, "user", user.name, "tokenFile")
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._given = _LastGiven()
        self._token = user.token
        self._read_at: datetime | None = None
        self._mark: tuple[int, ...] = ()

    def current(self) -> Credential:
        with self._lock:
            if self._is_stale():
                self._read()
            self._given.credential = Credential(self._token)
            return self._given.credential

    def refresh(self) -> bool:
        with self._lock:
            self._read()
            return self._given.credential != Credential(self._token)

    def _is_stale(self) -> bool:
        if self._read_at is None or self._mark != self._look():
            return True
        age_seconds = (self._clock() - self._read_at).total_seconds()
        return not 0 <= age_seconds < TOKEN_FILE_MAX_AGE_SECONDS  # a clock that was set back tells nothing

    def _look(self) -> tuple[int, ...]:
        try:
            stat = self._path.stat()
        except (OSError, ValueError):
            return ()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _read(self) -> None:
        """Read the file; while it cannot be read, the last token stays, as in client-go."""
        mark = self._look()
        try:
            token = read_named_file(self._path, self._place).decode("utf-8", "replace").strip()
            if not token:
                raise KubeconfigError(f"{self._place}: {make_plain(str(self._path))} is empty; log in again.")
        except KubeconfigError:
            if not self._token:
                raise
            token = self._token
        self._token, self._mark, self._read_at = token, mark, self._clock()


class _PluginCredentials:
    """A token, a client certificate, or both, as an exec plug-in issues them."""

    def __init__(self, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> None:
        self._plugin = plugin
        self._run = run
        self._clock = clock
        self._given = _LastGiven()
        self._answers = find_answers(plugin)

    def current(self) -> Credential:
        self._given.credential = self._answers.find(self._plugin, self._run, self._clock)
        return self._given.credential

    def refresh(self) -> bool:
        refused = self._given.credential
        return self._answers.replace(refused, self._plugin, self._run, self._clock) != refused


class _LastGiven(threading.local):
    """What this thread was given last: another thread may have renewed it since."""

    credential: Credential = Credential()
