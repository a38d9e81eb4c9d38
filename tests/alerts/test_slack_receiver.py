"""Slack through a bot token: one message an episode, looked up before anything is posted twice."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.slack import INCOMING, FakeSlack, cut, fine, rate_limited, refuse, server_error

from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.receivers.slack.message import message
from alerts.receivers.slack.sections import escape
from streamer.notify.clock import SystemClock


class Desk:
    """The receiver, with the steps its deliveries have recorded."""

    def __init__(self, server: FakeSlack, channel: str = "#desk") -> None:
        settings = {"channel": channel, "token": {"env": "T"}, "api_url": server.api_url, "timeout": "1s"}
        self.receiver = build_receiver(
            "desk",
            ReceiverSettings.model_validate({"slack": settings}),
            lambda secret: secret.resolve({"T": server.token}),
            SystemClock(),
        )
        self.steps: dict[tuple[str, int], dict[str, str]] = {}

    def send(self, alert_id: str, number: int, **more: Any) -> None:
        done = self.steps.setdefault((alert_id, number), {})
        earlier = [steps for (other, n), steps in self.steps.items() if other == alert_id and n < number]
        item: Delivery = delivery(alert_id, number, steps=dict(done), earlier=tuple(earlier), **more)
        self.receiver.deliver(item, done.__setitem__)


def incoming(server: FakeSlack) -> Receiver:
    settings = {"incoming_webhook": {"env": "HOOK"}, "timeout": "1s"}
    return build_receiver(
        "desk",
        ReceiverSettings.model_validate({"slack": settings}),
        lambda secret: secret.resolve({"HOOK": server.hook_url}),
        SystemClock(),
    )


@pytest.fixture
def desk(slack_server: FakeSlack) -> Desk:
    return Desk(slack_server)


def test_an_episode_is_one_message_edited_and_answered_in_its_thread(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0, severity="warning")
    desk.send("a1", 1, severity="critical")
    desk.send("a1", 2, severity="critical", transition="resolved")
    first, answer = slack_server.workspace.messages("desk")
    assert first.edits == 2
    assert "WARNING" in first.texts[0]
    assert "CRITICAL" in first.texts[1]
    assert "RESOLVED" in first.text
    assert answer.thread_ts == first.ts
    assert "RESOLVED" in answer.text
    assert desk.steps["a1", 0]["post"] == f"{first.channel}:{first.ts}"
    assert set(desk.steps["a1", 1]) == {"edit"}
    assert set(desk.steps["a1", 2]) == {"edit", "reply"}


def test_the_message_carries_its_key(desk: Desk, slack_server: FakeSlack) -> None:
    desk.send("a1", 0)
    desk.send("a1", 1)
    (posted,) = slack_server.workspace.messages("desk")
    assert posted.metadata is not None
    assert posted.metadata["event_type"] == "tapewatch_alert"
    assert posted.metadata["event_payload"]["id"] == "a1"
    assert posted.metadata["event_payload"]["number"] == 0


def test_what_was_posted_before_the_crash_is_found_even_where_only_the_channels_name_is_known(
    desk: Desk, slack_server: FakeSlack
) -> None:
    for n in range(3):
        desk.send(f"other{n}", 0)
    slack_server.script("chat.postMessage", cut(applied=True))
    with pytest.raises(RetryableError) as raised:
        desk.send("a1", 0)
    assert raised.value.in_doubt
    restarted = Desk(slack_server)
    restarted.send("a1", 0, in_doubt=True)
    assert len(slack_server.workspace.messages("desk")) == 4
    posted = slack_server.workspace.messages("desk")[-1]
    assert restarted.steps["a1", 0] == {"post": f"{posted.channel}:{posted.ts}"}


def test_the_look_up_reads_on_over_pages_and_stops_at_the_alerts_time(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0)
    for n in range(450):
        slack_server.workspace.call("chat.postMessage", {"channel": "desk", "text": f"chatter {n}"})
    desk.steps.clear()
    desk.send("a1", 0, in_doubt=True)
    assert len(slack_server.of("conversations.history")) == 3
    assert len(slack_server.workspace.messages("desk")) == 451
    desk.steps.clear()
    desk.send("a1", 0, in_doubt=True, created_at=9e9)
    assert len(slack_server.workspace.messages("desk")) == 452


def test_a_look_up_in_a_very_busy_channel_ends(desk: Desk, slack_server: FakeSlack) -> None:
    for n in range(2_500):
        slack_server.workspace.call("chat.postMessage", {"channel": "desk", "text": f"chatter {n}"})
    desk.send("a1", 0, in_doubt=True)
    assert len(slack_server.of("conversations.history")) == 10
    assert "fat_finger" in slack_server.workspace.messages("desk")[-1].text


def test_without_the_right_to_read_the_channel_it_is_posted_again(
    desk: Desk, slack_server: FakeSlack
) -> None:
    for method in ("conversations.history", "users.conversations"):
        slack_server.always(method, refuse("missing_scope"))
        desk.send(f"after {method}", 0, in_doubt=True)
    assert len(slack_server.workspace.messages("desk")) == 2


def test_a_look_up_that_is_rate_limited_is_retried_not_skipped(desk: Desk, slack_server: FakeSlack) -> None:
    slack_server.script("users.conversations", rate_limited(3))
    with pytest.raises(RetryableError) as raised:
        desk.send("a1", 0, in_doubt=True)
    assert raised.value.retry_after_s == 3
    assert not slack_server.of("chat.postMessage")


def test_a_reply_cut_off_after_it_arrived_is_not_repeated(desk: Desk, slack_server: FakeSlack) -> None:
    desk.send("a1", 0)
    slack_server.script("chat.postMessage", cut(applied=True))
    with pytest.raises(RetryableError):
        desk.send("a1", 1, transition="resolved")
    assert set(desk.steps["a1", 1]) == {"edit"}
    desk.send("a1", 1, transition="resolved", in_doubt=True)
    first, answer = slack_server.workspace.messages("desk")
    assert first.edits == 1
    assert desk.steps["a1", 1]["reply"].endswith(answer.ts)


def test_an_edit_in_doubt_is_repeated_without_harm(desk: Desk, slack_server: FakeSlack) -> None:
    desk.send("a1", 0)
    slack_server.script("chat.update", server_error(502, applied=True))
    with pytest.raises(RetryableError):
        desk.send("a1", 1)
    desk.send("a1", 1, in_doubt=True)
    (posted,) = slack_server.workspace.messages("desk")
    assert posted.edits == 2
    assert posted.texts[1] == posted.texts[2]


def test_a_message_that_somebody_deleted_is_posted_anew_and_edited_from_then_on(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0)
    (first,) = slack_server.workspace.messages("desk")
    slack_server.workspace.remove(first.ts)
    desk.send("a1", 1)
    desk.send("a1", 2, transition="resolved")
    second, answer = slack_server.workspace.messages("desk")
    assert second.edits == 1
    assert answer.thread_ts == second.ts


def test_a_receiver_that_joins_an_episode_late_gets_a_message_of_its_own(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 3)
    desk.send("a2", 4, transition="resolved")
    assert [message.edits for message in slack_server.workspace.messages("desk")] == [0, 0]


def test_a_channel_given_by_its_id_needs_no_look_up(slack_server: FakeSlack) -> None:
    desk = Desk(slack_server, slack_server.workspace.channels["desk"])
    desk.send("a1", 0, in_doubt=True)
    assert not slack_server.of("users.conversations")
    assert len(slack_server.workspace.messages("desk")) == 1


def test_a_wrong_token_and_an_unknown_channel_are_permanent(slack_server: FakeSlack) -> None:
    with pytest.raises(PermanentError, match=r"^channel_not_found$"):
        Desk(slack_server, "#nowhere").send("a1", 0)
    desk = Desk(slack_server)
    slack_server.token = "xoxb-another"
    with pytest.raises(PermanentError, match=r"^invalid_auth$"):
        desk.send("a1", 0)


@pytest.mark.parametrize("body", ["[]", "not json", '"ok"', '{"ok": tr', ""])
def test_an_answer_that_is_not_slacks_leaves_it_in_doubt(
    desk: Desk, slack_server: FakeSlack, body: str
) -> None:
    slack_server.script("chat.postMessage", server_error(200))
    slack_server.script("chat.postMessage", type(fine())(body=body, applied=True))
    for _ in range(2):
        with pytest.raises(RetryableError) as raised:
            desk.send("a1", 0)
        assert raised.value.in_doubt


def test_text_can_neither_mention_nor_link(desk: Desk, slack_server: FakeSlack) -> None:
    desk.send("a1", 0, text="<!channel> <https://evil.example|click> & more", symbol="<@U1>")
    (posted,) = slack_server.workspace.messages("desk")
    shown = posted.text + str(posted.blocks)
    assert "<" not in shown
    assert "&lt;!channel&gt;" in shown
    assert "&amp; more" in shown


def test_a_long_text_is_cut_within_slacks_limit_and_never_inside_an_escape() -> None:
    shown = message(delivery(text="&" * 5_000))
    section = shown.blocks[1]["text"]["text"]
    assert len(section) <= 3_000
    assert section == "&amp;" * ((3_000 - 1) // 5) + "…"
    assert escape("a" * 10, 10) == "a" * 10


def test_a_message_says_all_that_matters() -> None:
    shown = str(message(delivery("a1", 0)).blocks)
    for part in (
        "CRITICAL",
        "fat_finger",
        "XNAS",
        "ACME",
        "512 lots",
        "size_mean_1h",
        "8.25",
        "2026-01-05",
        "a1",
    ):
        assert part in shown


def test_many_values_are_counted_not_shown() -> None:
    values = {f"feature_{n}": float(n) for n in range(14)}
    fields = message(delivery(values=values)).blocks[2]["fields"]
    assert len(fields) == 10
    assert fields[-1]["text"] == "and 5 more"


def refused(desk: Desk, server: FakeSlack, error: str, raised: type[Exception]) -> None:
    """Both ways into Slack answer so."""
    server.script("chat.postMessage", refuse(error))
    with pytest.raises(raised, match=f"^{error}$"):
        desk.send("a1", 0)
    server.script(INCOMING, refuse(error))
    with pytest.raises(raised, match=f"^{error}$"):
        incoming(server).deliver(delivery(), lambda step, result: None)


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
def test_an_answer_that_is_not_ok_is_seen(desk: Desk, slack_server: FakeSlack, error: str) -> None:
    refused(desk, slack_server, error, PermanentError)


@pytest.mark.parametrize("error", ["ratelimited", "internal_error", "fatal_error", "service_unavailable"])
def test_errors_of_slack_that_pass_can_be_retried(desk: Desk, slack_server: FakeSlack, error: str) -> None:
    refused(desk, slack_server, error, RetryableError)
