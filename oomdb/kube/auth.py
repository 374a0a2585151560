"""Trust and credentials: the SSL context of a server, and who we are to it (tokens, files of tokens, exec plug-ins)."""

import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import truststore

from oomdb.errors import ClusterUnauthorized, KubeconfigError, OomdbError
from oomdb.kube.kubeconfig import EXEC_API_VERSION, Context, ExecPlugin, UserEntry, make_plain, show

PLUGIN_TIMEOUT_SECONDS = 60.0
TOKEN_FILE_MAX_AGE_SECONDS = 60.0  # client-go rest/token_source.go: bound tokens rotate

_MAX_FILE_BYTES = 4 * 1024 * 1024  # the largest bundles of authorities are some hundred KiB
_MAX_OUTPUT_BYTES = 1024 * 1024
_STDERR_TAIL_BYTES = 8 * 1024
_QUOTED_LINES = 5
_LINGER_SECONDS = 0.2  # a plug-in that has ended may leave a child behind that holds its pipes


class Credentials(Protocol):
    """Who we are to one server; may be used by several threads."""

    def authorization(self) -> str | None:
        """Return the value of the Authorization header, None where no header is wanted.

        Raises:
            KubeconfigError: the kubeconfig says something that cannot be done.
            ClusterUnauthorized: no credentials could be had.
        """
        ...

    def refresh(self) -> bool:
        """Get new credentials after the server refused (401) those that this thread was given last.

        Returns:
            Whether there are other ones now, so that another try makes sense.

        Raises:
            KubeconfigError, ClusterUnauthorized: as `authorization`.
        """
        ...


PluginRunner = Callable[[ExecPlugin], bytes]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def run_plugin(
    plugin: ExecPlugin, *, environ: Mapping[str, str] | None = None, timeout_seconds: float = PLUGIN_TIMEOUT_SECONDS
) -> bytes:
    """Run an exec plug-in and return what it printed (at most 1 MiB).

    It has no stdin and no terminal. It gets our environment, the kubeconfig's variables, and KUBERNETES_EXEC_INFO as
    client-go sets it (plugin/pkg/client/auth/exec/exec.go).

    Args:
        plugin: what to run.
        environ: in place of our own environment.
        timeout_seconds: after this it is killed, with all processes of its group.

    Raises:
        KubeconfigError: the command cannot be started.
        ClusterUnauthorized: it failed, did not end in time, or printed without end; with its last lines on stderr.
    """
    environ = os.environ if environ is None else environ
    command = shutil.which(plugin.command, path=environ.get("PATH", os.defpath))
    if command is None:
        raise _plugin_misconfigured(plugin, "cannot be found, or is not executable")
    deadline = time.monotonic() + timeout_seconds
    try:
        process = subprocess.Popen(  # noqa: S603 - running the kubeconfig's command is what an exec plug-in is
            [command, *plugin.args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": _EXEC_INFO},
            start_new_session=True,  # without a terminal it cannot ask, and all its processes can be killed
        )
    except (OSError, ValueError) as err:
        raise _plugin_misconfigured(plugin, f"cannot be started ({_reason(err)})") from err
    with process:
        output = complaints = b""
        try:
            output, complaints = _read_output(process, deadline)
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as err:
            _kill_group(process)
            text = f"did not end within {timeout_seconds:g} seconds and was stopped"
            raise _plugin_failed(plugin, text, complaints) from err
        except BaseException:
            _kill_group(process)
            raise
    if len(output) > _MAX_OUTPUT_BYTES:
        raise _plugin_failed(plugin, f"printed more than {_MAX_OUTPUT_BYTES >> 20} MiB and was stopped", complaints)
    if process.returncode:
        raise _plugin_failed(plugin, _describe_exit(process.returncode), complaints)
    return output


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
    return _PluginToken(user.exec, run, clock)


def build_ssl_context(context: Context) -> ssl.SSLContext | None:
    """Return how TLS is spoken to the context's server, None where it is spoken to without (http://).

    Trust is the kubeconfig's authority alone, else the system's store. A client certificate is loaded.

    Raises:
        KubeconfigError: the context cannot be used, or a certificate or key cannot be read.
    """
    context.require_usable()
    if not _uses_tls(context):
        return None
    tls = _build_trust(context)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if context.user.client_certificate or context.user.client_certificate_data:
        _load_client_certificate(tls, context.user)
    return tls


def context_warnings(context: Context) -> tuple[str, ...]:
    """Return what is risky about a context, or does not do what its user may think; nothing of it stops us."""
    cluster, user = context.cluster, context.user
    warnings = []
    if cluster.insecure_skip_tls_verify and _uses_tls(context):
        warnings.append(
            f"context {show(context.name)}: insecure-skip-tls-verify is set in {make_plain(str(cluster.file))}: "
            f"anybody on the way to {make_plain(cluster.server)} can read and change what is sent, the token included."
        )
    if cluster.server and not _uses_tls(context) and (user.token or user.token_file or user.exec):
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


# --- trust ----------------------------------------------------------------------------------------------------------

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


def _uses_tls(context: Context) -> bool:
    return not context.cluster.server.lower().startswith("http://")


def _build_trust(context: Context) -> ssl.SSLContext:
    cluster = context.cluster
    if cluster.certificate_authority_data:
        return _trust_only(
            cluster.certificate_authority_data,
            _place(cluster.file, "cluster", cluster.name, "certificate-authority-data"),
        )
    if cluster.certificate_authority:
        place = _place(cluster.file, "cluster", cluster.name, "certificate-authority")
        return _trust_only(_read_file(cluster.certificate_authority, place), place)
    if cluster.insecure_skip_tls_verify:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        return tls
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trust_only(content: bytes, place: str) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # as in Go, what is trusted may be an intermediate authority, or the server's own certificate
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    certificates = b"\n".join(_CERTIFICATE.findall(content)).decode("ascii", "replace")
    if not certificates:
        raise KubeconfigError(f"{place} holds no certificate in PEM format; write it anew, or log in again.")
    try:
        tls.load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError, TypeError) as err:
        raise KubeconfigError(f"{place} holds a damaged certificate; write it anew, or log in again.") from err
    return tls


def _load_client_certificate(tls: ssl.SSLContext, user: UserEntry) -> None:
    certificate_place = _place(user.file, "user", user.name, "client-certificate")
    key_place = _place(user.file, "user", user.name, "client-key")
    certificate = user.client_certificate_data or _read_optional(user.client_certificate, certificate_place)
    key = user.client_key_data or _read_optional(user.client_key, key_place)

    def refuse_to_ask() -> str:
        raise KubeconfigError(f"{key_place} is encrypted, and there is nobody to ask for its password; decrypt it.")

    try:
        if user.client_certificate and user.client_key:
            tls.load_cert_chain(user.client_certificate, user.client_key, password=refuse_to_ask)
            return
        # OpenSSL loads a key from files only; these are ours alone (0600 in a folder of 0700) and gone at once
        with tempfile.TemporaryDirectory(prefix="oomdb-") as folder:
            certificate_file, key_file = Path(folder, "certificate"), Path(folder, "key")
            _write_private(certificate_file, certificate)
            _write_private(key_file, key)
            tls.load_cert_chain(certificate_file, key_file, password=refuse_to_ask)
    except ssl.SSLError as err:
        if err.reason == "KEY_VALUES_MISMATCH":
            raise KubeconfigError(f"{key_place} does not belong to its client-certificate; log in again.") from err
        raise KubeconfigError(
            f"{certificate_place}, or its client-key, is not in PEM format or is damaged ({err.reason or 'unknown'}); "
            "log in again."
        ) from err
    except OSError as err:
        raise KubeconfigError(
            f"{certificate_place} cannot be loaded: no temporary file can be written ({_reason(err)}); check TMPDIR."
        ) from err


def _read_optional(path: Path | None, place: str) -> bytes:
    return _read_file(path, place) if path else b""


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _place(file: Path, kind: str, name: str, field: str) -> str:
    return f"{make_plain(str(file))}: {kind} {show(name)}: {field}"


def _read_file(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as err:  # ValueError: a null byte in the path
        raise KubeconfigError(
            f"{place}: {make_plain(str(path))} cannot be read ({_reason(err)}); correct its path or its mode."
        ) from err
    if len(content) > _MAX_FILE_BYTES:
        raise KubeconfigError(f"{place}: {make_plain(str(path))} is larger than {_MAX_FILE_BYTES >> 20} MiB.")
    return content


def _reason(err: Exception) -> str:
    return err.strerror if isinstance(err, OSError) and err.strerror else make_plain(str(err))


# --- tokens ---------------------------------------------------------------------------------------------------------


class _FixedToken:
    """A token as the kubeconfig has it, or none: a client certificate, or nobody."""

    def __init__(self, token: str) -> None:
        self._token = token

    def authorization(self) -> str | None:
        return f"Bearer {self._token}" if self._token else None

    def refresh(self) -> bool:
        return False


class _TokenFile:
    """A token in a file that somebody else renews."""

    def __init__(self, user: UserEntry, path: Path, clock: Clock) -> None:
        self._place = _place(user.file, "user", user.name, "tokenFile")
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._given = _LastGiven()
        self._token = user.token
        self._read_at: datetime | None = None
        self._mark: tuple[int, ...] = ()

    def authorization(self) -> str | None:
        with self._lock:
            if self._is_stale():
                self._read()
            self._given.note(self._token)
            return f"Bearer {self._token}"

    def refresh(self) -> bool:
        with self._lock:
            self._read()
            return self._given.differs_from(self._token)

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
            token = _read_file(self._path, self._place).decode("utf-8", "replace").strip()
            if not token:
                raise KubeconfigError(f"{self._place}: {make_plain(str(self._path))} is empty; log in again.")
        except KubeconfigError:
            if not self._token:
                raise
            token = self._token
        self._token, self._mark, self._read_at = token, mark, self._clock()


class _PluginToken:
    """A token that an exec plug-in prints."""

    def __init__(self, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> None:
        self._plugin = plugin
        self._run = run
        self._clock = clock
        self._given = _LastGiven()
        self._answers = _find_answers(plugin)

    def authorization(self) -> str | None:
        token = self._answers.find_token(self._plugin, self._run, self._clock)
        self._given.note(token)
        return f"Bearer {token}"

    def refresh(self) -> bool:
        token = self._answers.replace_token(self._given.value, self._plugin, self._run, self._clock)
        return self._given.differs_from(token)


class _LastGiven(threading.local):
    """The token that this thread was given last: another thread may have renewed it since."""

    value: str = ""

    def note(self, token: str) -> None:
        self.value = token

    def differs_from(self, token: str) -> bool:
        return token != self.value


# --- exec plug-ins --------------------------------------------------------------------------------------------------

_EXEC_INFO = (
    json.dumps({"kind": "ExecCredential", "apiVersion": EXEC_API_VERSION, "spec": {"interactive": False}}) + "\n"
)


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: _Status | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a plug-in said; a token of which no end is known is good until it is refused."""

    token: str
    expires_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.expires_at is None or now <= self.expires_at


class _Answers:
    """The last answer of one plug-in; it runs once for all threads that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: _Answer | None = None
        self._failure: OomdbError | None = None
        self._runs = 0

    def find_token(self, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> str:
        runs_before = self._runs
        with self._lock:
            if self._answer is not None and (self._runs != runs_before or self._answer.is_good(clock())):
                return self._answer.token
            return self._run(plugin, run, runs_before)

    def replace_token(self, refused: str, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> str:
        """Return a token other than the refused one if another thread has got it meanwhile, else run the plug-in."""
        runs_before = self._runs
        with self._lock:
            if self._answer is not None and self._answer.token != refused and self._answer.is_good(clock()):
                return self._answer.token
            if self._answer is not None and self._runs != runs_before:
                return self._answer.token
            return self._run(plugin, run, runs_before)

    def _run(self, plugin: ExecPlugin, run: PluginRunner, runs_before: int) -> str:
        if self._failure is not None and self._runs != runs_before:
            # it failed while we waited for it: to try again would make every thread wait for the time-out in turn
            raise type(self._failure)(str(self._failure)) from self._failure
        self._answer = self._failure = None
        try:
            self._answer = _read_answer(plugin, run(plugin))
        except OomdbError as err:
            self._failure = err
            raise
        finally:
            self._runs += 1
        return self._answer.token


_all_answers: dict[ExecPlugin, _Answers] = {}  # for the process's life, as in client-go: contexts come and go
_all_answers_lock = threading.Lock()


def _find_answers(plugin: ExecPlugin) -> _Answers:
    with _all_answers_lock:
        return _all_answers.setdefault(plugin, _Answers())


def _read_answer(plugin: ExecPlugin, output: bytes) -> _Answer:
    """Read an ExecCredential; what was printed is never shown, since it may hold a secret."""
    try:
        credential = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        reason = "" if isinstance(err, RecursionError) else f": {make_plain(str(err))}"
        raise _plugin_failed(plugin, f"printed {len(output)} bytes that are no ExecCredential{reason}") from err
    if credential.kind != "ExecCredential" or credential.api_version != EXEC_API_VERSION:
        kind = f"{show(credential.kind)} of {show(credential.api_version)}"
        raise _plugin_misconfigured(plugin, f"printed a {kind}, not an 'ExecCredential' of '{EXEC_API_VERSION}'")
    status = credential.status or _Status()
    if status.client_certificate_data or status.client_key_data:
        raise _plugin_misconfigured(
            plugin, "returned a client certificate (status.clientCertificateData), which is not supported yet"
        )
    if not status.token:
        raise _plugin_failed(plugin, "returned no token (status.token)")
    return _Answer(status.token, status.expiration_timestamp)


def _read_output(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes]:
    """Return the plug-in's stdout and the end of its stderr, as far as they came before the deadline.

    A stdout too long is cut, and its writer killed.
    """
    output, complaints = bytearray(), bytearray()
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, complaints)
        while selector.get_map() and len(output) <= _MAX_OUTPUT_BYTES:
            has_ended = process.poll() is not None
            ready = selector.select(min(max(0.0, deadline - time.monotonic()), _LINGER_SECONDS))
            if (has_ended and not ready) or time.monotonic() >= deadline:
                break
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                if not piece:
                    selector.unregister(key.fileobj)
                key.data.extend(piece)
            del complaints[:-_STDERR_TAIL_BYTES]
    if len(output) > _MAX_OUTPUT_BYTES:
        _kill_group(process)
    return bytes(output), bytes(complaints)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _describe_exit(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"


def _plugin_misconfigured(plugin: ExecPlugin, what: str) -> KubeconfigError:
    return KubeconfigError(f"{_name_plugin(plugin)} {what}. {_quote_lines(plugin.install_hint) or _ADVICE}")


def _plugin_failed(plugin: ExecPlugin, what: str, complaints: bytes = b"") -> ClusterUnauthorized:
    said = _quote_lines(complaints.decode("utf-8", "replace"))
    return ClusterUnauthorized(
        f"{_name_plugin(plugin)} {what}{f', saying: {said}' if said else '; run it by hand to see why.'}"
    )


def _name_plugin(plugin: ExecPlugin) -> str:
    place = _place(plugin.file, "user", plugin.user, "exec")
    return f"{place}: the plug-in {show(plugin.command)}"


_ADVICE = "Correct the user's exec entry, or install the plug-in."
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def _quote_lines(text: str) -> str:
    """Return the last lines as one, without colours and control characters."""
    lines = [make_plain(line.expandtabs(1)).strip() for line in _TERMINAL_SEQUENCE.sub("", text).splitlines()]
    return " | ".join([line for line in lines if line][-_QUOTED_LINES:])
