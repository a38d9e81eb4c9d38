from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from broker.local import BrokerError, LocalBroker, free_port
from broker.watching import Watcher, settings_for
from kafka import KafkaAdminClient, errors

from streamer.errors import TapewatchError, UsageError
from streamer.sources.kafka import client
from streamer.sources.kafka.kafka_source import KafkaSource

SOON = {"bootstrap_timeout_ms": 1500}


@pytest.fixture(scope="module")
def secure() -> Iterator[LocalBroker]:
    """A broker that also listens with SASL and with TLS."""
    try:
        local = LocalBroker(tls=True)
    except BrokerError as error:
        pytest.fail(f"these tests need a broker of their own as a local process: {error}")
    try:
        local.start()
        admin = KafkaAdminClient(bootstrap_servers=local.bootstrap)
        admin.create_topics({"events": {"num_partitions": 1}}, wait_for_metadata=True)
        admin.close()
        yield local
    finally:
        local.stop()


def sasl(user: str = "tapewatch", variable: str = "PASSWORD", mechanism: str = "PLAIN") -> dict[str, Any]:
    return {"mechanism": mechanism, "username": user, "password": {"env": variable}}


def open_at(bootstrap: str, **security: Any) -> None:
    settings = settings_for(bootstrap, security=security, client=SOON)
    environ = {"PASSWORD": LocalBroker.password, "WRONG": "wrong"}
    source = KafkaSource(settings, ["events"], environ=environ)
    try:
        source.open(Watcher())
    finally:
        source.close()


def refusal(bootstrap: str, **security: Any) -> TapewatchError:
    with pytest.raises(TapewatchError) as caught:
        open_at(bootstrap, **security)
    assert "\n" not in str(caught.value)
    assert "wrong" not in str(caught.value)
    return caught.value


def test_a_broker_that_hangs_is_not_taken_for_one_that_wants_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PROBE_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        where = f"127.0.0.1:{frozen.getsockname()[1]}"
        for security in ({}, {"tls": {}}, {"sasl": sasl()}):
            said = str(client.explain(errors.NodeNotReadyError(), settings_for(where, security=security), {}))
            assert said.endswith(
                "it accepts connections and does not answer: the broker hangs or is overloaded"
            )


def test_nobody_listens() -> None:
    port = free_port()
    assert str(refusal(f"127.0.0.1:{port}")) == (
        f"cannot reach Kafka at 127.0.0.1:{port}: connection refused;"
        " check source.kafka.bootstrap, and that the broker is running"
    )


def test_no_such_host() -> None:
    assert str(refusal("no-such-host.invalid:9092")) == (
        "cannot reach Kafka at no-such-host.invalid:9092: host name not known; check source.kafka.bootstrap"
    )


def test_credentials(secure: LocalBroker) -> None:
    open_at(secure.sasl_bootstrap, sasl=sasl())
    for wrong, user in ((sasl(variable="WRONG"), "tapewatch"), (sasl(user="x"), "x")):
        error = refusal(secure.sasl_bootstrap, sasl=wrong)
        assert secure.sasl_bootstrap in str(error)
        assert f"user '{user}'" in str(error)
        assert str(error).endswith("check source.kafka.security.sasl")
        assert error.exit_code == 2
    other = refusal(secure.sasl_bootstrap, sasl=sasl(mechanism="SCRAM-SHA-256"))
    assert "check source.kafka.security.sasl" in str(other)
    assert other.exit_code == 2


def test_credentials_where_none_are_wanted_and_none_where_they_are(secure: LocalBroker) -> None:
    assert "remove source.kafka.security.sasl" in str(refusal(secure.bootstrap, sasl=sasl()))
    assert "set source.kafka.security.sasl" in str(refusal(secure.sasl_bootstrap))


def test_a_secret_that_is_not_there(secure: LocalBroker) -> None:
    error = refusal(secure.sasl_bootstrap, sasl=sasl(variable="NOT_SET"))
    assert isinstance(error, UsageError)
    assert str(error) == "source.kafka.security.sasl.password: environment variable NOT_SET is not set"


def test_tls(secure: LocalBroker) -> None:
    open_at(secure.tls_bootstrap, tls={"ca": str(secure.ca)})
    by_name = f"localhost:{secure.tls_port}"
    open_at(by_name, tls={"ca": str(secure.ca), "check_hostname": False})
    assert "not accepted (Hostname mismatch" in str(refusal(by_name, tls={"ca": str(secure.ca)}))
    assert "not accepted (self-signed certificate)" in str(refusal(secure.tls_bootstrap, tls={}))


def test_tls_where_there_is_none_and_none_where_there_is(secure: LocalBroker) -> None:
    assert "this port does not use TLS" in str(refusal(secure.bootstrap, tls={"ca": str(secure.ca)}))
    assert "this port uses TLS; set source.kafka.security.tls" in str(refusal(secure.tls_bootstrap))


def test_files_that_are_no_certificates(secure: LocalBroker) -> None:
    missing = refusal(secure.tls_bootstrap, tls={"ca": "no-such.pem"})
    assert str(missing) == "source.kafka.security.tls.ca: no such file: no-such.pem"
    assert "cannot be used" in str(refusal(secure.tls_bootstrap, tls={"ca": __file__}))


def test_options_that_do_not_fit_together(secure: LocalBroker) -> None:
    settings = settings_for(secure.bootstrap, client={"request_timeout_ms": 1})
    with pytest.raises(UsageError, match=r"source\.kafka\.client: .*request_timeout_ms"):
        KafkaSource(settings, ["events"]).open(Watcher())
