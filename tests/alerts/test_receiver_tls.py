"""Whom receivers trust over TLS, who they say they are, and what they say when it does not work."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.certificates import Authority
from fakes.raw_server import answering, raw_server, request

from alerts.receivers.errors import ReceiverError
from alerts.receivers.receiver import Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from streamer.app.reload import LoadedConfig, Reloader, ReloadTargets, build_receivers
from streamer.config.errors import ConfigError
from streamer.config.load import load
from streamer.config.secrets import resolve_secrets
from streamer.notify.clock import SystemClock
from streamer.pipeline.compile import compile_plan

ENVIRON = {"KEY": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "TOKEN": "xoxb-test", "PASSWORD": "s3cret"}
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POSTED = b'{"ok":true,"channel":"C0123456789","ts":"1.0"}'
FINE_API = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(POSTED), POSTED)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def made(settings: dict[str, Any], **environ: str) -> Receiver:
    checked = ReceiverSettings.model_validate(settings)
    known = {**ENVIRON, **environ}
    return build_receiver("desk", checked, lambda secret: secret.resolve(known), SystemClock())


def hook(port: int, host: str = "127.0.0.1", **more: Any) -> Receiver:
    url = f"https://{host}:{port}/hook"
    return made({"webhook": {"url": url, "secret": {"env": "KEY"}, "timeout": "5s", **more}})


def send(receiver: Receiver) -> None:
    receiver.deliver(delivery(), lambda step, result: None)


def refused(receiver: Receiver) -> RetryableError:
    with pytest.raises(RetryableError) as raised:
        send(receiver)
    return raised.value


def test_a_private_authority_is_trusted_where_it_is_named(authority: Authority) -> None:
    server_of = authority.issue("server")
    with raw_server(answering(FINE), server_of.context()) as server:
        send(hook(server.port, ca=str(authority.ca)))
        send(hook(server.port, ca=str(server_of.cert)))  # a certificate can be trusted by itself
        incoming = {"incoming_webhook": {"env": "HOOK"}, "ca": str(authority.ca)}
        send(made({"slack": incoming}, HOOK=f"https://127.0.0.1:{server.port}/services/x"))
        unknown = refused(hook(server.port))
    with raw_server(answering(FINE_API), server_of.context()) as server:
        bot = {"channel": "C0123456789", "token": {"env": "TOKEN"}, "ca": str(authority.ca)}
        send(made({"slack": {**bot, "api_url": f"https://127.0.0.1:{server.port}/api/"}}))
    assert str(unknown).startswith("certificate verify failed: unable to get local issuer certificate")
    assert str(unknown).endswith("in ca")
    assert not unknown.in_doubt
    assert unknown.everything


def test_the_reason_says_what_is_wrong_with_a_certificate(authority: Authority, tmp_path: Path) -> None:
    cases: list[tuple[ssl.SSLContext, str, str]] = [
        (
            Authority(tmp_path, "alone").itself().context(),
            "self-signed certificate",
            "to trust it all the same, name its PEM file in ca",
        ),
        (authority.issue("old", expired=True).context(), "certificate has expired", "renew it"),
        (authority.issue("other", "ops.example").context(), "not valid for '127.0.0.1'", "use the name"),
    ]
    for context, problem, remedy in cases:
        with raw_server(answering(FINE), context) as server:
            reason = str(refused(hook(server.port, ca=str(authority.ca))))
        assert reason.startswith("certificate verify failed: ")
        assert problem in reason
        assert remedy in reason
        assert len(reason) <= 200
    with raw_server(complaining) as server:
        assert "does not speak TLS on this port" in str(refused(hook(server.port)))


def complaining(connection: socket.socket) -> None:
    """A server without TLS, to which a handshake is no HTTP."""
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_client_logs_in_with_its_certificate(authority: Authority, tmp_path: Path) -> None:
    clients = Authority(tmp_path, "clients")
    ours = clients.issue("ours", "tapewatch.example")
    stranger = authority.issue("stranger", "tapewatch.example")
    both = tmp_path / "both.pem"
    both.write_bytes(ours.cert.read_bytes() + ours.key.read_bytes())
    locked = ours.locked_key("s3cret")
    trusted = {"ca": str(authority.ca)}
    with raw_server(answering(FINE), authority.issue("server").context(clients.ca)) as server:
        send(hook(server.port, **trusted, client_cert=str(ours.cert), client_key=str(ours.key)))
        send(hook(server.port, **trusted, client_cert=str(both)))
        password = {"client_key": str(locked), "client_key_password": {"env": "PASSWORD"}}
        send(hook(server.port, **trusted, client_cert=str(ours.cert), **password))
        nobody = refused(hook(server.port, **trusted))
        other = hook(server.port, **trusted, client_cert=str(stranger.cert), client_key=str(stranger.key))
        unknown = refused(other)
    for error in (nobody, unknown):
        assert "the server refuses this client's certificate" in str(error)
        assert "client_cert" in str(error)
        assert not error.in_doubt  # with TLS 1.3 the request was on its way before the server said so


def test_files_that_cannot_be_used_are_told_when_they_are_loaded(
    authority: Authority, tmp_path: Path
) -> None:
    ours, other = authority.issue("ours"), authority.issue("other")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing here\n")
    locked = ours.locked_key("s3cret")
    gone, cert, key = str(tmp_path / "gone.pem"), str(ours.cert), str(ours.key)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"ca": gone}, "ca", "no such file: "),
        ({"ca": str(tmp_path)}, "ca", "is a folder: name a regular file"),
        ({"ca": str(empty)}, "ca", "holds no certificate in PEM form"),
        ({"client_cert": gone}, "client_cert", "no such file: "),
        ({"client_cert": cert}, "client_cert", "does not hold a certificate and its key"),
        ({"client_cert": cert, "client_key": gone}, "client_key", "no such file: "),
        ({"client_cert": cert, "client_key": str(empty)}, "client_cert", "holds no certificate, or"),
        ({"client_cert": cert, "client_key": str(other.key)}, "client_key", "does not belong to the cert"),
        ({"client_cert": cert, "client_key": str(locked)}, "client_key", "give client_key_password"),
        (
            {"client_cert": cert, "client_key": str(locked), "client_key_password": {"env": "TOKEN"}},
            "client_key_password",
            "cannot be read with this password",
        ),
    ]
    for settings, option, problem in cases:
        with pytest.raises(ReceiverError, match=problem) as raised:
            hook(9, **settings)
        assert raised.value.option == (option,)
    with pytest.raises(ValueError, match="a key needs its certificate: give client_cert too"):
        hook(9, client_key=key)


def passing_on(connection: socket.socket) -> None:
    """A proxy: takes CONNECT, then passes bytes on in both directions."""
    line = request(connection).split(b"\r\n")[0]
    host, _, port = line.split(b" ")[1].decode().partition(":")
    with socket.create_connection((host, int(port))) as server:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pumped, args=(server, connection), daemon=True)
        back.start()
        pumped(connection, server)


def pumped(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while part := one.recv(65_536):
            other.sendall(part)


def test_a_proxy_is_passed_with_tls_of_its_own_or_without(authority: Authority, tmp_path: Path) -> None:
    private = authority.issue("server").context()
    with raw_server(answering(FINE), private) as server:
        with raw_server(passing_on) as proxy:
            send(hook(server.port, ca=str(authority.ca), proxy=f"http://127.0.0.1:{proxy.port}"))
            assert not refused(hook(server.port, proxy=f"http://127.0.0.1:{proxy.port}")).in_doubt
        with raw_server(passing_on, private) as proxy:
            send(hook(server.port, ca=str(authority.ca), proxy=f"https://127.0.0.1:{proxy.port}"))
            error = refused(hook(server.port, proxy=f"https://127.0.0.1:{proxy.port}"))
    assert str(error).startswith("certificate verify failed: ")
    assert "of the proxy" in str(error)
    busy = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answering(busy)) as proxy:
        told = refused(hook(9, proxy=f"http://127.0.0.1:{proxy.port}"))
    assert str(told) == "proxy: unreachable: tunnel connection failed: 407 proxy authentication required"


def configured(path: Path, ca: Path, url: str = "https://ops.example/") -> LoadedConfig:
    path.write_text(
        "source: {files: [{match: a.jsonl, format: tapewatch}]}\n"
        "receivers:\n  ops:\n    webhook:\n"
        f"      url: {url}\n      secret: {{env: KEY}}\n      ca: {ca}\n"
    )
    config = load(str(path))
    return LoadedConfig(config, resolve_secrets(config, ENVIRON), compile_plan(config))


def test_a_missing_file_is_an_error_with_its_place(tmp_path: Path) -> None:
    loaded = configured(tmp_path / "tapewatch.yaml", tmp_path / "gone.pem")
    with pytest.raises(ConfigError) as raised:
        build_receivers(loaded.config, loaded.secrets, SystemClock())
    (problem,) = raised.value.problems
    assert str(problem).startswith(f"{tmp_path}/tapewatch.yaml:7:11: receivers.ops.webhook.ca: no such file")


class Detecting:
    """In an engine's place: nothing here changes what is detected."""

    def reload(self, plan: object) -> None:
        """Go on."""


def test_a_reload_reads_renewed_files_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    ca, taken = tmp_path / "ca.pem", []
    ca.write_bytes(old.ca.read_bytes())
    with raw_server(answering(FINE), new.issue("server").context()) as server:
        config = tmp_path / "tapewatch.yaml"
        running = configured(config, ca, f"https://127.0.0.1:{server.port}/")
        before = build_receivers(running.config, running.secrets, SystemClock())
        refused(before.built["ops"])
        targets = ReloadTargets(Detecting(), taken.append)  # type: ignore[arg-type]
        reloader = Reloader(running, targets, SystemClock(), ENVIRON)
        for renewed in (False, True, False):
            if renewed:
                ca.write_bytes(new.ca.read_bytes())
            hang_up = threading.Event()
            hang_up.set()
            asked = len(taken)
            while len(taken) == asked:
                reloader.work(hang_up)
                time.sleep(0.01)
            assert set(taken[-1].built) == ({"ops"} if renewed else set())
        send(taken[1].built["ops"])
