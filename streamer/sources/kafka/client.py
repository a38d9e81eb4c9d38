"""Connecting to Kafka, and saying in one line why that does not work."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import errors
from kafka.record import util as record_util

from alerts.secrets import SecretError
from streamer.errors import TapewatchError, UsageError
from streamer.sources.kafka.client_internals import Network
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.security import TlsSettings

CONNECT_WITHIN_MS = 10_000
"""How long a first connection may take; a person is waiting."""

RECONNECT_BACKOFF_MAX_MS = 1_000
"""Longest wait between two attempts to come back after an outage; the library's 30 s would be seen."""

METADATA_MAX_AGE_MS = 30_000
"""How soon new topics and partitions are found."""

_PROBE_WITHIN_S = 3.0
_DEFAULT_PORT = 9092

TRANSIENT = (
    errors.RetriableError,
    errors.UnknownMemberIdError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.MemberIdRequiredError,
    errors.CommitFailedError,
    errors.UnknownBrokerIdError,
    errors.BrokerNotAvailableError,
)
"""Errors that pass when the broker is back, or the group has settled."""

# Without a handler of its own the library's messages about every attempt would go to stderr.
logging.getLogger("kafka").addHandler(logging.NullHandler())

Client = TypeVar("Client")


def require_fast_checksums() -> None:
    """Make sure that records' checksums are computed by compiled code.

    Raises
    ------
    TapewatchError
        When they are not: kafka-python would then silently read at a fifth of its speed.
    """
    try:
        import crc32c
    except ImportError as error:
        raise TapewatchError("the package crc32c is missing: pip install crc32c") from error
    if record_util.calc_crc32c.__defaults__ != (crc32c.crc32c,):
        raise TapewatchError(
            "kafka-python does not use the package crc32c: reinstall kafka-python and crc32c"
        )


def connect(
    kind: Callable[..., Client],
    settings: KafkaSettings,
    environ: Mapping[str, str],
    network: type[Network] = Network,
    **own: Any,
) -> Client:
    """A connected consumer, producer or admin client of kafka-python.

    Parameters
    ----------
    kind
        `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`.
    settings, environ
        How to reach the brokers; the environment that secrets may come from.
    network
        What it talks through.
    own
        Options of this client; they go before those of the settings.

    Raises
    ------
    TapewatchError
        When no connection comes about within `CONNECT_WITHIN_MS`.
    """
    made: list[Network] = []

    def new_network(**configs: Any) -> Network:
        made.append(network(**configs))
        return made[-1]

    known = kind.DEFAULT_CONFIG  # type: ignore[attr-defined]
    options = {
        "bootstrap_servers": settings.servers,
        "bootstrap_timeout_ms": CONNECT_WITHIN_MS,
        "reconnect_backoff_max_ms": RECONNECT_BACKOFF_MAX_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        **{name: value for name, value in settings.client.items() if name in known},
        **_security(settings, environ),
        **own,
        "kafka_client": new_network,
    }
    try:
        return kind(**options)
    except (errors.KafkaError, AssertionError, ValueError, TypeError) as error:
        for client in made:
            client.close()
        raise explain(error, settings, environ) from error


def explain(error: Exception, settings: KafkaSettings, environ: Mapping[str, str]) -> TapewatchError:
    """What is wrong and what to do, for an error of the Kafka client."""
    where = ", ".join(settings.servers)
    text = str(error) or type(error).__name__
    if isinstance(error, errors.SaslAuthenticationFailedError):
        user = settings.security.sasl.username if settings.security.sasl else ""
        return TapewatchError(f"Kafka at {where} refuses user '{user}': check source.kafka.security.sasl")
    if isinstance(error, errors.IllegalSaslStateError):
        return TapewatchError(
            f"Kafka at {where} does not ask who we are:"
            " remove source.kafka.security.sasl, or use another port"
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return TapewatchError(
            f"Kafka at {where} does not take this mechanism: check source.kafka.security.sasl.mechanism"
        )
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return TapewatchError(f"Kafka at {where} does not let this user read as group '{settings.group}'")
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return TapewatchError(f"Kafka at {where} does not let this user use the topic: {text}")
    if isinstance(error, errors.FencedInstanceIdError):
        return TapewatchError(
            f"another process has taken the place of '{settings.member}' in group '{settings.group}':"
            " stop one of them, or give each its own source.kafka.instance"
        )
    if isinstance(error, errors.InvalidSessionTimeoutError):
        return TapewatchError(
            f"Kafka at {where} does not allow a session_timeout of {settings.session_timeout}:"
            " its group.min.session.timeout.ms and group.max.session.timeout.ms are the bounds"
        )
    if isinstance(error, errors.InconsistentGroupProtocolError):
        return TapewatchError(
            f"group '{settings.group}' is in use by another program: choose another source.kafka.group"
        )
    if isinstance(error, errors.CorruptRecordError):
        return TapewatchError(f"a record in Kafka is damaged: {text}")
    if isinstance(error, errors.KafkaConfigurationError | ValueError | TypeError | AssertionError):
        return UsageError(f"source.kafka.client: {text}")
    if isinstance(error, TRANSIENT):
        return TapewatchError(f"cannot reach Kafka at {_diagnosis(settings, environ)}")
    return TapewatchError(f"Kafka at {where}: {text}")


def _security(settings: KafkaSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    security = settings.security
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if security.tls is not None:
        options["ssl_context"] = _tls_context(security.tls, environ)
        options["ssl_check_hostname"] = security.tls.check_hostname
    if security.sasl is not None:
        try:
            password = security.sasl.password.resolve(environ)
        except SecretError as error:
            raise UsageError(f"source.kafka.security.sasl.password: {error}") from error
        options["sasl_mechanism"] = security.sasl.mechanism
        options["sasl_plain_username"] = security.sasl.username
        options["sasl_plain_password"] = password
    return options


def _tls_context(tls: TlsSettings, environ: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_hostname
    option, path = "ca", tls.ca
    try:
        if tls.ca is not None:
            context.load_verify_locations(cafile=tls.ca)
        else:
            context.load_default_certs()
        if tls.cert is not None:
            option, path = "cert", tls.cert
            password = tls.key_password.resolve(environ) if tls.key_password is not None else ""
            context.load_cert_chain(tls.cert, tls.key, lambda: password)
    except SecretError as error:
        raise UsageError(f"source.kafka.security.tls.key_password: {error}") from error
    except FileNotFoundError as error:
        raise UsageError(f"source.kafka.security.tls.{option}: no such file: {path}") from error
    except OSError as error:
        reason = error.strerror or "not PEM, or the key does not fit"
        raise UsageError(f"source.kafka.security.tls.{option}: {path} cannot be used: {reason}") from error
    return context


def _diagnosis(settings: KafkaSettings, environ: Mapping[str, str]) -> str:
    found = [f"{server}: {_reason(server, settings, environ)}" for server in settings.servers]
    return "; ".join(found)


def _reason(server: str, settings: KafkaSettings, environ: Mapping[str, str]) -> str:
    host, _, port = server.rpartition(":") if not server.endswith("]") and ":" in server else (server, "", "")
    host = host.strip("[]")
    try:
        plain = socket.create_connection((host, int(port or _DEFAULT_PORT)), timeout=_PROBE_WITHIN_S)
    except socket.gaierror:
        return "there is no host of this name; check source.kafka.bootstrap"
    except TimeoutError:
        return "no answer; check source.kafka.bootstrap and the network"
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        return f"{said}; check source.kafka.bootstrap, and that the broker runs"
    with plain:
        security = settings.security
        if security.tls is not None:
            reason = _tls_reason(plain, host, _tls_context(security.tls, environ))
            if reason is not None:
                return reason
        elif _speaks_tls(plain):
            return "it speaks TLS; set source.kafka.security.tls, or use its port without TLS"
    if security.sasl is not None:
        user = security.sasl.username
        return f"it ends the connection when user '{user}' logs in; check source.kafka.security.sasl"
    wanted = "sasl" if security.tls is None else "sasl or tls.cert"
    return f"it does not let us in without a name; set source.kafka.security.{wanted}, or check the port"


def _speaks_tls(plain: socket.socket) -> bool:
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    try:
        anything.wrap_socket(plain).close()
    except OSError:
        return False
    return True


def _tls_reason(plain: socket.socket, host: str, context: ssl.SSLContext) -> str | None:
    try:
        context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not accepted ({error.verify_message}); check source.kafka.security.tls"
    except OSError:
        return "it does not speak TLS; remove source.kafka.security.tls, or use its TLS port"
    return None
