"""The real notifier before a Slack that takes one message a second, in the minutes it is bought for."""

from __future__ import annotations

import pytest
from fakes.pressure import BACKLOG, News, accepted, market_close, named, own_messages, play, storm
from fakes.slack import FakeSlack

from streamer.store.database import Database

QUICKER = 5.0


def named_within(slack: FakeSlack, news: list[News], committed: dict[str, float]) -> float:
    """The longest that one of these waited to be named, be it by its own message or in a summary."""
    delays = []
    for each in news:
        at = named(slack, each.alert_id[:8])
        assert at is not None, f"{each.alert_id} was never named"
        delays.append(at - committed[each.key])
    return max(delays)


def has_value(slack: FakeSlack, each: News) -> bool:
    return any(
        each.alert_id[:8] in str(one.arguments) and f"{each.value:.0f}" in str(one.arguments)
        for one in accepted(slack)
    )


@pytest.mark.parametrize("backlog", [0, BACKLOG])
def test_sixty_criticals_in_ten_seconds(database: Database, slack_server: FakeSlack, backlog: int) -> None:
    """Five times as fast: the minute has 12 s, and Slack takes five messages a second."""
    news = list(storm(backlog))
    committed = play(database, slack_server, news, QUICKER)
    trades = [each for each in news if each.rule == "fat_finger"]
    routing_s = backlog / 1_000  # which is not quicker here
    assert named_within(slack_server, trades, committed) < 15.0 / QUICKER + routing_s
    assert all(has_value(slack_server, each) for each in trades)
    late = [each for each in news if each.severity == "critical" and each.behind_s]
    if late:
        assert (
            named_within(slack_server, late, committed) < 75.0 / QUICKER
        )  # at worst in the next minute's digest
        posts = [each for each in accepted(slack_server) if each.method == "chat.postMessage"]
        assert sum("odd_tape" in each.arguments["text"] for each in posts) <= 5


@pytest.mark.long
@pytest.mark.parametrize("backlog", [0, BACKLOG])
def test_sixty_criticals_in_ten_seconds_at_slacks_own_pace(
    database: Database, slack_server: FakeSlack, backlog: int
) -> None:
    news = list(storm(backlog))
    committed = play(database, slack_server, news)
    trades = [each for each in news if each.rule == "fat_finger"]
    assert named_within(slack_server, trades, committed) < 15.0
    assert all(has_value(slack_server, each) for each in trades)


@pytest.mark.long
def test_a_market_close_at_slacks_own_pace(database: Database, slack_server: FakeSlack) -> None:
    news = list(market_close())
    committed = play(database, slack_server, news)
    posted = own_messages(slack_server)
    trades = [each for each in news if each.rule == "fat_finger" and each.number == 0]
    assert len(trades) == 30
    assert max(posted[each.key] - committed[each.key] for each in trades) < 5.0
    quiet = [each for each in news if each.rule == "stale_feed" and each.severity == "critical"]
    assert all(named(slack_server, each.alert_id[:8]) for each in quiet)
