"""Settings for the connection to Kafka, the topics to read, and where reading starts."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alerts.durations import duration_s
from alerts.suggestions import did_you_mean
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.ignored_records import IgnoredRecords
from streamer.sources.kafka.security import SecuritySettings
from streamer.sources.start import Start, StartAt

OWNED_OPTIONS: Mapping[str, str] = {
    "bootstrap_servers": "set bootstrap",
    "group_id": "set group",
    "group_instance_id": "set instance",
    "session_timeout_ms": "set session_timeout",
    "fetch_max_bytes": "set fetch_max_bytes beside client",
    "max_partition_fetch_bytes": "set max_partition_fetch_bytes beside client",
    "max_poll_records": "set engine.batch_size",
    "auto_offset_reset": "set start",
    "enable_auto_commit": "offsets are kept in the store",
    "auto_commit_interval_ms": "offsets are kept in the store",
    "default_offset_commit_callback": "offsets are kept in the store",
    "isolation_level": "it is always read_committed",
    "allow_auto_create_topics": "topics are never created by reading",
    "partition_assignment_strategy": "it is always cooperative-sticky",
    "consumer_timeout_ms": "it has no effect here",
    "check_crcs": "checksums are always checked",
    "key_deserializer": "records are read by their format",
    "value_deserializer": "records are read by their format",
    "security_protocol": "set security.tls or security.sasl",
    "ssl_cafile": "set security.tls.ca",
    "ssl_certfile": "set security.tls.cert",
    "ssl_keyfile": "set security.tls.key",
    "ssl_password": "set security.tls.key_password",
    "ssl_check_hostname": "set security.tls.check_hostname",
    "sasl_mechanism": "set security.sasl",
    "sasl_plain_username": "set security.sasl.username",
    "sasl_plain_password": "set security.sasl.password",
    "ssl_context": "set security.tls",
    "sasl_oauth_token_provider": "only the mechanisms of security.sasl can be used",
    "sasl_kerberos_name": "only the mechanisms of security.sasl can be used",
    "sasl_kerberos_service_name": "only the mechanisms of security.sasl can be used",
    "sasl_kerberos_domain_name": "only the mechanisms of security.sasl can be used",
    "api_version": "it is detected when connecting",
    "socks5_proxy": "set proxy_url",
}
"""Options of the Kafka client that cannot be set in `client`, and what to do instead."""

MAX_INSTANCE_LENGTH = 249
"""Kafka's limit for the name of a static member."""

MAX_UNPACKED_BYTES = 268_435_456
"""Default limit of what one batch unpacks to: 256 times what brokers allow it to have packed, by default."""

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\],]+)(:(\d{1,5}))?")
_MEMBER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TOPIC_GLOB = re.compile(r"[A-Za-z0-9._\-*?\[\]!]+")
_WILDCARDS = frozenset("*?[")


class _KafkaModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_KafkaModel):
    """How to connect to Kafka, and as which member of which group.

    Parameters
    ----------
    bootstrap
        ``host:port`` of one or more brokers.
    group
        The consumer group; all workers of one store are one group.
    start
        Where to start when the store has no offset. Topics that appear later are read from their beginning.
    instance
        This process's name in the group, so that a restart causes no rebalance; by default made from the
        group and the host name. Two processes on one host need a name each.
    session_timeout
        How long a process may be gone before its partitions go to other members.
    security
        TLS and SASL.
    client
        Further options of kafka-python's `KafkaConsumer`, passed on unchanged.
    fetch_max_bytes, max_partition_fetch_bytes
        The size limits of one fetch, in all and per partition, in bytes.
    raw
        Read record batches as columns; false for kafka-python's own parser, record by record.
    damaged
        ``skip`` damaged offsets, with an alert, and go on behind them; ``stop`` reading that partition there.
    max_unpacked_bytes
        How many bytes one compressed batch may unpack to; one that exceeds it counts as damaged.

    Examples
    --------
    >>> settings = KafkaSettings(bootstrap="localhost:9092", start="2024-08-08T00:00:00Z")
    >>> settings.servers, settings.start_milliseconds, settings.security.protocol
    (['localhost:9092'], 1723075200000, 'PLAINTEXT')
    """

    bootstrap: str | tuple[str, ...]
    group: str = Field(default="tapewatch", min_length=1, max_length=MAX_INSTANCE_LENGTH)
    start: Start = "latest"
    instance: str | None = None
    session_timeout: str = "45s"
    security: SecuritySettings = SecuritySettings()
    client: Mapping[str, bool | int | float | str] = Field(default_factory=dict)
    fetch_max_bytes: int = Field(default=52_428_800, ge=1024, le=1 << 30)
    max_partition_fetch_bytes: int = Field(default=4_194_304, ge=1024, le=1 << 30)
    raw: bool = True
    damaged: Literal["skip", "stop"] = "skip"
    max_unpacked_bytes: int = Field(default=MAX_UNPACKED_BYTES, ge=1_048_576, le=1 << 31)

    @field_validator("bootstrap")
    @classmethod
    def _are_servers(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        servers = _split(value)
        if not servers:
            raise ValueError("give at least one host:port")
        for server in servers:
            match = _SERVER.fullmatch(server)
            if match is None or (match[3] is not None and not 0 < int(match[3]) < 65_536):
                raise ValueError(f"'{server}' is not host:port")
        return value

    @field_validator("instance")
    @classmethod
    def _is_member_name(cls, value: str | None) -> str | None:
        if value is not None:
            if value in {".", ".."} or _MEMBER_NAME.fullmatch(value) is None:
                raise ValueError(f"'{value}' may hold only letters, digits, '.', '_' and '-'")
            if len(value) > MAX_INSTANCE_LENGTH:
                raise ValueError(f"at most {MAX_INSTANCE_LENGTH} characters")
        return value

    @field_validator("session_timeout")
    @classmethod
    def _is_long_enough(cls, value: str) -> str:
        if duration_s(value) < 1:
            raise ValueError("at least 1s")
        return value

    @field_validator("client", mode="before")
    @classmethod
    def _are_client_options(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for name, option in value.items():
                _check_option(str(name), option)
        return value

    @property
    def servers(self) -> list[str]:
        """The bootstrap brokers, each ``host:port``."""
        return _split(self.bootstrap)

    @property
    def member(self) -> str:
        """The static member's name: `instance`, or made from the group and this host's name."""
        if self.instance is not None:
            return self.instance
        name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{self.group}-{socket.gethostname()}")
        return name[:MAX_INSTANCE_LENGTH]

    @property
    def session_timeout_milliseconds(self) -> int:
        """`session_timeout` in ms."""
        return duration_s(self.session_timeout) * 1000

    @property
    def start_milliseconds(self) -> int | None:
        """The time to start at in ms since 1970 UTC, None unless `start` is a time."""
        return self.start.milliseconds if isinstance(self.start, StartAt) else None


class TopicSettings(_KafkaModel):
    """Topics of one format and one venue.

    Parameters
    ----------
    match
        Topic names or patterns: ``*`` any text, ``?`` any character, ``[abc]`` one of these.
    format
        How their records are decoded; by default as events of the public schema.
    venue
        The venue of events that name none.
    ignore
        Records that are only counted: ``tombstone``, those without a value.
    """

    match: str | tuple[str, ...]
    format: FormatSettings = Field(default_factory=lambda: FormatSettings.model_validate("tapewatch"))
    venue: str | None = Field(default=None, min_length=1)
    ignore: IgnoredRecords = ()

    @field_validator("match")
    @classmethod
    def _are_patterns(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        globs = _split(value)
        if not globs:
            raise ValueError("give the name of a topic, or a pattern for several")
        for glob in globs:
            if _TOPIC_GLOB.fullmatch(glob) is None:
                raise ValueError(
                    f"'{glob}' cannot match a topic: names hold letters, digits, '.', '_' and '-'"
                )
        return value

    @property
    def globs(self) -> tuple[str, ...]:
        """The names and patterns."""
        return tuple(_split(self.match))


def is_pattern(glob: str) -> bool:
    """Whether it is a pattern rather than the name of one topic."""
    return not _WILDCARDS.isdisjoint(glob)


def _split(value: str | Iterable[str]) -> list[str]:
    lists = [value] if isinstance(value, str) else value
    return [part.strip() for text in lists for part in text.split(",") if part.strip()]


def _check_option(name: str, value: object) -> None:
    from kafka import KafkaConsumer

    if name in OWNED_OPTIONS:
        raise ValueError(f"'{name}' cannot be set here: {OWNED_OPTIONS[name]}")
    plain = {
        option
        for option, default in KafkaConsumer.DEFAULT_CONFIG.items()
        if (default is None or isinstance(default, bool | int | float | str)) and option not in OWNED_OPTIONS
    }
    if name not in plain:
        raise ValueError(f"the Kafka client has no option '{name}'{did_you_mean(name, plain)}")
    default = KafkaConsumer.DEFAULT_CONFIG[name]
    if isinstance(default, bool):
        valid, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int | float) or name.endswith("_bytes"):
        valid, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    else:
        valid, expected = isinstance(value, str), "a text"
    if not valid:
        raise ValueError(f"'{name}' must be {expected}, not {value!r}")
