"""What a Slack message says, and that nothing of a feed is anything but text in it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fakes.alert_bodies import alert_body, delivery
from fakes.slack import INCOMING, FakeSlack

from alerts.receivers.receiver import Delivery
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.receivers.slack.message import SlackMessage, called, message, reply, rise
from streamer.notify.clock import SystemClock

ID = "3f9a0c125de04b77a1c06f2d9be81c44"
WHY = "A single trade far beyond what this instrument usually trades, and large in money."
EPISODE = {
    "began": "2026-01-05T14:30:00.000000000Z",
    "measure": "size",
    "unit": "",
    "first": 69.0,
    "peak": 1_000_000.0,
    "peak_ts": "2026-01-05T14:30:40.000000000Z",
    "last": 12.2,
}
FIRED = {**EPISODE, "peak": 69.0, "peak_ts": EPISODE["began"], "last": 69.0}
BIG: dict[str, Any] = {
    "alert_id": ID,
    "text": "ACME: one trade of 69 (4,200,000 in money), the hour's mean is 1.2",
    "values": {"size": 69.0, "notional": 4.2e6, "size_mean_1h": 1.2000000000000002, "symbol": "ACME"},
    "why": WHY,
}
LATER: dict[str, Any] = {**BIG, "ts_event": "2026-01-05T14:38:12.000000000Z", "episode": EPISODE}
DATE = re.compile(r"<!date\^\d+\^(?:\{date_short_pretty\} )?\{time_secs\}\|([^>]+)>")


def lines(sent: SlackMessage) -> list[str]:
    """What is displayed, line by line, times as one sees them where Slack cannot resolve them."""
    texts = [text["text"] for text in texts_of(sent)]
    return [DATE.sub(r"\1", line) for text in texts for line in text.split("\n")]


def texts_of(sent: SlackMessage) -> list[dict[str, Any]]:
    return [
        text
        for block in sent.blocks
        for text in [block.get("text"), *block.get("elements", ())]
        if text is not None
    ]


def test_an_alert_that_begins() -> None:
    assert lines(message(delivery(**BIG, episode=FIRED))) == [
        "🚨 CRITICAL fat_finger XNAS ACME",
        "One trade of 69 (4,200,000 in money), the hour's mean is 1.2",
        WHY,
        "2026-01-05 14:30:00 UTC · id 3f9a0c12",
    ]


def test_an_alert_that_goes_on() -> None:
    assert lines(message(delivery(number=4, **LATER, told="critical"))) == [
        "🚨 CRITICAL fat_finger XNAS ACME, open for 8m 12s",
        "One trade of 69 (4,200,000 in money), the hour's mean is 1.2",
        "size began at 69, peaked at 1.00M after 40s, and is now 12.2.",
        WHY,
        "2026-01-05 14:30:00 UTC · now 14:38:12 UTC · id 3f9a0c12",
    ]


def test_an_alert_that_has_become_critical() -> None:
    assert lines(rise(delivery(number=4, **LATER, told="warning"), ["<!here>"]))[:3] == [
        "<!here>",
        "🚨 CRITICAL fat_finger XNAS ACME, was warning, open for 8m 12s",
        "One trade of 69 (4,200,000 in money), the hour's mean is 1.2",
    ]


def test_an_alert_that_is_over_says_what_woke_the_reader() -> None:
    over = {**LATER, "text": f"{BIG['text']} (over: not true for 60s)"}
    sent = delivery(number=5, **over, transition="resolved")
    assert lines(message(sent)) == [
        "✅ RESOLVED fat_finger XNAS ACME after 8m 12s, peak 1.00M",
        "One trade of 69 (4,200,000 in money), the hour's mean is 1.2",
        "size began at 69, peaked at 1.00M after 40s, and was last 12.2. It is over: not true for 60s.",
        WHY,
        "2026-01-05 14:30:00 UTC to 14:38:12 UTC · was critical · id 3f9a0c12",
    ]
    assert lines(reply(sent))[0] == "✅ RESOLVED fat_finger XNAS ACME after 8m 12s, peak 1.00M"


@pytest.mark.parametrize(
    "more",
    [
        {"source": {"topic": "spot", "partition": 0, "offset": None, "index": None, "tick": None}},
        {"ts_event": "2026-01-05T14:20:00.000000000Z"},
    ],
    ids=["no row ended it", "its clock was wrong"],
)
def test_an_end_whose_time_says_nothing_has_no_duration(more: dict[str, Any]) -> None:
    over = {**LATER, "text": f"{BIG['text']} (over: the topic was deleted)", **more}
    shown = lines(message(delivery(number=5, **over, transition="resolved")))
    assert shown[0] == "✅ RESOLVED fat_finger XNAS ACME, peak 1.00M"
    assert re.fullmatch(r"2026-01-05 14:[23][08]:\d\d UTC · was critical · id 3f9a0c12", shown[-1])
    assert "It is over: the topic was deleted." in shown[2]


def test_a_moment_is_no_riddle() -> None:
    soon = {**LATER, "ts_event": EPISODE["began"], "episode": {**EPISODE, "peak_ts": EPISODE["began"]}}
    now = lines(message(delivery(number=4, **soon, told="critical")))
    assert now[0] == "🚨 CRITICAL fat_finger XNAS ACME, open for less than 1s"
    assert "peaked at 1.00M within 1s, and" in now[2]
    ended = lines(message(delivery(number=5, **soon, transition="resolved")))
    assert ended[0] == "✅ RESOLVED fat_finger XNAS ACME within 1s, peak 1.00M"


@pytest.mark.parametrize("number", [0, 4])
def test_severity_rule_and_instrument_stand_there_once(number: int) -> None:
    shown = "\n".join(lines(message(delivery(number=number, **LATER, told="critical"))))
    assert [shown.count(word) for word in ("CRITICAL", "critical", "fat_finger", "ACME")] == [1, 0, 1, 1]
    assert "000000" not in shown


def test_a_phone_shows_the_important_first() -> None:
    sent = message(delivery(**BIG, episode=FIRED))
    assert sent.text[:100].startswith(
        "🚨 CRITICAL fat_finger XNAS ACME: One trade of 69 (4,200,000 in money)"
    )
    late = message(delivery(**BIG, episode=FIRED, behind_s=183_600.0))
    assert late.text.startswith("🚨 CRITICAL fat_finger XNAS ACME, late by 2d 3h: One trade of 69")
    assert "late" not in message(delivery(**BIG, behind_s=183_600.0, late_after_s=2e5)).text


@pytest.mark.parametrize(
    ("text", "episode", "shown"),
    [
        ("a text without the value", FIRED, "size is 69."),
        ("", {**FIRED, "unit": "bps", "first": -30.41}, "size is -30.4 bps."),
        ("moved -30.4 bps", {**FIRED, "unit": "bps", "first": -30.41}, None),
        ("moved in 69 s, like 69% of all", FIRED, "size is 69."),
        ("burst in 690 s", FIRED, "size is 69."),
        ("moved in 69 s", {**FIRED, "unit": "bps", "first": 69.0}, "size is 69 bps."),
        ("201 order messages in a second", {**FIRED, "unit": "/s", "first": 201.0}, None),
        ("ACME traded", {"began": EPISODE["began"]}, None),
        ("ACME traded", None, None),
    ],
)
def test_what_the_text_says_already_is_no_news(text: str, episode: Any, shown: str | None) -> None:
    more = {} if episode is None else {"episode": episode}
    said = lines(message(delivery(text=text, values={}, **more)))
    assert (shown in said) if shown else not any(line.startswith("size ") for line in said)


def test_bodies_of_the_service_of_older_folds_and_of_rules_without_a_measure_are_read() -> None:
    assert "It is over: the task has ended." in lines(
        message(delivery(number=1, transition="resolved", text="ACME is crossed (over: the task has ended)"))
    )
    service = delivery(
        venue=None, symbol=None, origin="service", rule="log_gap", text="spot[0] has lost offsets 1 to 9"
    )
    assert lines(message(service))[:2] == ["🚨 CRITICAL log_gap", "spot[0] has lost offsets 1 to 9"]
    plain = {"began": EPISODE["began"], "reopened": 2}
    ended = delivery(number=3, transition="resolved", ts_event="2026-01-05T14:31:00Z", episode=plain)
    assert lines(message(ended))[0] == "✅ RESOLVED fat_finger XNAS ACME after 1m, reopened 2 times"


def test_values_that_the_text_leaves_out_are_shown_rounded() -> None:
    shown = lines(
        message(delivery(text="ACME traded 512 lots", values={"size": 512.0, "size_mean_1h": 8.2512345}))
    )
    assert "size_mean_1h 8.25" in shown


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("ACME: burst of trades in 30 s", {"trades_30s": 3.0}, "trades_30s 3"),
        ("ACME: beyond limits in 10 s", {"return_bps_10s": -10.05}, "return_bps_10s -10.1"),
        ("ACME moved 10 bps", {"return_bps_10s": -10.05}, "return_bps_10s -10.1"),
        ("ACME moved -10.1 bps", {"return_bps_10s": -10.05}, None),
        ("ACME: Burst", {"side": "B"}, "side B"),
        ("ACME: a trade, side B", {"side": "B"}, None),
        ("ACME: silent for 31 s, like 61% of all", {"silence_s": 31.2, "silent_share_30s": 0.61}, None),
        ("ACME: silent for 8m 12s", {"silence_s": 492.3}, None),
        ("ACME: 0.25% of all", {"fill_ratio_1s": 0.0025, "spread_bps": 25.0}, None),
        ("ACME: once in 2.1d", {"tape.rarity": 181_440.0}, None),
        ("ACME on 2026-01-05 at 14:30:00", {"size": 5.0}, "size 5"),
        ("ACME: one trade of 1.25M", {"size": 1_250_000.0}, None),
    ],
)
def test_a_value_is_left_out_only_where_the_text_has_it(
    text: str, values: dict[str, Any], shown: str | None
) -> None:
    said = lines(message(delivery(text=text, values=values)))
    assert said[2:-1] == ([] if shown is None else [shown])


HOSTILE = [
    "@here",
    "#general",
    "<!channel>",
    "<https://evil.example|ACME>",
    "https://evil.example",
    "*x*",
    "_y_",
    "~z~",
    "`code`",
    ":tada:",
    "P&L",
    "AB\u202eCD",
    "AB\n🚨 CRITICAL CD",
    "AB\x1b[2J",
]


@pytest.mark.parametrize("symbol", HOSTILE)
@pytest.mark.parametrize("sent", [message, reply, rise])
def test_a_feeds_text_is_text(symbol: str, sent: Any) -> None:
    text = f"{symbol}: seen with {symbol} (over: {symbol})"
    shown = sent(
        delivery(
            number=1,
            symbol=symbol,
            venue=symbol,
            text=text,
            transition="resolved" if sent is reply else "updated",
            values={"side": symbol, "size": 1.0},
            episode={**EPISODE, "measure": f"f({symbol})"},
            note=f"parked for {symbol}",
        )
    )
    literal = symbol.encode("unicode_escape").decode() if not symbol.isprintable() else symbol
    literal = (
        literal.replace("\\U0001f6a8", "🚨").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    assert literal in lines(shown)[0]
    for part in texts_of(shown):
        if part["type"] == "plain_text":
            assert part["emoji"] is False
        else:
            assert part["verbatim"] is True
            assert literal not in part["text"]
        assert not re.search(r"<(?!!date\^)", part["text"])
        assert "\u202e" not in part["text"]
        assert "\x1b" not in part["text"]
    assert sum(line.startswith("🚨 CRITICAL CD") for line in lines(shown)) == 0
    assert "<" not in shown.text
    assert "\n" not in shown.text


def test_slack_is_told_to_parse_nothing(slack_server: FakeSlack) -> None:
    bot = {"channel": "desk", "token": {"env": "T"}, "api_url": slack_server.api_url}
    for settings in (bot, {"incoming_webhook": {"env": "HOOK"}}):
        receiver = build_receiver(
            "desk",
            ReceiverSettings.model_validate({"slack": settings}),
            lambda secret: secret.resolve({"T": slack_server.token, "HOOK": slack_server.hook_url}),
            SystemClock(),
        )
        steps: dict[str, str] = {}
        receiver.deliver(delivery(), steps.__setitem__)
        receiver.deliver(delivery(number=1, earlier=(steps,)), lambda step, result: None)
    for method in ("chat.postMessage", "chat.update", INCOMING):
        for call in slack_server.of(method):
            assert str(call.arguments["parse"]) == "none"
            assert str(call.arguments["link_names"]) in ("False", "0")


def test_why_is_one_line_whose_address_is_a_link() -> None:
    why = "The book & the tape disagree; see https://wiki.example/runbooks?a=1&b=2.\n\n" + "More. " * 40
    shown = lines(message(delivery(why=why)))
    (line,) = [line for line in shown if "disagree" in line]
    assert "see <https://wiki.example/runbooks?a=1&amp;b=2>." in line
    assert line.startswith("The book &amp; the tape")
    assert len(line) < 140
    assert line.endswith("More.")


LONG = f"{'word ' * 30}of the runbook: "


@pytest.mark.parametrize(
    ("why", "ends"),
    [
        (f"https://wiki.example/{'x' * 150}", f"<https://wiki.example/{'x' * 150}>"),
        (f"{LONG}https://wiki.example/a?b=1&c=2.", "word… <https://wiki.example/a?b=1&amp;c=2>"),
        (f"{'word ' * 20}https://wiki.example/{'x' * 50} is it.", f"word… <https://wiki.example/{'x' * 50}>"),
        (f"Short. {'word ' * 30}https://wiki.example/a.", "Short. <https://wiki.example/a>"),
        ("see https://wiki.example/Feed_(stale)", "see <https://wiki.example/Feed_(stale)>"),
        ("see (https://wiki.example/a).", "see (<https://wiki.example/a>)."),
    ],
)
def test_the_runbook_is_a_link_however_long_the_purpose_is(
    slack_server: FakeSlack, why: str, ends: str
) -> None:
    shown = message(delivery(why=why))
    slack_server.workspace.call("chat.postMessage", {"channel": "desk", **shown.arguments})
    assert lines(shown)[-2].endswith(ends)


def test_a_purpose_without_a_word_is_none(slack_server: FakeSlack) -> None:
    shown = message(delivery(why=" \n"))
    slack_server.workspace.call("chat.postMessage", {"channel": "desk", **shown.arguments})
    assert lines(shown) == lines(message(delivery()))


@pytest.mark.parametrize(
    ("values", "text"), [({"size": 30.0}, "NO trades of 30"), ({"symbol": "NO"}, "Trades of 30")]
)
def test_a_word_that_the_symbol_is_named_like_stays(values: dict[str, Any], text: str) -> None:
    assert lines(message(delivery(symbol="NO", text="NO trades of 30", values=values)))[1] == text


def test_a_note_is_shown() -> None:
    assert "⚠️ 3 deliveries to ops are parked: http_403" in lines(
        message(delivery(note="3 deliveries to ops are parked: http_403"))
    )


def summary(count: int, width: int) -> Delivery:
    named = "\n".join(f"CRITICAL fat_finger XNAS SYM{n} {'9' * width}" for n in range(count))
    values = {"fat_finger": count}
    more = {"origin": "service", "rule": "delivery_summary", "venue": None, "symbol": None, "values": values}
    return delivery(text=f"{count} more than desk takes at 20 messages a minute:\n{named}", **more)


def test_a_summary_names_all_of_sixty(slack_server: FakeSlack) -> None:
    shown = message(summary(60, 120))
    assert shown.text.startswith(
        "🚨 CRITICAL 60 more than desk takes at 20 messages a minute: CRITICAL fat_finger"
    )
    assert lines(shown)[0] == "🚨 CRITICAL 60 more than desk takes at 20 messages a minute"
    assert "fat_finger 60" not in lines(shown)
    assert len([line for line in lines(shown) if line.startswith("CRITICAL fat_finger")]) == 60
    slack_server.workspace.call("chat.postMessage", {"channel": "desk", **shown.arguments})


@pytest.mark.parametrize(("count", "width"), [(400, 60), (400, 5_000), (3, 40_000), (5_000, 1)])
def test_what_a_message_cannot_hold_is_counted(slack_server: FakeSlack, count: int, width: int) -> None:
    shown = message(summary(count, width))
    slack_server.workspace.call("chat.postMessage", {"channel": "desk", **shown.arguments})
    assert any(
        re.fullmatch(r"… and [\d,]+ more lines, all in `tapewatch alerts`", line) for line in lines(shown)
    )


def test_a_long_line_is_parted_and_loses_nothing(slack_server: FakeSlack) -> None:
    text = " ".join(f"word{n}&" for n in range(400))[:2_000]
    shown = message(delivery(text=text))
    slack_server.workspace.call("chat.postMessage", {"channel": "desk", **shown.arguments})
    assert " ".join(lines(shown)[1:-2]).replace("&amp;", "&").lower() == text.lower()


def test_only_critical_beginnings_and_rises_to_critical_call() -> None:
    def calls(**more: Any) -> bool:
        return bool(called(delivery(**more), ["<!here>"]))

    assert calls()
    assert calls(number=2, told="warning")
    assert calls(number=2, told=None)
    assert not calls(number=2, told="critical")
    assert not calls(severity="warning")
    assert not calls(number=2, told="info", severity="warning")
    assert not calls(number=2, told=None, transition="resolved")


def test_a_body_is_read_as_it_is_stored() -> None:
    assert message(Delivery("a1", 0, "desk", alert_body())).text.startswith("🚨 CRITICAL")
