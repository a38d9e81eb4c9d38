"""Certificates for servers and clients on loopback, made anew for each test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

LONG_AGO = datetime.now(UTC) - timedelta(days=30)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key as PEM files."""

    cert: Path
    key: Path

    def locked_key(self, password: str) -> Path:
        """Its key once more, encrypted."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        path = self.key.with_suffix(".locked")
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode()),
            )
        )
        return path

    def context(self, clients: Path | None = None) -> ssl.SSLContext:
        """What a server with it goes by; with `clients`, the authority of theirs, they have to log in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(self._ca.cert_pem.bytes())

    def itself(self) -> Issued:
        """The authority's own certificate, which nobody else has signed."""
        key = self._folder / f"{self.ca.stem}.key"
        key.write_bytes(self._ca.private_key_pem.bytes())
        return Issued(self.ca, key)

    def issue(self, name: str, *names: str, expired: bool = False) -> Issued:
        """A certificate for these names, by default loopback's."""
        until = LONG_AGO if expired else None
        made = self._ca.issue_cert(
            *(names or ("127.0.0.1", "localhost")), not_after=until, not_before=until and until - timedelta(1)
        )
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return Issued(cert, key)
