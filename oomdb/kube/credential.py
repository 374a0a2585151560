"""What we show to a server: a token, a client certificate, both, or nothing."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its chain, and its key, both PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """A bearer token ('' for none) and a client certificate that is not the kubeconfig's own."""

    token: str = field(default="", repr=False)
    certificate: ClientCertificate | None = None

    @property
    def authorization(self) -> str | None:
        """The value of the Authorization header, None where no header is wanted."""
        return f"Bearer {self.token}" if self.token else None
