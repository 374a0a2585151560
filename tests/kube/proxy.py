"""A small HTTP proxy as a process of its own: CONNECT and plain forwarding, with a password, TLS or bad manners."""

import argparse
import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from oomdb.simulator.certificates import KeyPair


class RunningProxy:
    """A proxy that runs: its port, and what it was asked for."""

    def __init__(self, port: int, log: Path, *, scheme: str = "http") -> None:
        self.port = port
        self._log = log
        self._scheme = scheme

    def url(self, userinfo: str = "") -> str:
        """Return the proxy's URL, with `user:password@` if asked."""
        return f"{self._scheme}://{userinfo}127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        """Each request's method and target, as `CONNECT api.example.com:6443`, in the order of arrival."""
        return self._log.read_text().splitlines()


@contextmanager
def run_proxy(
    folder: Path, *, authorization: str = "", refuse: int = 0, hang: bool = False, pair: KeyPair | None = None
) -> Iterator[RunningProxy]:
    """Run a proxy until the block ends.

    Args:
        folder: where it keeps its log.
        authorization: the Proxy-Authorization that it wants; 407 without.
        refuse: the status by which it answers everything.
        hang: accept connections and say nothing.
        pair: speak TLS.
    """
    log = folder / "proxy.log"
    log.write_text("")
    command = [sys.executable, "-m", "tests.kube.proxy", "--log", str(log), "--refuse", str(refuse)]
    command += ["--authorization", authorization] if authorization else []
    command += ["--hang"] if hang else []
    if pair is not None:
        (folder / "proxy.pem").write_text(pair.key_pem + pair.certificate_pem)
        command += ["--pair", str(folder / "proxy.pem")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            yield RunningProxy(int(process.stdout.readline()), log, scheme="https" if pair else "http")
        finally:
            process.kill()


class _Proxy:
    """Every host leads to loopback: tests need names that no resolver knows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            with self._options.log.open("a") as log:
                log.write(f"{method} {target}\n")
            status = self._find_refusal(head.decode("latin-1"))
            if self._options.hang:
                await asyncio.Event().wait()
            if status:
                writer.write(f"HTTP/1.1 {status} No Way\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                return
            port = urlsplit(target if method != "CONNECT" else f"//{target}").port or 80
            try:
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = target.partition("://")[2].partition("/")[2]
                server_writer.write(head.replace(target.encode(), f"/{path}".encode(), 1))
            await asyncio.gather(_relay(reader, server_writer), _relay(server_reader, writer))

    def _find_refusal(self, head: str) -> int:
        wanted: str | None = self._options.authorization
        if wanted and f"proxy-authorization: {wanted}\r\n".lower() not in head.lower():
            return 407
        refusal: int = self._options.refuse
        return refusal


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()


async def _serve(options: argparse.Namespace) -> None:
    tls = None
    if options.pair:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.pair)
    server = await asyncio.start_server(_Proxy(options).converse, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--authorization")
    parser.add_argument("--refuse", type=int, default=0)
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--pair", type=Path)
    asyncio.run(_serve(parser.parse_args()))
