"""Exec plug-ins: commands that print credentials; one runs for all who wait, and again when what it issued expires."""

import base64
import json
import os
import shutil
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from oomdb.errors import ClusterUnauthorized, KubeconfigError, OomdbError
from oomdb.kube.certificates import find_end
from oomdb.kube.contexts import ClusterEntry, ExecPlugin, make_plain, show
from oomdb.kube.credential import ClientCertificate, Credential
from oomdb.kube.named_files import explain_os_error, place_of
from oomdb.kube.trust import load_pair, read_authority
from oomdb.processes import CommandFailed, quote_lines, run_to_end

PLUGIN_TIMEOUT_SECONDS = 60.0

_MAX_OUTPUT_BYTES = 1024 * 1024

PluginRunner = Callable[[ExecPlugin], bytes]
Clock = Callable[[], datetime]


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
        KubeconfigError: the command cannot be started, or the authority that it is to be told cannot be read.
        ClusterUnauthorized: it failed, did not end in time, or printed without end; with its last lines on stderr.
    """
    environ = os.environ if environ is None else environ
    command = shutil.which(plugin.command, path=environ.get("PATH", os.defpath))
    if command is None:
        raise _plugin_misconfigured(plugin, "cannot be found, or is not executable")
    try:
        return run_to_end(
            [command, *plugin.args],
            environ={**environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": _build_exec_info(plugin)},
            timeout_seconds=timeout_seconds,
            max_output_bytes=_MAX_OUTPUT_BYTES,
        )
    except (OSError, ValueError) as err:
        raise _plugin_misconfigured(plugin, f"cannot be started ({explain_os_error(err)})") from err
    except CommandFailed as err:
        raise _plugin_failed(plugin, str(err), err.said) from err


class PluginAnswers:
    """The last answer of one plug-in; it runs once for all threads that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: _Answer | None = None
        self._failure: OomdbError | None = None
        self._runs = 0

    def find(self, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> Credential:
        """Return what the plug-in issued last, of a new run where that has expired.

        Raises:
            KubeconfigError, ClusterUnauthorized: as `run_plugin`, or it printed no credentials.
        """
        runs_before = self._runs
        with self._lock:
            if self._answer is not None and (self._runs != runs_before or self._answer.is_good(clock())):
                return self._answer.credential
            return self._run(plugin, run, runs_before)

    def replace(self, refused: Credential, plugin: ExecPlugin, run: PluginRunner, clock: Clock) -> Credential:
        """Return what another thread has got in place of the refused one meanwhile, else run the plug-in.

        Raises:
            KubeconfigError, ClusterUnauthorized: as `find`.
        """
        runs_before = self._runs
        with self._lock:
            if self._answer is not None and self._answer.credential != refused and self._answer.is_good(clock()):
                return self._answer.credential
            if self._answer is not None and self._runs != runs_before:
                return self._answer.credential
            return self._run(plugin, run, runs_before)

    def _run(self, plugin: ExecPlugin, run: PluginRunner, runs_before: int) -> Credential:
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
        return self._answer.credential


_all_answers: dict[ExecPlugin, PluginAnswers] = {}  # for the process's life, as in client-go: contexts come and go
_all_answers_lock = threading.Lock()


def find_answers(plugin: ExecPlugin) -> PluginAnswers:
    """Return the answers that all equal plug-ins share."""
    with _all_answers_lock:
        return _all_answers.setdefault(plugin, PluginAnswers())


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
    """What a plug-in issued; where no end of it is known it is good until it is refused."""

    credential: Credential
    expires_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.expires_at is None or now <= self.expires_at


def _read_answer(plugin: ExecPlugin, output: bytes) -> _Answer:
    """Read an ExecCredential; what was printed is never shown, since it may hold a secret."""
    try:
        credential = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        reason = "" if isinstance(err, RecursionError) else f": {make_plain(str(err))}"
        raise _plugin_failed(plugin, f"printed {len(output)} bytes that are no ExecCredential{reason}") from err
    if credential.kind != "ExecCredential" or credential.api_version != plugin.api_version:
        kind = f"{show(credential.kind)} of {show(credential.api_version)}"
        raise _plugin_misconfigured(plugin, f"printed a {kind}, not an 'ExecCredential' of '{plugin.api_version}'")
    status = credential.status or _Status()
    certificate = _read_certificate(plugin, status)
    if not status.token and certificate is None:
        raise _plugin_failed(plugin, "returned neither a token (status.token) nor a client certificate")
    expires_at = status.expiration_timestamp
    if expires_at is None and certificate is not None:
        expires_at = find_end(certificate.chain)
    return _Answer(Credential(status.token or "", certificate), expires_at)


def _read_certificate(plugin: ExecPlugin, status: _Status) -> ClientCertificate | None:
    chain, key = status.client_certificate_data, status.client_key_data
    if not chain and not key:
        return None
    if not chain or not key:
        has, lacks = ("clientCertificateData", "clientKeyData") if chain else ("clientKeyData", "clientCertificateData")
        raise _plugin_failed(plugin, f"returned status.{has} without status.{lacks}")
    certificate = ClientCertificate(chain.encode(), key.encode())
    load_pair(
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        certificate,
        certificate_place=f"{_name_plugin(plugin)}: status.clientCertificateData",
        key_place=f"{_name_plugin(plugin)}: status.clientKeyData",
    )
    return certificate


def _build_exec_info(plugin: ExecPlugin) -> str:
    """Return what KUBERNETES_EXEC_INFO tells the plug-in (client-go rest/exec.go, ConfigToExecCluster)."""
    spec: dict[str, object] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = _describe_cluster(plugin.cluster)
    return json.dumps({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}) + "\n"


def _describe_cluster(cluster: ClusterEntry) -> dict[str, object]:
    """Return the cluster as plug-ins know it (client-go pkg/apis/clientauthentication/v1/types.go)."""
    optional = {
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(read_authority(cluster)).decode(),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
    }
    given = {name: value for name, value in optional.items() if value}
    return {"server": cluster.server, **given, "config": json.loads(cluster.exec_config or "null")}


def _plugin_misconfigured(plugin: ExecPlugin, what: str) -> KubeconfigError:
    return KubeconfigError(f"{_name_plugin(plugin)} {what}. {quote_lines(plugin.install_hint) or _ADVICE}")


def _plugin_failed(plugin: ExecPlugin, what: str, said: str = "") -> ClusterUnauthorized:
    return ClusterUnauthorized(
        f"{_name_plugin(plugin)} {what}{f', saying: {said}' if said else '; run it by hand to see why.'}"
    )


def _name_plugin(plugin: ExecPlugin) -> str:
    place = place_of(plugin.file, "user", plugin.user, "exec")
    return f"{place}: the plug-in {show(plugin.command)}"


_ADVICE = "Correct the user's exec entry, or install the plug-in."
