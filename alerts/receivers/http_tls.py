"""TLS of receivers: whom they trust, who they are, and what a failure means."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_deadline import BoundedTlsSocket
from alerts.secrets import MOST_BYTES, SecretError, small_file


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """The certificate with which a receiver shows a server who it is.

    Parameters
    ----------
    cert
        PEM file of the certificate, and of those between it and its authority.
    key
        PEM file of its key; None where `cert` holds it as well.
    password
        Of an encrypted key.
    """

    cert: Path
    key: Path | None = None
    password: str | None = field(default=None, repr=False)


def server_context(ca: Path | None, identity: ClientIdentity | None = None) -> ssl.SSLContext:
    """What a connection to the server itself goes by.

    Parameters
    ----------
    ca
        PEM file of the certificates to trust, in place of the system's; None for the system's.
    identity
        Who this client is, where servers ask.

    Raises
    ------
    ReceiverError
        When a file is missing, or is not what it should be.
    """
    if ca is None and identity is None:
        return _system_context(_system_bundle())
    context = _context()
    if ca is None:
        context.load_default_certs()
    else:
        _trust(context, ca)
    if identity is not None:
        _identify(context, identity)
    return context


def proxy_context(ca: Path | None) -> ssl.SSLContext:
    """What a connection to a proxy with TLS goes by: the system's certificates, and those of `ca`."""
    if ca is None:
        return _system_context(_system_bundle())
    context = _context()
    context.load_default_certs()
    _trust(context, ca)
    return context


def certificate_failure(error: ssl.SSLCertVerificationError, whose: str = "") -> str:
    """Why a certificate was not accepted, and what to do.

    Parameters
    ----------
    error
        As it was raised by the handshake.
    whose
        ``of the proxy``, or empty for the server's.
    """
    code, said = error.verify_code, error.verify_message or "not valid"
    said = f"{said} {whose}".strip()
    remedy = {
        _EXPIRED: "its owner has to renew it, or this machine's clock is wrong",
        _NOT_YET_VALID: "this machine's clock may be wrong",
        _SELF_SIGNED: "to trust it all the same, name its PEM file in ca",
        _OTHER_NAME: "use the name that it was issued for",
        _OTHER_ADDRESS: "use the name that it was issued for",
    }.get(code, "name the PEM file of the authority that issued it in ca")
    return f"certificate verify failed: {said}: {remedy}"


def tls_failure(error: ssl.SSLError) -> str:
    """Why TLS was not established for another reason than the server's certificate, and what to do."""
    reason = (error.reason or "").upper()
    if "ALERT" in reason and any(word in reason for word in _REFUSED):
        return f"tls: the server refuses this client's certificate ({_words(reason)}): set client_cert"
    if reason in _NOT_TLS:
        return "tls: the server does not speak TLS on this port: check port, and https or http"
    return f"tls: {_words(reason) or 'failed'}"


def is_refusal(error: ssl.SSLError) -> bool:
    """True where the server refused the handshake, which it may say only after the request was sent."""
    return "ALERT" in (error.reason or "").upper()


_MOST_BYTES_OF_CA = 16_777_216  # a bundle of all public authorities has some hundred thousand
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _OTHER_NAME, _OTHER_ADDRESS = (
    9,
    10,
    18,
    62,
    64,
)  # OpenSSL's X509_V_ERR
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
)
_REFUSED = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = BoundedTlsSocket
    return context


def _system_bundle() -> tuple[str, int] | None:
    """Where the system's certificates are, and when that file was last changed."""
    found = ssl.get_default_verify_paths().cafile
    return None if found is None else (found, Path(found).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _system_context(bundle: tuple[str, int] | None) -> ssl.SSLContext:
    """One for all receivers: to read the system's certificates takes a twentieth of a second."""
    context = _context()
    context.load_default_certs()
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    # else only the root of a chain could be trusted, and not an authority below it or a certificate itself
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _require_small(ca, "ca", _MOST_BYTES_OF_CA)
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError as error:
        raise ReceiverError(f"{ca} holds no certificate in PEM form", "ca") from error
    except OSError as error:
        raise _unreadable(ca, error, "ca") from error


def _identify(context: ssl.SSLContext, identity: ClientIdentity) -> None:
    key, option = identity.key or identity.cert, "client_cert" if identity.key is None else "client_key"
    for path, of in ((identity.cert, "client_cert"), (key, option)):
        _require_small(path, of)  # OpenSSL does not say which of the two it cannot read
    asked = []

    def password() -> str:
        asked.append(True)  # without an answer OpenSSL would ask on the terminal
        return identity.password or ""

    try:
        context.load_cert_chain(identity.cert, key, password)
    except ssl.SSLError as error:
        if asked and not identity.password:
            raise ReceiverError(f"the key in {key} is encrypted: give client_key_password", option) from error
        if asked:
            message = f"the key in {key} cannot be read with this password"
            raise ReceiverError(message, "client_key_password") from error
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"the key in {key} does not belong to the certificate in {identity.cert}"
            raise ReceiverError(message, option) from error
        message = f"{_without(identity)} in PEM form" if identity.key is None else _neither(identity)
        raise ReceiverError(message, "client_cert") from error


def _require_small(path: Path, option: str, most_bytes: int = MOST_BYTES) -> None:
    try:
        small_file(path, most_bytes)
    except SecretError as error:
        if isinstance(error.__cause__, OSError):
            raise _unreadable(path, error.__cause__, option) from error
        raise ReceiverError(str(error), option) from error


def _without(identity: ClientIdentity) -> str:
    return f"{identity.cert} does not hold a certificate and its key (name the key's file in client_key)"


def _neither(identity: ClientIdentity) -> str:
    return f"{identity.cert} holds no certificate, or {identity.key} no key, in PEM form"


def _unreadable(path: Path, error: OSError, option: str) -> ReceiverError:
    if isinstance(error, FileNotFoundError):
        return ReceiverError(f"no such file: {path}", option)
    return ReceiverError(f"{path} cannot be read: {(error.strerror or 'not a file').lower()}", option)


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
