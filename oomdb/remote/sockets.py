"""Connections whose sockets are known, so that all that waits for a server can be ended at once."""

import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class Sockets:
    """The sockets that are open; one lives as long as its connection, or an answer that is read from it."""

    def __init__(self) -> None:
        self._open: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._are_ended = False

    def end(self) -> None:
        """Let all that is sent and awaited through them fail, whichever thread it is, now and later."""
        with self._lock:
            self._are_ended = True
            for it in self._open:
                _end(it)

    def add(self, sock: Any) -> None:
        """Take a socket that has connected."""
        if not isinstance(sock, socket.socket):  # TLS within TLS, to a proxy and through it
            return
        with self._lock:
            self._open.add(sock)
            if self._are_ended:
                _end(sock)


def remember_sockets(manager: urllib3.PoolManager, sockets: Sockets) -> None:
    """Let a manager's connections tell their sockets; before it has any."""
    manager.pool_classes_by_scheme = {  # they are called, nothing else
        "http": partial(_PlainPool, sockets=sockets),  # type: ignore[dict-item]
        "https": partial(_TlsPool, sockets=sockets),  # type: ignore[dict-item]
    }


def _end(sock: socket.socket) -> None:
    with suppress(OSError):  # the server was first
        # past what an SSLSocket makes of it, which pulls its state away from under the thread that reads
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _PlainConnection(HTTPConnection):
    def __init__(self, *args: Any, sockets: Sockets, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sockets = sockets

    def connect(self) -> None:
        super().connect()
        self._sockets.add(self.sock)


class _TlsConnection(_PlainConnection, HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
