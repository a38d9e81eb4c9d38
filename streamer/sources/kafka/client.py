"""Connecting to Kafka, and explaining a failure in one line."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import errors
from kafka.record import util as record_util

from alerts.secrets import SecretError, small_file
from streamer.errors import TapewatchError, UsageError
from streamer.sources.kafka.client_internals import Network
from streamer.sources.kafka.joined_assignor import OtherAssignorError
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.security import TlsSettings

CONNECT_WITHIN_MS = 10_000
"""Timeout of the first connection; a person is waiting."""

RECONNECT_BACKOFF_MAX_MS = 1_000
"""Longest pause between reconnects after an outage; the library's 30 s would be noticed."""

METADATA_MAX_AGE_MS = 30_000
"""Upper bound on how late new topics and partitions are noticed."""

_PROBE_WITHIN_S = 3.0
_HANGS = "it accepts connections and does not answer: the broker hangs or is overloaded"
_DEFAULT_PORT = 9092
_MOST_BYTES_OF_TLS = 16_777_216  # a bundle of all public authorities has some hundred thousand

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
"""Errors that go away once the broker is back or the group has rebalanced."""

# Without a handler the library would write a message about every attempt to stderr.
logging.getLogger("kafka").addHandler(logging.NullHandler())

Client = TypeVar("Client")


class ClientOptionError(UsageError):
    """The client refuses what `source.kafka.client` gives it.

    Parameters
    ----------
    said
        Why, in the client's words.
    option
        The option at fault, None where the client names none that is given.
    """

    def __init__(self, said: str, option: str | None = None) -> None:
        super().__init__(f"source.kafka.client: {said}")
        self.said = said
        self.path = ("source", "kafka", "client", *([] if option is None else [option]))


def require_fast_checksums() -> None:
    """Make sure that record checksums are computed by compiled code.

    Raises
    ------
    TapewatchError
        When they are not: kafka-python would silently read at a fifth of its speed.
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
    **overrides: Any,
) -> Client:
    """A connected consumer, producer or admin client of kafka-python.

    Parameters
    ----------
    kind
        `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`.
    settings, environ
        How to reach the brokers; the environment that secrets may come from.
    network
        The network client that it uses.
    overrides
        Options of this client; they take precedence over those of the settings.

    Raises
    ------
    TapewatchError
        When there is no connection within `CONNECT_WITHIN_MS`.
    """
    networks: list[Network] = []

    def new_network(**configs: Any) -> Network:
        networks.append(network(**configs))
        return networks[-1]

    supported = kind.DEFAULT_CONFIG  # type: ignore[attr-defined]
    options = {
        "bootstrap_servers": settings.servers,
        "bootstrap_timeout_ms": CONNECT_WITHIN_MS,
        "reconnect_backoff_max_ms": RECONNECT_BACKOFF_MAX_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        **{name: value for name, value in settings.client.items() if name in supported},
        **_security(settings, environ),
        **overrides,
        "kafka_client": new_network,
    }
    try:
        return kind(**options)
    except (errors.KafkaError, AssertionError, ValueError, TypeError) as error:
        for opened in networks:
            opened.close()
        found = explain(error, settings, environ)
        # a daemon that was let in before ends as for any failure elsewhere, so that it is started again
        if isinstance(error, _SETTINGS_REFUSED) and not isinstance(found, UsageError):
            found = UsageError(*found.lines)
        raise found from error


_SETTINGS_REFUSED = (
    errors.SaslAuthenticationFailedError,
    errors.IllegalSaslStateError,
    errors.UnsupportedSaslMechanismError,
)


def explain(error: Exception, settings: KafkaSettings, environ: Mapping[str, str]) -> TapewatchError:
    """Turn an error of the Kafka client into one line: what is wrong, and what to do."""
    where = ", ".join(settings.servers)
    text = str(error) or type(error).__name__
    if isinstance(error, errors.SaslAuthenticationFailedError):
        user = settings.security.sasl.username if settings.security.sasl else ""
        return TapewatchError(f"Kafka at {where} refuses user '{user}': check source.kafka.security.sasl")
    if isinstance(error, errors.IllegalSaslStateError):
        return TapewatchError(
            f"Kafka at {where} does not use SASL on this port:"
            " remove source.kafka.security.sasl, or use another port"
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return TapewatchError(
            f"Kafka at {where} does not support this mechanism: check source.kafka.security.sasl.mechanism"
        )
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return TapewatchError(f"Kafka at {where} does not let this user read as group '{settings.group}'")
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return TapewatchError(f"Kafka at {where} does not let this user use the topic: {text}")
    if isinstance(error, errors.FencedInstanceIdError):
        return TapewatchError(
            f"another process has joined group '{settings.group}' as '{settings.member}':"
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
    if isinstance(error, OtherAssignorError):
        return TapewatchError(
            f"group '{settings.group}' has members that were started without this source.join: "
            "stop all members of the group, then start each with the same source.join"
        )
    if isinstance(error, errors.CorruptRecordError):
        return TapewatchError(f"a record in Kafka is damaged: {text}")
    if isinstance(error, errors.KafkaConfigurationError | ValueError | TypeError | AssertionError):
        named = [name for name in settings.client if name in text]
        return ClientOptionError(text, named[0] if named else None)
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
        _require_small(tls)
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


def _require_small(tls: TlsSettings) -> None:
    """Refuse what OpenSSL would wait for, or read without end."""
    for option, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if path is None:
            continue
        try:
            small_file(path, _MOST_BYTES_OF_TLS)
        except SecretError as error:
            if not isinstance(error.__cause__, OSError):
                raise UsageError(f"source.kafka.security.tls.{option}: {error}") from error


def _diagnosis(settings: KafkaSettings, environ: Mapping[str, str]) -> str:
    return "; ".join(f"{server}: {_reason(server, settings, environ)}" for server in settings.servers)


def _reason(server: str, settings: KafkaSettings, environ: Mapping[str, str]) -> str:
    host, _, port = server.rpartition(":") if not server.endswith("]") and ":" in server else (server, "", "")
    host = host.strip("[]")
    try:
        plain = socket.create_connection((host, int(port or _DEFAULT_PORT)), timeout=_PROBE_WITHIN_S)
    except socket.gaierror:
        return "host name not known; check source.kafka.bootstrap"
    except TimeoutError:
        return "no answer; check source.kafka.bootstrap and the network"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return f"{reason}; check source.kafka.bootstrap, and that the broker is running"
    with plain:
        security = settings.security
        if security.tls is not None:
            tls_reason = _tls_reason(plain, host, _tls_context(security.tls, environ))
            if tls_reason is not None:
                return tls_reason
        else:
            answers_tls = _speaks_tls(plain)
            if answers_tls is None:
                return _HANGS
            if answers_tls:
                return "this port uses TLS; set source.kafka.security.tls, or use its port without TLS"
    if security.sasl is not None:
        user = security.sasl.username
        return f"it closes the connection when user '{user}' logs in; check source.kafka.security.sasl"
    option = "sasl" if security.tls is None else "sasl or tls.cert"
    return (
        "it closes the connection, as brokers do where clients have to log in; "
        f"set source.kafka.security.{option}, or check the port"
    )


def _speaks_tls(plain: socket.socket) -> bool | None:
    """None where nobody answers at all; a broker closes the connection on what it does not understand."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        unverified.wrap_socket(plain).close()
    except TimeoutError:
        return None
    except OSError:
        return False
    return True


def _tls_reason(plain: socket.socket, host: str, context: ssl.SSLContext) -> str | None:
    try:
        context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not accepted ({error.verify_message}); check source.kafka.security.tls"
    except TimeoutError:
        return _HANGS
    except OSError:
        return "this port does not use TLS; remove source.kafka.security.tls, or use its TLS port"
    return None
