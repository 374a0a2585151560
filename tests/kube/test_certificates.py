"""The end of a certificate is read as OpenSSL's own tools read it."""

from datetime import UTC, datetime

import pytest
import trustme

from oomdb.kube.certificates import find_end


@pytest.mark.parametrize(
    "end",
    [
        datetime(2026, 1, 15, 12, 30, 59, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),  # the last that is written with two digits of its year
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),  # never (RFC 5280, 4.1.2.5)
    ],
)
def test_the_end_is_that_of_the_first_certificate(end: datetime) -> None:
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    leaf = trustme.CA().create_child_ca().issue_cert("a.example.com", not_before=begin, not_after=end)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    assert find_end(b"# a comment\n" + chain) == end
