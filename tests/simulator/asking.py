"""A plain client for the simulated server: one connection, nothing hidden."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from oomdb.simulator.certificates import KeyPair
from oomdb.simulator.server import RunningServer

PODS = "/api/v1/pods"
EVENTS = "/api/v1/events"
NAMESPACES = "/api/v1/namespaces"
PROJECTS = "/apis/project.openshift.io/v1/projects"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json()["items"]]

    def message(self) -> str:
        document = self.json()
        assert (document["kind"], document["status"], document["code"]) == ("Status", "Failure", self.status)
        return str(document["message"])


class Asker:
    """Asks one server over one connection (a new one only where the server closed it)."""

    def __init__(self, connection: http.client.HTTPConnection, token: str) -> None:
        self.connection = connection
        self._token = token

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Reply:
        target = f"{path}?{urlencode(query)}" if query else path
        credentials = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self.connection.request(method, target, headers={**credentials, **(headers or {})})
        response = self.connection.getresponse()
        return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())


@contextmanager
def asking(
    server: RunningServer,
    *,
    token: str = "token",
    client: KeyPair | None = None,
    authority_pem: str | None = None,
    host: str = "127.0.0.1",
    timeout_seconds: float = 30,
) -> Iterator[Asker]:
    """Open a connection to a server, and close it afterwards."""
    pem = server.authority_pem if authority_pem is None else authority_pem
    connection: http.client.HTTPConnection
    if pem:
        context = ssl.create_default_context(cadata=pem)
        if client:
            client.load_into(context)
        connection = http.client.HTTPSConnection(host, server.port, context=context, timeout=timeout_seconds)
    else:
        connection = http.client.HTTPConnection(host, server.port, timeout=timeout_seconds)
    try:
        yield Asker(connection, token)
    finally:
        connection.close()
