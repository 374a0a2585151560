"""Processes of a control plane: one etcd, and as many API servers on it as a test wants."""

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from oomdb.simulator.certificates import Authority, KeyPair
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from tests.controlplane.binaries import Binaries
from tests.controlplane.kubelet import Kubelet

START_SECONDS = 120.0  # a loaded machine, a cold disk; ready after about six

# every request once, when it is answered; bodies are not wanted
_AUDIT_POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"


class RequestFailed(Exception):
    """The API server refused a test's own request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ControlPlane:
    """An etcd process, its kubelet stand-in, and the API servers that were started on it."""

    def __init__(self, binaries: Binaries, folder: Path) -> None:
        self.folder = folder
        self.kubelet = Kubelet()
        self._binaries = binaries
        self._servers: list[ApiServer] = []
        client_port, peer_port = _free_port(), _free_port()
        self.etcd_url = f"http://127.0.0.1:{client_port}"
        peer_url = f"http://127.0.0.1:{peer_port}"
        self._etcd = _Process(
            [
                str(binaries.etcd),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={self.etcd_url}",
                f"--advertise-client-urls={self.etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                "--unsafe-no-fsync",
                "--quota-backend-bytes=8589934592",
            ],
            folder / "etcd.log",
        )

    def start_server(
        self,
        name: str,
        *,
        flags: Sequence[str] = (),
        certificate: KeyPair | None = None,
        wait: bool = True,
    ) -> "ApiServer":
        """Start an API server whose objects are its own (`name` is its prefix in etcd: the same one finds them again).

        Args:
            name: of the cluster.
            flags: further flags of kube-apiserver.
            certificate: in place of one that its authority signed for loopback.
            wait: until it is ready; else call `wait_until_ready` before the first request.
        """
        self._etcd.start(self._is_etcd_ready)
        server = ApiServer(self, name, self._binaries.kube_apiserver, flags=flags, certificate=certificate)
        self._servers.append(server)
        server.start(wait=wait)
        return server

    def compact(self) -> None:
        """Make etcd forget the past, as the API server does every five minutes: continue tokens expire (410)."""
        revision = self._ask_etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def close(self) -> None:
        """End all processes."""
        for server in self._servers:
            server.stop()
        self._etcd.stop()
        self.kubelet.close()

    def _ask_etcd(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = urllib3.request("POST", self.etcd_url + path, json=body, retries=False)
        if answer.status != 200:
            raise RequestFailed(answer.status, answer.data.decode())
        return answer.json()

    def _is_etcd_ready(self) -> bool:
        return urllib3.request("GET", f"{self.etcd_url}/health", retries=False, timeout=1).status == 200


class ApiServer:
    """One kube-apiserver: its address, its trust, and requests as its administrator.

    `admin_token` is that of a member of system:masters.
    """

    def __init__(
        self, control_plane: ControlPlane, name: str, binary: Path, *, flags: Sequence[str], certificate: KeyPair | None
    ) -> None:
        self.name = name
        self.control_plane = control_plane
        self.authority = Authority()
        self.admin_token = secrets.token_urlsafe()
        self.folder = control_plane.folder / name
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.port = _free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._audit = self.folder / "audit.log"
        pair = certificate or self.authority.server_certificate()
        self._write_secrets(pair)
        self._process = _Process([str(binary), *self._flags(), *flags], self.folder / "kube-apiserver.log")
        # known by its fingerprint, since a test may give it a certificate that nobody should trust
        self._pool = urllib3.PoolManager(
            retries=False, maxsize=16, cert_reqs="CERT_NONE", assert_fingerprint=_fingerprint(pair)
        )

    @property
    def authority_pem(self) -> bytes:
        """The authority that signed the server's certificate."""
        return self.authority.pem.encode()

    @property
    def pid(self) -> int:
        """The process's number while it runs."""
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start the server, again on the same port where it was stopped; its objects are those of before."""
        self._process.start(self.is_ready if wait else None)

    def wait_until_ready(self) -> None:
        """Wait for a server that was started without waiting."""
        self._process.wait(self.is_ready)

    def stop(self) -> None:
        """End the server at once, as a machine that fails would: open connections break."""
        self._process.stop()

    def pause(self) -> None:
        """Let the server hang: connections are accepted by the kernel, and nothing answers."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def is_ready(self) -> bool:
        """Tell whether all of the server has started."""
        return self._send("GET", "/readyz", None, {}, timeout=2).status == 200

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, user and system, without its children."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> Any:
        """Send a request, as the administrator unless another token is given, and return its decoded answer.

        Raises:
            RequestFailed: it was answered with an error.
        """
        headers = {
            "Content-Type": content_type,
            "Accept": "application/json",
            "Authorization": f"Bearer {token or self.admin_token}",
        }
        answer = self._send(method, path, None if body is None else json.dumps(body).encode(), headers, timeout=60)
        document = json.loads(answer.data) if answer.data[:1] == b"{" else answer.data.decode(errors="replace")
        if answer.status >= 300:
            raise RequestFailed(answer.status, document["message"] if isinstance(document, dict) else document)
        return document

    def create_account(self, namespace: str, name: str) -> str:
        """Create a service account, and its namespace where that is not there, and return a token of its own.

        Deleting the account makes the token invalid.
        """
        self._create_unless_there("/api/v1/namespaces", {"metadata": {"name": namespace}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._create_unless_there(accounts, {"metadata": {"name": name}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token: str = self.request("POST", f"{accounts}/{name}/token", request)["status"]["token"]
        return token

    def issue_client_certificate(self, user: str, *, group: str = "") -> KeyPair:
        """Return a certificate by which the server knows a user, and the one group that the user is in."""
        return self.authority.client_certificate(user, group=group)

    def write_kubeconfig(self, path: Path, **entry: Any) -> Path:
        """Write a kubeconfig with one context: the server's name and its administrator, unless `entry` says otherwise.

        `entry` are fields of ContextEntry; with a token or a client certificate it is not the administrator's.
        """
        fields = {"context": self.name, "server": self.url, "authority_pem": self.authority.pem}
        if not {"token", "client"} & set(entry):
            fields["token"] = self.admin_token
        return write_kubeconfig(path, [ContextEntry(**{**fields, **entry})])

    def audit_events(self) -> list[dict[str, Any]]:
        """Return all that the server's audit log holds: a record for each request that was answered."""
        return [json.loads(line) for line in self._audit.read_text().splitlines()]

    def _create_unless_there(self, path: str, body: Any) -> None:
        try:
            self.request("POST", path, body)
        except RequestFailed as err:
            if err.status != 409:
                raise

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, timeout: float
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(method, self.url + path, body=body, headers=headers, timeout=timeout)

    def _write_secrets(self, certificate: KeyPair) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        texts = {
            "tls.crt": certificate.certificate_pem,
            "tls.key": certificate.key_pem,
            "client-ca.crt": self.authority.pem,
            "accounts.key": key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain).decode(),
            "accounts.pub": key.public_key()
            .public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
            "tokens.csv": f"{self.admin_token},admin,1,system:masters\n",
            "audit.yaml": _AUDIT_POLICY,
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        self._audit.touch()

    def _flags(self) -> list[str]:
        folder = self.folder
        return [
            f"--etcd-servers={self.control_plane.etcd_url}",
            f"--etcd-prefix=/{self.name}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--tls-cert-file={folder / 'tls.crt'}",
            f"--tls-private-key-file={folder / 'tls.key'}",
            f"--client-ca-file={folder / 'client-ca.crt'}",
            f"--cert-dir={folder}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--event-ttl=24h",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            f"--audit-policy-file={folder / 'audit.yaml'}",
            f"--audit-log-path={self._audit}",
        ]


@contextmanager
def running_control_plane(binaries: Binaries, folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane in a folder; its processes end with the block."""
    control_plane = ControlPlane(binaries, folder)
    try:
        yield control_plane
    finally:
        control_plane.close()


class _Process:
    """A child process that is started, waited for, and never outlives its parent's wish."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, is_ready: Callable[[], bool] | None) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_WITH_PARENT, *self._command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if is_ready is not None:
            self.wait(is_ready)

    def wait(self, is_ready: Callable[[], bool]) -> None:
        assert self._process is not None, "not started"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if is_ready():
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.1)
        tail = self._log.read_text(errors="replace").splitlines()[-5:]
        raise AssertionError(f"{self._command[0]} did not become ready: {' | '.join(tail)}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


# where util-linux is there (every Linux), the child ends with us even if we are killed
_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


def _fingerprint(pair: KeyPair) -> str:
    leaf = pair.certificate_pem.partition("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf[0] + leaf[1])).hexdigest()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
