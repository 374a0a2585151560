"""When a certificate ends: the one field of X.509 that we need, and that Python's ssl does not tell of our own."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")

_VERSION = 0xA0
_UTC_TIME = 0x17


def find_end(chain: bytes) -> datetime:
    """Return the instant (notAfter) at which the first certificate of a chain in PEM ends.

    The chain must be one that OpenSSL has loaded. Source: RFC 5280, 4.1 and 4.1.2.5.
    """
    pem = CERTIFICATE.findall(chain)[0].decode("ascii")
    ((_, certificate),) = _iter_elements(ssl.PEM_cert_to_DER_cert(pem))
    _, signed = next(_iter_elements(certificate))
    fields = [content for tag, content in _iter_elements(signed) if tag != _VERSION]
    _serial_number, _algorithm, _issuer, validity, *_ = fields
    _begin, (tag, content) = _iter_elements(validity)
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _iter_elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Iterate over the (tag, content) of the elements that lie one behind the other."""
    place = 0
    while place < len(der):
        tag, length = der[place], der[place + 1]
        place += 2
        if length & 0x80:  # the long form: how many bytes hold the length
            size = length & 0x7F
            length = int.from_bytes(der[place : place + size], "big")
            place += size
        yield tag, der[place : place + length]
        place += length
