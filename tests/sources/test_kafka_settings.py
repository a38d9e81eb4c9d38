from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamer.sources.kafka.kafka_settings import KafkaSettings, TopicSettings, is_pattern
from streamer.sources.start import StartAt


def settings(**changes: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap": "localhost:9092"} | changes)


@pytest.mark.parametrize(
    ("given_as", "servers"),
    [
        ("a:1", ["a:1"]),
        ("a:1, b", ["a:1", "b"]),
        (["a:1", "[::1]:2"], ["a:1", "[::1]:2"]),
    ],
)
def test_brokers_can_be_given_as_text_or_list(given_as: object, servers: list[str]) -> None:
    assert settings(bootstrap=given_as).servers == servers


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"bootstrap": ""}, "give at least one host:port"),
        ({"bootstrap": "SSL://a:1"}, "'SSL://a:1' is not host:port"),
        ({"bootstrap": "a:99999"}, "'a:99999' is not host:port"),
        (
            {"start": "erliest"},
            "'erliest' is neither earliest nor latest nor a time (did you mean 'earliest'?)",
        ),
        ({"start": "2024-08-08"}, "'2024-08-08' is not a time (write 2024-08-08T00:00:00Z)"),
        ({"start": "2024-08-08T00:00:00"}, "'2024-08-08T00:00:00' is not a time"),
        ({"start": "2024-13-08T00:00:00Z"}, "'2024-13-08T00:00:00Z' is not a time"),
        ({"start": "1969-08-08T00:00:00Z"}, "'1969-08-08T00:00:00Z' is before 1970"),
        ({"start": {"time": "2024-08-08T00:00:00Z"}}, "write start: {timestamp: 2024-08-08T00:00:00Z}"),
        ({"start": 5}, "write earliest, latest, or a time such as 2024-08-08T00:00:00Z"),
        ({"session_timeout": "10"}, "'10' is not a duration"),
        ({"session_timeout": "0s"}, "at least 1s"),
        ({"instance": "a b"}, "'a b' may hold only letters, digits, '.', '_' and '-'"),
        (
            {"client": {"fetch_max_wait": 1}},
            "the Kafka client has no option 'fetch_max_wait' (did you mean 'fetch_max_wait_ms'?)",
        ),
        ({"client": {"isolation_level": "x"}}, "cannot be set here: it is always read_committed"),
        ({"client": {"enable_auto_commit": True}}, "cannot be set here: offsets are kept in the store"),
        ({"client": {"key_deserializer": "x"}}, "cannot be set here: records are read by their format"),
        ({"client": {"fetch_min_bytes": "many"}}, "'fetch_min_bytes' must be a number, not 'many'"),
        ({"client": {"metrics_enabled": 1}}, "'metrics_enabled' must be true or false, not 1"),
        ({"client": {"client_id": 5}}, "'client_id' must be a text, not 5"),
        ({"security": {"tls": {"key": "k.pem"}}}, "a key needs its certificate: give cert too"),
        (
            {"security": {"sasl": {"mechanism": "PLAIN", "username": "u", "password": "hunter2"}}},
            "a secret is not written here",
        ),
    ],
)
def test_mistakes_are_named(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    assert problem in str(caught.value)
    assert len(caught.value.errors()) == 1


@pytest.mark.parametrize(
    "given_as", ["2024-08-08T02:00:00.25+02:00", {"timestamp": "2024-08-08T00:00:00.25Z"}]
)
def test_start_can_be_a_time(given_as: object) -> None:
    assert settings(start=given_as).start_milliseconds == 1_723_075_200_250


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_read_to_the_millisecond(milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, 1000)
    day, second = divmod(seconds, 86_400)
    from datetime import UTC, date, datetime

    moment = datetime.fromtimestamp(seconds, UTC)
    assert (moment.date() - date(1970, 1, 1)).days == day
    text = f"{moment.date()}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{rest:03}Z"
    assert StartAt(timestamp=text).milliseconds == milliseconds


def test_member_is_named_after_group_and_host() -> None:
    name = settings(group="desk 1").member
    assert name.startswith("desk-1-")
    assert len(name) <= 249
    assert settings(instance="a").member == "a"


@pytest.mark.parametrize(
    ("security", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"tls": {}}, "SSL"),
        ({"sasl": {"mechanism": "PLAIN", "username": "u", "password": {"env": "P"}}}, "SASL_PLAINTEXT"),
        (
            {"tls": {}, "sasl": {"mechanism": "SCRAM-SHA-256", "username": "u", "password": {"env": "P"}}},
            "SASL_SSL",
        ),
    ],
)
def test_protocol_follows_from_what_is_given(security: object, protocol: str) -> None:
    assert settings(security=security).security.protocol == protocol


def test_a_glob_is_a_pattern_or_a_name() -> None:
    assert [is_pattern(glob) for glob in ("a.b", "a.*", "a?", "[ab]")] == [False, True, True, True]


def test_a_pattern_that_no_topic_can_match_is_refused() -> None:
    with pytest.raises(ValidationError, match="cannot match a topic"):
        TopicSettings(match="spot/btc")
