"""Trust: how TLS is spoken to a server, and by which client certificate."""

import os
import ssl
import tempfile
from pathlib import Path

import truststore

from oomdb.errors import KubeconfigError
from oomdb.kube.certificates import CERTIFICATE
from oomdb.kube.contexts import ClusterEntry, Context, UserEntry
from oomdb.kube.credential import ClientCertificate
from oomdb.kube.named_files import explain_os_error, place_of, read_named_file


def build_ssl_context(context: Context, certificate: ClientCertificate | None = None) -> ssl.SSLContext | None:
    """Return how TLS is spoken to the context's server, None where it is spoken to without (http://).

    Trust is the kubeconfig's authority alone, else the system's store.

    Args:
        context: whose server and user.
        certificate: of an exec plug-in; the kubeconfig's own goes before it, as in client-go.

    Raises:
        KubeconfigError: the context cannot be used, or a certificate or key cannot be read.
    """
    context.require_usable()
    if not uses_tls(context.cluster):
        return None
    tls = _build_trust(context.cluster)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if context.user.has_client_certificate:
        _load_client_certificate(tls, context.user)
    elif certificate is not None:
        load_pair(tls, certificate, certificate_place="the client certificate", key_place="its key")
    return tls


def build_proxy_ssl_context(cluster: ClusterEntry) -> ssl.SSLContext:
    """Return how TLS is spoken to an https:// proxy: it may be known to the system or to the kubeconfig's authority.

    It is always checked, and never shown a client certificate.

    Raises:
        KubeconfigError: the authority cannot be read.
    """
    tls = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    authority = _read_authority(cluster)
    if authority is not None:
        _trust(tls, *authority)
    return tls


def uses_tls(cluster: ClusterEntry) -> bool:
    """Tell whether the server is spoken to over TLS."""
    return not cluster.server.lower().startswith("http://")


def load_pair(tls: ssl.SSLContext, pair: ClientCertificate, *, certificate_place: str, key_place: str) -> None:
    """Make a pair the identity of a TLS context.

    Args:
        tls: the context.
        pair: certificate and key.
        certificate_place: what to call the certificate in a message.
        key_place: what to call its key.

    Raises:
        KubeconfigError: they are no pair, not PEM, or the key is encrypted.
    """

    def refuse_to_ask() -> str:
        raise KubeconfigError(f"{key_place} is encrypted, and there is nobody to ask for its password; decrypt it.")

    try:
        # OpenSSL loads a key from files only; these are ours alone (0600 in a folder of 0700) and gone at once
        with tempfile.TemporaryDirectory(prefix="oomdb-") as folder:
            certificate_file, key_file = Path(folder, "certificate"), Path(folder, "key")
            _write_private(certificate_file, pair.chain)
            _write_private(key_file, pair.key)
            tls.load_cert_chain(certificate_file, key_file, password=refuse_to_ask)
    except ssl.SSLError as err:
        if err.reason == "KEY_VALUES_MISMATCH":
            raise KubeconfigError(f"{key_place} does not belong to its client-certificate; log in again.") from err
        raise KubeconfigError(
            f"{certificate_place}, or its client-key, is not in PEM format or is damaged ({err.reason or 'unknown'}); "
            "log in again."
        ) from err
    except OSError as err:
        raise KubeconfigError(
            f"{certificate_place} cannot be loaded: no temporary file can be written ({explain_os_error(err)}); "
            "check TMPDIR."
        ) from err


def read_authority(cluster: ClusterEntry) -> bytes:
    """Return the authority that the kubeconfig names for a server, in PEM; b'' where it names none.

    Raises:
        KubeconfigError: its file cannot be read.
    """
    authority = _read_authority(cluster)
    return authority[0] if authority else b""


def _build_trust(cluster: ClusterEntry) -> ssl.SSLContext:
    authority = _read_authority(cluster)
    if authority is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(tls, *authority)
        return tls
    if cluster.insecure_skip_tls_verify:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        return tls
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _read_authority(cluster: ClusterEntry) -> tuple[bytes, str] | None:
    """Return the authority and its place."""
    if cluster.certificate_authority_data:
        place = place_of(cluster.file, "cluster", cluster.name, "certificate-authority-data")
        return cluster.certificate_authority_data, place
    if cluster.certificate_authority:
        place = place_of(cluster.file, "cluster", cluster.name, "certificate-authority")
        return read_named_file(cluster.certificate_authority, place), place
    return None


def _trust(tls: ssl.SSLContext, content: bytes, place: str) -> None:
    # as in Go, what is trusted may be an intermediate authority, or the server's own certificate
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    certificates = b"\n".join(CERTIFICATE.findall(content)).decode("ascii", "replace")
    if not certificates:
        raise KubeconfigError(f"{place} holds no certificate in PEM format; write it anew, or log in again.")
    try:
        tls.load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError, TypeError) as err:
        raise KubeconfigError(f"{place} holds a damaged certificate; write it anew, or log in again.") from err


def _load_client_certificate(tls: ssl.SSLContext, user: UserEntry) -> None:
    certificate_place = place_of(user.file, "user", user.name, "client-certificate")
    key_place = place_of(user.file, "user", user.name, "client-key")
    pair = ClientCertificate(
        user.client_certificate_data or _read_optional(user.client_certificate, certificate_place),
        user.client_key_data or _read_optional(user.client_key, key_place),
    )
    load_pair(tls, pair, certificate_place=certificate_place, key_place=key_place)


def _read_optional(path: Path | None, place: str) -> bytes:
    return read_named_file(path, place) if path else b""


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
