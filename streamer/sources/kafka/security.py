"""Settings for secure connections to Kafka: TLS, and the SASL login."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.secrets import Secret


class _SecurityModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(_SecurityModel):
    """TLS to the brokers.

    Parameters
    ----------
    ca
        PEM file of the certificates to trust; the system's where absent.
    cert, key, key_password
        PEM files of this client's own certificate and key, where brokers ask for one.
    check_hostname
        Whether the broker's certificate must carry its name.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: Secret | None = None
    check_hostname: bool = True

    @model_validator(mode="after")
    def _key_belongs_to_certificate(self) -> TlsSettings:
        if self.cert is None and (self.key is not None or self.key_password is not None):
            raise ValueError("a key needs its certificate: give cert too")
        return self


class SaslSettings(_SecurityModel):
    """How this client logs in."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: str = Field(min_length=1)
    password: Secret


class SecuritySettings(_SecurityModel):
    """Encryption and login; plain text without a login where neither is set."""

    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name for this combination."""
        plain = "PLAINTEXT" if self.tls is None else "SSL"
        return plain if self.sasl is None else {"PLAINTEXT": "SASL_PLAINTEXT", "SSL": "SASL_SSL"}[plain]
