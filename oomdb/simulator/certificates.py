"""Certificates for loopback: a certificate authority made on the spot, and what it signs, right or wrong on purpose."""

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.errors import OomdbError

if TYPE_CHECKING:
    import trustme

LOOPBACK_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, both PEM."""

    certificate_pem: str
    key_pem: str

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make the pair the identity of a TLS context, which OpenSSL takes from a file only."""
        with tempfile.TemporaryDirectory(prefix="oomdb-") as folder:
            path = Path(folder) / "pair.pem"
            path.write_text(self.key_pem + self.certificate_pem)
            context.load_cert_chain(path)


class Authority:
    """A certificate authority that nobody trusts but those who are given its PEM.

    Raises:
        OomdbError: where the package trustme is not installed.
    """

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as err:
            raise OomdbError(
                "Simulated clusters need the package trustme, which is not installed: run `pip install 'oomdb[demo]'`."
            ) from err
        self._authority: trustme.CA = trustme.CA()
        self.pem: str = self._authority.cert_pem.bytes().decode()

    def server_certificate(self, *names: str, expired: bool = False) -> KeyPair:
        """Return a server's pair for host names and addresses (none given: loopback's), expired yesterday if asked."""
        now = datetime.now(UTC)
        validity = (now - timedelta(days=30), now - timedelta(days=1)) if expired else (None, None)
        return _key_pair(
            self._authority.issue_cert(*(names or LOOPBACK_NAMES), not_before=validity[0], not_after=validity[1])
        )

    def client_certificate(self, common_name: str, *, group: str = "") -> KeyPair:
        """Return a client's pair: the API server takes common name and organization for the user and its group."""
        return _key_pair(
            self._authority.issue_cert(_NO_SUCH_HOST, common_name=common_name, organization_name=group or None)
        )


_NO_SUCH_HOST = "client.invalid"  # a certificate needs one subject alternative name


def _key_pair(leaf: "trustme.LeafCert") -> KeyPair:
    chain = "".join(blob.bytes().decode() for blob in leaf.cert_chain_pems)
    return KeyPair(chain, leaf.private_key_pem.bytes().decode())
