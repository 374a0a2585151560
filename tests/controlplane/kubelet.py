"""A stand-in for the kubelets of a cluster: the API server asks it for containers' logs, as it would ask a node."""

import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from oomdb.simulator.certificates import Authority

LogKey = tuple[str, str, str, bool]  # namespace, pod, container, previous
Answer = tuple[int, bytes]


class Kubelet:
    """An HTTPS server on loopback that all nodes of a test's clusters name as theirs; `logs` may be filled at any time.

    A log that is not there is answered as a kubelet does: the present one is empty, of a previous one its file is gone.
    """

    def __init__(self) -> None:
        self.logs: dict[LogKey, bytes] = {}
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        Authority().server_certificate().load_into(tls)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="kubelet", daemon=True).start()

    @property
    def port(self) -> int:
        """Where nodes say that their kubelet is."""
        return self._server.server_port

    def add_logs(self, logs: Mapping[LogKey, bytes]) -> None:
        """Add logs by (namespace, pod, container, previous)."""
        self.logs.update(logs)

    def answer(self, path: str) -> Answer:
        """Return what a kubelet says to a request."""
        self.requests.append(path)
        url = urlsplit(path)
        match url.path.strip("/").split("/"):
            case ["containerLogs", namespace, pod, container]:
                query = parse_qs(url.query)
                previous = query.get("previous") == ["true"]
                log = self.logs.get((unquote(namespace), unquote(pod), unquote(container), previous))
                if log is None:
                    log = b"unable to retrieve container logs for cri-o://gone" if previous else b""
                return 200, _cut(log, query)
        return 404, b"404 page not found"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _cut(log: bytes, query: Mapping[str, list[str]]) -> bytes:
    if "tailLines" in query:
        log = b"".join(log.splitlines(keepends=True)[-int(query["tailLines"][0]) :])
    return log[: int(query["limitBytes"][0])] if "limitBytes" in query else log


def _handler_for(kubelet: Kubelet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = kubelet.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
