"""Slack through a bot token: one message an episode, looked up before anything is posted twice."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.slack import INCOMING, FakeSlack, cut, fine, rate_limited, refuse, server_error

from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.severity import severity_rank
from streamer.notify.clock import SystemClock


class Desk:
    """The receiver, with the steps its deliveries have recorded, and what it was told."""

    def __init__(self, server: FakeSlack, channel: str = "#desk", **more: Any) -> None:
        settings = {
            "channel": channel,
            "token": {"env": "T"},
            "api_url": server.api_url,
            "timeout": "5s",
            **more,
        }
        self.receiver = build_receiver(
            "desk",
            ReceiverSettings.model_validate({"slack": settings}),
            lambda secret: secret.resolve({"T": server.token}),
            SystemClock(),
        )
        self.steps: dict[tuple[str, int], dict[str, str]] = {}
        self.told: dict[str, str] = {}

    def send(self, alert_id: str, number: int, **more: Any) -> None:
        done = self.steps.setdefault((alert_id, number), {})
        earlier = [steps for (other, n), steps in self.steps.items() if other == alert_id and n < number]
        told = self.told.get(alert_id)
        item: Delivery = delivery(
            alert_id, number, steps=dict(done), earlier=tuple(earlier), told=told, **more
        )
        self.receiver.deliver(item, done.__setitem__)
        self.told[alert_id] = max(told or "info", more.get("severity", "critical"), key=severity_rank)


def incoming(server: FakeSlack, **more: Any) -> Receiver:
    settings = {"incoming_webhook": {"env": "HOOK"}, "timeout": "5s", **more}
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
    desk.send("a1", 0, severity="critical")
    desk.send("a1", 1, severity="critical")
    desk.send("a1", 2, severity="critical", transition="resolved")
    first, answer = slack_server.workspace.messages("desk")
    assert first.edits == 2
    assert "CRITICAL" in first.texts[0]
    assert "CRITICAL" in first.texts[1]
    assert "RESOLVED" in first.text
    assert answer.thread_ts == first.ts
    assert "RESOLVED" in answer.text
    assert desk.steps["a1", 0]["post"] == f"{first.channel}:{first.ts}"
    assert set(desk.steps["a1", 1]) == {"edit"}
    assert set(desk.steps["a1", 2]) == {"edit", "reply"}


def test_a_rise_of_severity_is_also_a_reply_that_the_channel_shows(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0, severity="info")
    desk.send("a1", 1, severity="critical")
    desk.send("a1", 2, severity="critical")
    first, risen = slack_server.workspace.messages("desk")
    assert first.edits == 2
    assert (risen.thread_ts, risen.broadcast) == (first.ts, True)
    assert "CRITICAL fat_finger XNAS ACME, was info" in risen.text
    assert set(desk.steps["a1", 1]) == {"edit", "rise"}
    assert set(desk.steps["a1", 2]) == {"edit"}


def test_a_rise_cut_off_between_its_steps_or_after_them_repeats_neither(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0, severity="warning")
    for lost in (cut(), cut(applied=True)):
        slack_server.script("chat.postMessage", lost)
        with pytest.raises(RetryableError):
            desk.send("a1", 1, in_doubt=True)
    desk.send("a1", 1, in_doubt=True)
    first, risen = slack_server.workspace.messages("desk")
    assert (first.edits, risen.broadcast) == (1, True)
    assert desk.steps["a1", 1]["rise"].endswith(risen.ts)


def test_a_rise_is_posted_anew_where_somebody_deletes_the_message_meanwhile(
    desk: Desk, slack_server: FakeSlack
) -> None:
    desk.send("a1", 0, severity="warning")
    slack_server.script("chat.postMessage", refuse("thread_not_found"))
    desk.send("a1", 1)
    assert [posted.thread_ts for posted in slack_server.workspace.messages("desk")] == [None, None]
    assert set(desk.steps["a1", 1]) == {"edit", "post"}


def test_an_episode_that_comes_back_is_an_edit_that_counts(desk: Desk, slack_server: FakeSlack) -> None:
    desk.send("a1", 0)
    desk.send("a1", 1, transition="resolved")
    desk.send("a1", 2, episode={"began": "2026-01-05T14:28:00.000000000Z", "reopened": 1})
    first, _ = slack_server.workspace.messages("desk")
    assert "CRITICAL fat_finger XNAS ACME, open for 2m, reopened once" in first.text


@pytest.mark.parametrize("way", ["bot", "incoming"])
def test_a_mention_calls_where_a_critical_alert_begins_or_an_alert_becomes_critical(
    slack_server: FakeSlack, way: str
) -> None:
    desk = Desk(slack_server, mention=["@here", "<!subteam^S0123ABCD>"])
    if way == "incoming":
        desk.receiver = incoming(slack_server, mention="@here")
    desk.send("a1", 0, mention=("<@U0123ABCD>",))
    desk.send("a1", 1)
    desk.send("a1", 2, transition="resolved")
    desk.send("a2", 0, severity="warning")
    desk.send("a2", 1, severity="critical")
    hooked = slack_server.workspace.hooked()
    shown = [str(m.blocks) for m in slack_server.workspace.messages()] or [str(m["blocks"]) for m in hooked]
    calling = [n for n, blocks in enumerate(shown) if "<!here>" in blocks]
    assert calling == ([0, 4] if way == "incoming" else [3])
    if way == "bot":  # each edit has taken the first call away again; it was posted with it
        assert "<!here> <!subteam^S0123ABCD> <@U0123ABCD>" in str(
            slack_server.of("chat.postMessage")[0].arguments["blocks"]
        )


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


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "not json",
        '"ok"',
        '{"ok": tr',
        "",
        '{"ok": true}',
        '{"ok": true, "channel": null, "ts": null}',
        '{"ok": true, "channel": "C0123456789", "ts": ""}',
    ],
)
def test_an_answer_that_is_not_slacks_leaves_it_in_doubt(
    desk: Desk, slack_server: FakeSlack, body: str
) -> None:
    slack_server.script("chat.postMessage", server_error(200))
    slack_server.script("chat.postMessage", type(fine())(body=body, applied=True))
    for _ in range(2):
        with pytest.raises(RetryableError) as raised:
            desk.send("a1", 0)
        assert raised.value.in_doubt


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("users.conversations", '{"ok": true}'),
        ("users.conversations", '{"ok": true, "channels": [{"name": "desk"}]}'),
        ("conversations.history", '{"ok": true, "messages": null}'),
        ("conversations.history", '{"ok": true, "messages": ["hello"]}'),
    ],
)
def test_a_look_up_that_is_answered_without_its_list_leaves_it_in_doubt_and_posts_nothing(
    desk: Desk, slack_server: FakeSlack, method: str, body: str
) -> None:
    slack_server.script(method, type(fine())(body=body))
    with pytest.raises(RetryableError, match=r"^unexpected_answer: it answered 200, without ") as raised:
        desk.send("a1", 0, in_doubt=True)
    assert (raised.value.in_doubt, raised.value.answer) == (True, body)
    assert not slack_server.of("chat.postMessage")


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
