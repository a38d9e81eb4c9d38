"""Storms of any shape at receivers of any speed, by a clock that is only a number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from fakes.simulated_delivery import LATE_AFTER_S, Row, SimulatedReceiver, Told, run
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY, HEARTBEAT
from alerts.stages.cap import MINUTE_S
from alerts.stages.importance import BEGINNINGS, CRITICAL, LATE, LATE_DIGEST
from alerts.stages.matchers import Silence, rule_matchers
from alerts.stages.registry import StageSettings, build_stages
from alerts.stages.route import Router, RouteSettings
from alerts.stages.spending import CRITICALS, EDIT_RANKS, EDITS, message_ranks

PATIENCE_S, PACE_S = MINUTE_S / 12, MINUTE_S / 20
SINGLES = 20  # in a minute, one every 3 s, beyond the criticals' budget
RARE = 6
RULES = ("fat_finger", "crossed_book", "stale_feed")


@st.composite
def bursts(draw: st.DrawFn) -> list[Told]:
    """Episodes of one rule that begin within some seconds, and what becomes of each."""
    rule = draw(st.sampled_from(RULES))
    severity = draw(st.sampled_from(("info", "warning", "critical", "critical")))
    began, spread_s = draw(st.floats(0.0, 150.0)), draw(st.sampled_from((0.0, 1.0, 20.0)))
    behind_s = draw(st.sampled_from((0.0, 0.0, 200_000.0)))
    course = draw(
        st.lists(
            st.tuples(
                st.sampled_from(("updated", "rises", "resolved")),
                st.floats(0.0, 90.0),
                st.sampled_from((True, True, False)),
            ),
            max_size=4,
        )
    )
    # what has ended can only come back
    course = [
        step
        for place, step in enumerate(course)
        if place == 0 or {step[0], course[place - 1][0]} != {"resolved"}
    ]
    count, instruments = draw(st.integers(1, 45)), draw(st.integers(1, 45))
    told = []
    for place in range(count):
        at, now, behind = began + place * spread_s / count, severity, behind_s
        alert_id = f"{rule[0]}{int(began * 1000) % 1000:03d}{place:04d}"
        told.append(
            Told(at, alert_id, 0, rule, now, "fired", f"S{place % instruments}", 1000.0 + place, behind)
        )
        for number, (what, after_s, still_late) in enumerate(course, 1):
            at += after_s
            now = "critical" if what == "rises" else now
            behind = behind if still_late else 0.0
            transition = "updated" if what == "rises" else what
            told.append(
                replace(told[-1], at=at, number=number, severity=now, transition=transition, behind_s=behind)
            )
    return told


def receiver(
    cap: int, takes_s: float, *, edits: bool, muted: Sequence[Silence] = (), parallel: int = 4
) -> SimulatedReceiver:
    router = Router(RouteSettings.model_validate({}), ("desk",))
    stages = build_stages(
        StageSettings(
            router, {"desk": cap}, edits={"desk": EDITS} if edits else {}, late_after_s=LATE_AFTER_S
        )
    )
    return SimulatedReceiver("desk", stages, takes_s, edits, parallel, muted)


def heartbeats(until: float) -> list[Told]:
    return [
        Told(60.0 * n, f"beat{n:04d}", 0, HEARTBEAT, "info", "fired", HEARTBEAT, 0.0)
        for n in range(int(until // 60.0) + 1)
    ]


@settings(max_examples=25, deadline=None)
@given(
    storm=st.lists(bursts(), min_size=1, max_size=4),
    cap=st.sampled_from((1, 5, 20, 60)),
    takes_s=st.sampled_from((0.0, 0.02, 0.3, 1.0)),
    edits=st.booleans(),
    mute=st.booleans(),
)
def test_a_storm_of_any_shape(
    storm: list[list[Told]], cap: int, takes_s: float, edits: bool, mute: bool
) -> None:
    silence = Silence(rule_matchers(RULES[1]), "ann", "", 20.0, 70.0)
    desk = receiver(cap, takes_s, edits=edits, muted=(silence,) if mute else ())
    episodes = {burst[0].alert_id: burst for burst in storm}
    told = [each for burst in episodes.values() for each in burst]
    run(desk, told)
    check(desk, cap, edits=edits)


def check(desk: SimulatedReceiver, cap: int, *, edits: bool) -> None:
    sent = [row for row in desk.rows if row.state == "done"]
    nothing_is_lost(desk)
    in_order(sent)
    criticals_come_soon(desk)
    own = [row for row in sent if row.rank in CRITICAL]
    assert most(own) <= max(CRITICALS, cap) + RARE + SINGLES
    assert most([row for row in own if row.rank == 1]) <= max(CRITICALS, cap) // 3 + SINGLES
    messages = [row for row in sent if row.rank in message_ranks(edits)]
    assert most(messages) <= cap
    if edits:
        assert most([row for row in sent if row.rank in EDIT_RANKS]) <= EDITS
    digests = [
        row for row in sent if row.rank in (*(LATE + rank for rank in (*CRITICAL, *BEGINNINGS)), LATE_DIGEST)
    ]
    parts = sum(row.rank == LATE_DIGEST for row in digests)
    assert most(digests) <= max(1, parts), "one message a minute for what is late"


def nothing_is_lost(desk: SimulatedReceiver) -> None:
    for row in desk.rows:
        if row.state in ("summarised", "digested") and row.instead is not None:
            assert row.instead.state == "done"
            assert row.instead.told.rule in (DELIVERY_SUMMARY, DELIVERY_DIGEST)
            if row.told.severity == "critical":
                is_named_in(row, row.instead.text)
        elif row.state in ("summarised", "digested"):  # it goes on unsent under that one
            (one,) = [each for each in desk.rows if f"{each.told.alert_id}-0" == row.reason]
            if row.told.severity == "critical":
                is_named_in(row, one.text)
        else:
            assert row.state in ("done", "superseded") or (row.state == "muted" and row.reason)


def is_named_in(row: Row, text: str) -> None:
    """With its rule, instrument, value and short id, in one line."""
    (line,) = [line for line in text.split("\n") if line.endswith(row.told.alert_id[:8])]
    assert f"{row.told.rule} {row.told.symbol}: traded {row.told.value:g}" in line


def in_order(sent: Sequence[Row]) -> None:
    episodes: dict[str, list[Row]] = defaultdict(list)
    for row in sent:
        episodes[row.told.alert_id].append(row)
    for rows in episodes.values():
        rows.sort(key=lambda row: row.told.number)
        for earlier, later in pairwise(rows):
            assert earlier.done_at <= later.started_at


def criticals_come_soon(desk: SimulatedReceiver) -> None:
    latest_s = PATIENCE_S + PACE_S + desk.takes_s * (desk.parallel + 6) + 0.01
    for row in desk.rows:
        # what is late goes before its time where one that is not waits behind it: it takes that one's rank
        live = row.told.behind_s <= LATE_AFTER_S
        news = live and row.told.transition != "resolved" and row.rank in CRITICAL
        if news and row.told.severity == "critical" and row.state in ("done", "summarised"):
            told_at = row.done_at if row.instead is None else row.instead.done_at
            assert told_at - row.told.at <= latest_s, (row, desk.takes_s)


def most(rows: Sequence[Row]) -> int:
    """The most of them that arrived in any minute."""
    times = sorted(row.done_at for row in rows)
    return max((sum(at - MINUTE_S + 1e-6 < each <= at for each in times) for at in times), default=0)


def flood(
    count: int, rule: str, severity: str, began: float = 0.0, spread_s: float = 0.0, **more: float
) -> Iterator[Told]:
    """Episodes of as many instruments."""
    for n in range(count):
        at = began + n * spread_s / count
        yield Told(
            at,
            f"{rule[0]}{int(began):03d}{n:04d}",
            0,
            rule,
            severity,
            "fired",
            f"{rule[0]}{n}",
            5000.0 + n,
            **more,
        )


def own_delay(desk: SimulatedReceiver, rule: str) -> list[float]:
    """How long each alert of a rule waited for its own message; infinite for those without one."""
    return [row.done_at - row.told.at for row in desk.rows if row.told.rule == rule]


@pytest.mark.parametrize("edits", [True, False])
def test_a_market_close(edits: bool) -> None:
    """200 feeds go quiet within a minute, and all rise to critical; then a critical trade every 10 s."""
    desk = receiver(20, 1.0, edits=edits, parallel=2)
    told = list(flood(200, "stale_feed", "warning", 0.0, 60.0))
    told = [
        each if each.at < 30.0 else replace(each, severity="critical")  # half of the log is silent by then
        for each in told
    ]
    told += [
        replace(each, at=30.5, number=1, severity="critical", transition="updated")
        for each in told
        if each.severity == "warning"
    ]
    told += flood(30, "fat_finger", "critical", 60.0, 300.0)
    run(desk, told + heartbeats(360.0))
    check(desk, 20, edits=edits)
    assert max(own_delay(desk, "fat_finger")) < 5.0


@pytest.mark.parametrize("backlog", [0, 1_000])
@pytest.mark.parametrize("takes_s", [0.02, 1.0])
def test_sixty_criticals_in_ten_seconds(backlog: int, takes_s: float) -> None:
    desk = receiver(20, takes_s, edits=True)
    told = list(flood(backlog, "odd_tape", "critical", behind_s=200_000.0))
    told += [
        replace(each, symbol=f"S{n % 50}")
        for n, each in enumerate(flood(60, "fat_finger", "critical", 1.0, 10.0))
    ]
    run(desk, told)
    check(desk, 20, edits=True)
    rows = [row for row in desk.rows if row.told.rule == "fat_finger"]
    told_after = [(row if row.instead is None else row.instead).done_at - row.told.at for row in rows]
    assert max(told_after) < 13.0


def test_criticals_are_no_part_of_the_cap() -> None:
    desk = receiver(20, 0.1, edits=True)
    run(desk, [*flood(40, "odd_tape", "warning"), *flood(CRITICALS, "fat_finger", "critical", 1.0, 30.0)])
    check(desk, 20, edits=True)
    criticals = [row for row in desk.rows if row.told.rule == "fat_finger"]
    assert [row.state for row in criticals] == ["done"] * CRITICALS
    assert max(own_delay(desk, "fat_finger")) < 1.0
    assert sum(row.state == "done" for row in desk.rows if row.told.rule == "odd_tape") >= 19


def test_two_hundred_rises_do_not_hold_back_a_critical_trade() -> None:
    desk = receiver(20, 1.0, edits=True)
    told = list(flood(200, "stale_feed", "warning", 0.0, 10.0))
    told += [replace(each, at=100.0, number=1, severity="critical", transition="updated") for each in told]
    told += flood(1, "fat_finger", "critical", 101.0)
    run(desk, told)
    check(desk, 20, edits=True)
    assert max(own_delay(desk, "fat_finger")) < 5.0
    rises = [row for row in desk.rows if row.told.number == 1]
    assert all(row.state in ("done", "summarised") for row in rises)
    assert max((row.instead or row).done_at for row in rises) < 112.0


def test_one_instrument_in_a_rage_leaves_room_for_the_others() -> None:
    """Each instrument's first comes before any instrument's second."""
    desk = receiver(20, 1.0, edits=True)
    told = [replace(each, symbol="MAD") for each in flood(40, "fat_finger", "critical")]
    told += flood(3, "fat_finger", "critical", 2.0)
    run(desk, told)
    check(desk, 20, edits=True)
    others = [row for row in desk.rows if row.told.symbol in ("f0", "f1", "f2")]
    assert max((row.instead or row).done_at for row in others) <= 9.0  # four are on their way, a second each
    own = [row.started_at for row in others if row.state == "done"]
    mad = [row.started_at for row in desk.rows if row.told.symbol == "MAD" and row.state == "done"]
    assert len(own) >= 2
    assert not [at for at in mad if 2.0 < at < max(own)]


def test_edits_take_no_place_of_messages_and_messages_none_of_edits() -> None:
    desk = receiver(20, 0.3, edits=True)
    known = list(flood(15, "crossed_book", "warning"))
    told = known + [
        replace(each, at=60.0 + 30.0 * number, number=number, transition="updated")
        for each in known
        for number in (1, 2, 3)
    ]
    told += flood(20, "fat_finger", "warning", 89.0)
    run(desk, told)
    check(desk, 20, edits=True)
    assert max(own_delay(desk, "fat_finger")) < 10.0
    updates = [row for row in desk.rows if row.told.number]
    assert max(row.done_at - row.told.at for row in updates) < 15.0


def test_where_nothing_can_be_edited_ends_come_after_beginnings_but_they_come() -> None:
    """A flood of beginnings that never ends: after a minute, ends get one place in five, or are listed."""
    desk = receiver(20, 0.02, edits=False)
    known = list(flood(10, "crossed_book", "warning"))
    told = known + [replace(each, at=100.0, number=1, transition="resolved") for each in known]
    told += flood(1_200, "fat_finger", "warning", 70.0, 600.0)
    run(desk, told)
    check(desk, 20, edits=False)
    ends = [row for row in desk.rows if row.told.transition == "resolved"]
    assert all(row.state == "done" or "are over:" in row.instead.text for row in ends)
    assert max((row.instead or row).done_at for row in ends) < 400.0


@pytest.mark.parametrize("cap", [1, 2, 4, 20])
def test_no_message_claims_for_ever_that_it_goes_on(cap: int) -> None:
    """However small the cap and long the storm, ends of what was announced are told; others have room."""
    desk = receiver(cap, 0.02, edits=False)
    began = [
        *flood(150, "fat_finger", "critical", 0.0, 900.0),
        *flood(150, "crossed_book", "warning", 0.0, 900.0),
    ]
    ended = [replace(each, at=each.at + 24.0, number=1, transition="resolved") for each in began]
    run(desk, [*began, *ended])
    check(desk, cap, edits=False)
    told = {row.told.alert_id for row in desk.rows if row.state == "done" and not row.told.number}
    ends = [row for row in desk.rows if row.told.number and row.told.alert_id in told]
    assert len(ends) > 150
    assert max((row.instead or row).done_at - row.told.at for row in ends) < 5 * MINUTE_S
    lists = [row for row in desk.rows if "are over:" in row.text]
    assert all(
        line.startswith("• ") and "(over)" not in line for row in lists for line in row.text.split("\n")[1:]
    )
    of_beginnings = [row.done_at for row in desk.rows if "more than desk takes" in row.text]
    assert cap > 5 or max(b - a for a, b in pairwise(of_beginnings)) < 5 * MINUTE_S


def test_what_began_late_and_goes_on_is_told_when_it_is_live_again() -> None:
    desk = receiver(20, 0.02, edits=True)
    old = list(flood(5, "crossed_book", "critical", behind_s=200_000.0))
    told = old + [replace(each, at=100.0, number=1, transition="updated", behind_s=0.0) for each in old[:2]]
    told += [replace(each, at=101.0, number=1, transition="resolved", behind_s=0.0) for each in old[2:]]
    told += [replace(each, at=140.0, number=2, transition="resolved", behind_s=0.0) for each in old[:2]]
    run(desk, told)
    check(desk, 20, edits=True)
    (digest,) = [row for row in desk.rows if row.told.rule == DELIVERY_DIGEST]
    assert "2d 7h late" in digest.text
    assert digest.done_at < 10.0
    live = [row for row in desk.rows if row.told.number]
    assert all(row.state == "done" for row in live)


@pytest.mark.parametrize("edits", [True, False])
def test_a_critical_that_goes_on_live_waits_for_no_digest(edits: bool) -> None:
    desk = receiver(20, 0.02, edits=edits)
    told = list(flood(5, "stale_feed", "warning", behind_s=200_000.0))
    old = list(flood(3, "fat_finger", "critical", 8.0, behind_s=400.0))
    told += [*old, replace(old[1], at=10.0, number=1, transition="updated", behind_s=0.0)]
    run(desk, told)
    check(desk, 20, edits=edits)
    assert [row.done_at < 11.0 for row in desk.rows if row.told.alert_id == old[1].alert_id] == [True, True]


def test_late_ends_of_what_the_receiver_knows_are_sent() -> None:
    desk = receiver(20, 0.02, edits=True)
    known = list(flood(5, "crossed_book", "warning"))
    told = known + [
        replace(each, at=100.0, number=1, transition="resolved", behind_s=200_000.0) for each in known
    ]
    told += flood(50, "fat_finger", "warning", 100.0, behind_s=200_000.0)
    run(desk, told)
    check(desk, 20, edits=True)
    ends = [row for row in desk.rows if row.told.transition == "resolved"]
    assert all(row.state == "done" and row.done_at < 102.0 for row in ends)


def test_a_summary_that_is_too_long_for_slack_becomes_several() -> None:
    desk = receiver(20, 0.02, edits=True)
    told = [
        replace(each, symbol="&" * 70 + str(n)) for n, each in enumerate(flood(300, "fat_finger", "critical"))
    ]
    run(desk, told)
    check(desk, 20, edits=True)
    texts = [row.text for row in desk.rows if row.text]
    assert len(texts) > 3
    assert max(len(text.replace("&", "&amp;")) for text in texts) < 12_000
    assert all(line.count("fat_finger") == 1 for text in texts for line in text.split("\n")[1:])
    assert max((row.instead or row).done_at for row in desk.rows) < PATIENCE_S


def test_without_a_cap_each_is_sent_itself() -> None:
    desk = receiver(20, 1.0, edits=False)
    desk.stages = build_stages(
        StageSettings(Router(RouteSettings.model_validate({}), ("desk",)), {"desk": None})
    )
    told = [*flood(50, "fat_finger", "critical"), *flood(9, "odd_tape", "warning", 1.0, behind_s=9e9)]
    run(desk, told)
    assert {row.state for row in desk.rows} == {"done"}
    assert len(desk.rows) == 59
