"""What `check` asks receivers: Slack by its own calls, others by connecting; cause and remedy are told."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from fakes.certificates import Authority
from fakes.raw_server import answering, raw_server
from fakes.slack import FakeSlack, rate_limited, refuse

from alerts.receivers.errors import ReceiverError
from alerts.receivers.http import http_url
from alerts.receivers.kind import Probed
from alerts.receivers.registry import ReceiverSettings, probe_receiver
from alerts.receivers.slack.slack_settings import SlackSettings
from streamer.notify.clock import SystemClock

ENVIRON = {"KEY": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "TOKEN": "xoxb-test", "HOOK": ""}
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def probed(settings: dict[str, Any], **environ: str) -> Probed:
    known = {**ENVIRON, **environ}
    checked = ReceiverSettings.model_validate(settings)
    return probe_receiver("desk", checked, lambda secret: secret.resolve(known), SystemClock())


def failure(settings: dict[str, Any], **environ: str) -> str:
    with pytest.raises(ReceiverError) as raised:
        probed(settings, **environ)
    return str(raised.value)


def bot(slack: FakeSlack, channel: str = "#desk") -> dict[str, Any]:
    return {"slack": {"channel": channel, "token": {"env": "TOKEN"}, "api_url": slack.api_url}}


def hook(port: int, **more: Any) -> dict[str, Any]:
    url = f"https://localhost:{port}/hook/s3cret"
    return {"webhook": {"url": url, "secret": {"env": "KEY"}, "timeout": "5s", **more}}


def test_a_bot_that_could_post_says_as_whom_and_where(slack_server: FakeSlack) -> None:
    by_name, by_id = probed(bot(slack_server)), probed(bot(slack_server, "C0000000001"))
    assert by_name == Probed("@tapewatch (Test) in #desk")
    assert by_id == Probed("@tapewatch (Test) in C0000000001 (#desk)")
    slack_server.scopes = "chat:write,channels:read"
    (note,) = probed(bot(slack_server)).notes
    assert "lacks channels:history: after a crash a message may appear twice" in note


@pytest.mark.parametrize("channel", ["#desk", "C0000000001"])
def test_a_channel_without_the_bot_says_how_to_invite_it(slack_server: FakeSlack, channel: str) -> None:
    slack_server.workspace.outside.add("desk")
    told = failure(bot(slack_server, channel))
    assert "not_in_channel" in told
    assert "invite the bot: /invite @tapewatch, then `tapewatch alerts --retry-parked desk`" in told
    slack_server.scopes += ",chat:write.public"
    assert "is not in the channel" in probed(bot(slack_server, channel)).notes[0]


def test_what_slack_refuses_is_told_with_a_remedy(slack_server: FakeSlack) -> None:
    for error, told in (
        ("token_revoked", "install the app to the workspace again"),
        ("invalid_auth", "copy the app's Bot User OAuth Token"),
        ("account_inactive", "install the app to the workspace again"),
        ("an_error_of_tomorrow", "an_error_of_tomorrow"),
    ):
        slack_server.script("auth.test", refuse(error))
        assert told in failure(bot(slack_server))
    slack_server.script("auth.test", rate_limited(30))
    assert "ratelimited: Slack asks for a pause: try again in 30s" in failure(bot(slack_server))
    slack_server.script("auth.test", rate_limited(86_400))
    assert "try again in 1d" in failure(bot(slack_server))
    slack_server.script("auth.test", refuse("restricted_action_read_only_channel"))
    assert "only some may post there" in failure(bot(slack_server))
    nowhere = failure(bot(slack_server, "#nowhere"))
    assert "channel_not_found: no channel #nowhere that the bot can see" in nowhere
    assert "if it is private, invite the bot: /invite @tapewatch" in nowhere
    slack_server.workspace.archived.add("desk")
    assert "is_archived: the channel is archived: unarchive it" in failure(bot(slack_server))
    slack_server.scopes = "channels:read"
    assert "the token lacks the scope chat:write" in failure(bot(slack_server))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("#Desk", "did you mean '#desk'?"),
        ("desk ", "did you mean 'desk'?"),
        ("c0123456789", "did you mean 'C0123456789'?"),
        ("https://x.slack.com/archives/C0123456789/p17", "did you mean 'C0123456789'?"),
        ("https://x.slack.com/", "give its name or id"),
        ("<#C0123456789|desk>", "did you mean 'C0123456789'?"),
        ("@ann", "that is a person"),
        ("<@U0123456789>", "give the person's id (U…)"),
        ("#our desk", "did you mean '#our-desk'?"),
        ("#C0123456789", "did you mean 'C0123456789'?"),
        ("  ", "it is empty"),
    ],
)
def test_what_is_no_channel_is_told_with_what_to_write(written: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        SlackSettings.model_validate({"channel": written, "token": {"env": "T"}})
    for channel in ("#desk", "desk", "crypto-desk", "#c0123456789", "C0123456789", "#börse", "U0123456789"):
        assert SlackSettings.model_validate({"channel": channel, "token": {"env": "T"}}).channel == channel


def test_a_person_may_be_a_channel_and_check_says_what_that_means(slack_server: FakeSlack) -> None:
    found = probed(bot(slack_server, "U0123456789"))
    assert found.found.endswith("to the person U0123456789")
    assert "whether there is such a person was not seen" in found.notes[0]


def test_nobody_listens_on_port_0() -> None:
    with pytest.raises(ValueError, match="port 0"):
        http_url("http://ops.example:0/")


def test_a_channel_that_cannot_be_looked_at_is_said_to_be_unseen(slack_server: FakeSlack) -> None:
    for method in ("users.conversations", "conversations.list", "conversations.info"):
        slack_server.always(method, refuse("missing_scope"))
    for channel in ("#desk", "C0000000001"):
        (note,) = probed(bot(slack_server, channel)).notes
        assert "was not seen: give the token channels:read" in note


def test_certificates_of_both_sides_are_checked_without_a_post(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("client")
    ours = {"ca": str(authority.ca)}
    posted: list[bytes] = []

    def serving(connection: Any) -> None:
        posted.append(connection.recv(1))

    with raw_server(serving, authority.issue("server").context()) as server:
        assert probed(hook(server.port, **ours)).found.startswith(
            f"connected to localhost:{server.port} over TLS 1"
        )
        unknown = failure(hook(server.port))
        incoming = {"slack": {"incoming_webhook": {"env": "HOOK"}, **ours}}
        address = f"https://localhost:{server.port}/services/s3cret"
        assert "nothing posted" in probed(incoming, HOOK=address).found
        del incoming["slack"]["ca"]
        hidden = failure(incoming, HOOK=address)
    assert not any(posted)
    assert "certificate verify failed" in unknown
    assert unknown.endswith("in ca")
    assert "certificate verify failed" in hidden
    assert "s3cret" not in unknown + hidden
    with raw_server(serving, authority.issue("other", "elsewhere.example").context()) as server:
        assert "use the name that it was issued for" in failure(hook(server.port, **ours))
    with raw_server(serving, authority.issue("old", expired=True).context()) as server:
        assert "its owner has to renew it" in failure(hook(server.port, **ours))
    with raw_server(answering(FINE), authority.issue("asks").context(authority.ca)) as server:
        refused = failure(hook(server.port, **ours))
        own = {"client_cert": str(client.cert), "client_key": str(client.key)}
        assert probed(hook(server.port, **ours, **own)).found
    assert "the server refuses this client's certificate" in refused
    assert "set client_cert" in refused


def test_hosts_that_are_not_there_are_told_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = failure(hook(taken.getsockname()[1]))
    assert "unreachable: connection refused: check host and port, and that the server runs" in refused
    unknown = {"webhook": {"url": "https://no.such.invalid/x", "secret": {"env": "KEY"}, "timeout": "3s"}}
    told = failure(unknown)
    assert "name of its host is not known: check its spelling" in told or "timeout: not connected" in told
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        told = failure(hook(silent.getsockname()[1], timeout="1s"))
    assert "within 1 s: check host and port, firewalls" in told


def test_a_plain_server_behind_https_and_a_dead_proxy_are_told(slack_server: FakeSlack) -> None:
    port = int(slack_server.url.rpartition(":")[2])
    assert "does not speak TLS on this port" in failure(hook(port))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "proxy: unreachable: connection refused" in failure(hook(port, proxy=proxy))


def test_files_are_looked_at_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.jsonl"
    assert "to be made" in probed({"file": {"path": str(path)}}).found
    assert not path.exists()
    path.touch()
    assert "writable" in probed({"file": {"path": str(path)}}).found
    assert "the folder" in failure({"file": {"path": str(tmp_path / "no" / "alerts.jsonl")}})
    (tmp_path / "link").symlink_to(path)
    assert "is a symbolic link" in failure({"file": {"path": str(tmp_path / "link")}})
    assert "not a regular file" in failure({"file": {"path": str(tmp_path)}})
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # this process may be root's
    assert "cannot be written to by" in failure({"file": {"path": str(path)}})
