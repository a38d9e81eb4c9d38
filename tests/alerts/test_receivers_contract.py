"""What every registered receiver promises."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.slack import INCOMING, FakeSlack, cut, hang, rate_limited, refuse, server_error

from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.receivers.registry import RECEIVERS, build_receiver
from alerts.receivers.settings import ReceiverSettings
from streamer.notify.clock import SystemClock

KEY = base64.b64encode(b"k" * 32).decode()
OVER_HTTP = ("slack", "slack_webhook", "webhook")


@dataclass
class Rig:
    """One receiver with what is needed to see what reached its other end."""

    kind: str
    receiver: Receiver
    arrived: Callable[[], list[str]]
    server: FakeSlack
    method: str = ""
    exactly_once: bool = False

    def deliver(self, item: Delivery) -> dict[str, str]:
        steps: dict[str, str] = {}
        self.receiver.deliver(item, steps.__setitem__)
        return steps


def built(settings: dict[str, Any], environ: dict[str, str]) -> Receiver:
    checked = ReceiverSettings.model_validate(settings)
    return build_receiver("desk", checked, lambda secret: secret.resolve(environ), SystemClock())


@pytest.fixture
def make_rig(
    slack_server: FakeSlack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Rig]:
    printed: list[str] = []

    def terminal() -> list[str]:
        printed.extend(capsys.readouterr().err.splitlines())
        return printed

    def make(kind: str) -> Rig:
        if kind == "slack":
            bot = {
                "channel": "#desk",
                "token": {"env": "TOKEN"},
                "api_url": slack_server.api_url,
                "timeout": "1s",
            }
            receiver = built({"slack": bot}, {"TOKEN": slack_server.token})

            def arrived() -> list[str]:
                return [message.text for message in slack_server.workspace.messages()]

            return Rig(kind, receiver, arrived, slack_server, "chat.postMessage", exactly_once=True)
        if kind == "slack_webhook":
            hook = {"incoming_webhook": {"env": "HOOK"}, "timeout": "1s"}
            receiver = built({"slack": hook}, {"HOOK": slack_server.hook_url})
            return Rig(
                kind,
                receiver,
                lambda: [str(message["text"]) for message in slack_server.workspace.hooked()],
                slack_server,
                INCOMING,
            )
        if kind == "webhook":
            hook = {"url": slack_server.webhook_url("ops"), "secret": {"env": "KEY"}, "timeout": "1s"}
            receiver = built({"webhook": hook}, {"KEY": f"whsec_{KEY}"})
            return Rig(
                kind,
                receiver,
                lambda: [r.arguments["text"] for r in slack_server.of("webhook/ops")],
                slack_server,
                "webhook/ops",
            )
        if kind == "console":
            return Rig(kind, built({"console": {}}, {}), terminal, slack_server)
        path = tmp_path / "alerts.jsonl"
        receiver = built({"file": {"path": str(path)}}, {})
        return Rig(kind, receiver, lambda: path.read_text().splitlines(), slack_server, exactly_once=True)

    return make


@pytest.fixture(params=sorted(RECEIVERS))
def rig(request: pytest.FixtureRequest, make_rig: Callable[[str], Rig]) -> Rig:
    return make_rig(request.param)


@pytest.fixture(params=OVER_HTTP)
def http_rig(request: pytest.FixtureRequest, make_rig: Callable[[str], Rig]) -> Rig:
    return make_rig(request.param)


def test_the_text_of_an_alert_arrives(rig: Rig) -> None:
    rig.deliver(delivery(text="ACME traded 512 lots"))
    assert len(rig.arrived()) == 1
    assert "ACME traded 512 lots" in rig.arrived()[0]


def test_what_is_in_doubt_and_did_not_arrive_is_sent(rig: Rig) -> None:
    rig.deliver(delivery(in_doubt=True))
    assert len(rig.arrived()) == 1


def test_what_is_in_doubt_and_did_arrive_is_sent_again_only_where_nothing_can_be_looked_up(rig: Rig) -> None:
    rig.deliver(delivery())
    rig.deliver(delivery(in_doubt=True))
    assert len(rig.arrived()) == (1 if rig.exactly_once else 2)


def test_odd_bodies_arrive(rig: Rig) -> None:
    odd = [
        {"text": "<!channel> & \x1b[31mred\n" + "x" * 5_000},
        {"text": None, "venue": "", "symbol": "", "origin": "service", "values": {}},
        {"values": {f"feature_{n}_1h": 1e300 / (n + 1) for n in range(40)}, "symbol": "Δ" * 300},
        {"values": {"reason": None, "flag": "y" * 4_000}, "severity": "info", "transition": "resolved"},
    ]
    for number, changes in enumerate(odd):
        rig.deliver(delivery(f"odd{number}", **changes))
    assert len(rig.arrived()) == len(odd)


def test_secrets_show_nowhere(rig: Rig) -> None:
    for secret in (rig.server.token, KEY, rig.server.hook_url):
        assert secret not in repr(rig.receiver)
        assert secret not in str(rig.receiver)


@pytest.mark.parametrize("after", ["7", "0", "2.5"])
def test_429_asks_for_a_pause_of_so_many_seconds(http_rig: Rig, after: str) -> None:
    http_rig.server.script(http_rig.method, rate_limited(after))
    with pytest.raises(RetryableError) as raised:
        http_rig.deliver(delivery())
    assert raised.value.retry_after_s == float(after)
    assert not raised.value.in_doubt


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_faults_of_the_server_can_be_retried(http_rig: Rig, status: int) -> None:
    http_rig.server.script(http_rig.method, server_error(status))
    with pytest.raises(RetryableError, match=f"http_{status}"):
        http_rig.deliver(delivery())
    http_rig.deliver(delivery())
    assert http_rig.arrived()


@pytest.mark.parametrize("answer", [hang(3.0), cut()], ids=["hangs", "cuts"])
def test_no_answer_leaves_it_in_doubt_and_concerns_everything(http_rig: Rig, answer: Any) -> None:
    http_rig.server.script(http_rig.method, answer)
    with pytest.raises(RetryableError) as raised:
        http_rig.deliver(delivery())
    assert raised.value.in_doubt
    assert raised.value.everything


def test_a_server_that_is_not_there_is_retried_without_doubt(http_rig: Rig) -> None:
    http_rig.server.stop()
    with pytest.raises(RetryableError) as raised:
        http_rig.deliver(delivery())
    assert not raised.value.in_doubt
    assert raised.value.everything


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 413])
def test_other_statuses_are_permanent(http_rig: Rig, status: int) -> None:
    http_rig.server.script(http_rig.method, server_error(status))
    with pytest.raises(PermanentError, match=f"http_{status}"):
        http_rig.deliver(delivery())


@pytest.mark.parametrize(
    "error",
    [
        "invalid_auth",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "account_inactive",
        "token_revoked",
        "no_permission",
        "missing_scope",
        "msg_too_long",
    ],
)
def test_an_answer_that_is_not_ok_is_seen(make_rig: Callable[[str], Rig], error: str) -> None:
    for kind in ("slack", "slack_webhook"):
        rig = make_rig(kind)
        rig.server.script(rig.method, refuse(error))
        with pytest.raises(PermanentError, match=f"^{error}$"):
            rig.deliver(delivery())


@pytest.mark.parametrize("error", ["ratelimited", "internal_error", "fatal_error", "service_unavailable"])
def test_errors_of_slack_that_pass_can_be_retried(make_rig: Callable[[str], Rig], error: str) -> None:
    for kind in ("slack", "slack_webhook"):
        rig = make_rig(kind)
        rig.server.script(rig.method, refuse(error))
        with pytest.raises(RetryableError, match=f"^{error}$"):
            rig.deliver(delivery())


def test_the_body_of_a_file_and_a_webhook_is_the_stored_one(make_rig: Callable[[str], Rig]) -> None:
    item = delivery(text="Zürich & “quotes”")
    hook, lines = make_rig("webhook"), make_rig("file")
    hook.deliver(item)
    lines.deliver(item)
    assert hook.server.of("webhook/ops")[0].body == item.body
    assert lines.arrived() == [item.body.decode()]
    assert json.loads(lines.arrived()[0])["id"] == item.alert_id


def test_every_kind_in_the_settings_is_registered_and_every_registered_one_can_be_set() -> None:
    secret = {"env": "X"}
    every = [
        {"slack": {"channel": "#desk", "token": secret}},
        {"slack": {"incoming_webhook": secret}},
        {"webhook": {"url": "https://ops.example/hook", "secret": secret}},
        {"console": None},
        {"file": {"path": "x"}},
    ]
    kinds = {ReceiverSettings.model_validate(settings).kind for settings in every}
    assert kinds == set(RECEIVERS)
    assert set(itertools.chain(*every)) == set(ReceiverSettings.model_fields) - {"cap"}
