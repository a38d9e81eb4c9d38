"""What `check` says of rules: which window has not passed, and what stands in logs that never meet."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, records, trade
from pipeline_world import World, cycle, plan_of

from streamer.pipeline.rule_states import rule_states
from streamer.pipeline.state import restore, snapshot, status_document
from streamer.pipeline.task import Task

RULES = (
    "\n  sum: {when: volume_1h > 5}"
    "\n  mean: {when: size > 50 * size_mean_1h}"
    "\n  both: {when: return_bps_10s > 20 and volume_5m > 5}"
    "\n  none: {when: size > 5}\n"
)
SPLIT = (
    "\n  apart: {when: size > 9 and order_rate_10s > 5, on: trade}"
    "\n  orders: {when: size > 9 and order_rate_10s > 5, on: order}"
    "\n  halted: {when: state == halt}"
    '\n  by_account: {when: account_id == "x" and size > 5}\n'
)
TRADES = {"trade": frozenset({"price", "size"})}
ORDERS = {"order": frozenset({"order_id", "action", "side", "size", "price"})}


def shown(task: Task | None, rules: str = RULES, **more: object) -> dict[str, tuple[str, str]]:
    plan = plan_of(rules, "")
    statuses = [] if task is None else [{"topic": "t", "partition": 0, **status_document(task)}]
    states = rule_states(plan, statuses, timers=True, **more)  # type: ignore[arg-type]
    return {state.rule: (state.shown, state.reason) for state in states}


def ran_for(seconds: int, folder: Path) -> Task:
    world = World(folder, plan_of(RULES, ""))
    read = records([(T0 + s * S, trade(T0 + s * S, 100.0)) for s in range(0, seconds + 1, 10)])
    world.run(ListSource([MemoryLog(LOG, read)], cycle([6])))
    return world.seen[-1].task


def test_a_window_that_has_not_passed_says_how_much_is_left(tmp_path: Path) -> None:
    assert shown(None)["sum"] == ("warming, 1h left", "the daemon has not consumed anything yet")
    young = ran_for(130, tmp_path / "young")
    states = shown(young)
    assert states["sum"] == ("warming, 58m left", "volume_1h has 2m10s of 1h so far")
    assert states["mean"] == (
        "warming, 58m left",
        "it can fire, but size_mean_1h rests on 2m10s of 1h so far",
    )
    assert states["both"] == ("warming, 3m left", "volume_5m has 2m10s of 5m so far")
    assert states["none"] == ("active", "")
    again = restore(young.plan, young.partition, snapshot(young))
    assert shown(again) == states, "it is in the checkpoint"
    assert shown(ran_for(3_610, tmp_path / "old"))["sum"] == ("active", "")


def test_a_feature_that_a_reload_adds_warms_anew(tmp_path: Path) -> None:
    task = ran_for(400, tmp_path / "store")
    more = RULES + "\n  later: {when: volume_10m > 5}\n"
    reloaded = restore(plan_of(more, ""), task.partition, snapshot(task))
    states = shown(reloaded, more)
    assert states["later"][0] == "warming, 10m left"
    assert states["both"][0] == "active"


def test_names_of_different_logs_never_meet() -> None:
    sampled = {"xex.trades": TRADES, "xex.orders": ORDERS}
    states = shown(None, SPLIT, sampled=sampled)
    assert states["apart"] == (
        "inactive",
        "size (xex.trades) and order_rate_10s (xex.orders) never meet; join: [xex.trades, xex.orders] would "
        "make one log of them",
    )
    assert states["orders"][0] == "warming, 10s left"
    assert states["halted"][0] == "warming", "a halt may still come"
    assert "no state among the newest records" in states["halted"][1]
    assert states["by_account"] == ("inactive", "missing account_id (in none of the newest records)")
    assert shown(None, SPLIT, sampled={"all": {**TRADES, **ORDERS}})["apart"][0].startswith("warming")


def test_what_the_daemon_has_seen_decides_over_a_sample() -> None:
    plan, number = plan_of(SPLIT, ""), count()

    def status(topic: str, seen: dict[str, frozenset[str]]) -> dict[str, object]:
        document = status_document(Task(plan, LOG))
        fields = sorted(frozenset[str]().union(*seen.values()))
        return {**document, "topic": topic, "partition": next(number), "kinds": list(seen), "seen": fields}

    split = [status("xex.trades", TRADES), status("xex.orders", ORDERS)]
    apart, *_ = rule_states(plan, split, timers=True)
    assert apart.reason.startswith("size (xex.trades) and order_rate_10s (xex.orders) never meet; join: ")
    partitions = [status("xex", TRADES), status("xex", ORDERS)]
    apart, *_ = rule_states(plan, partitions, timers=True)
    assert apart.reason == (
        "size (xex[2]) and order_rate_10s (xex[3]) never meet; join: {topics: [xex], partitions: all} would "
        "make one log of them"
    )
    together = [status("xex", {**TRADES, **ORDERS})]
    apart, *_ = rule_states(plan, together, timers=True, sampled={"xex": TRADES})
    assert apart.state != "inactive"


def test_mappings_that_never_meet_are_inactive_before_anything_is_read() -> None:
    from streamer.config.load import load_text
    from streamer.pipeline.compile import compile_plan

    mapping = "{event_type: %s, symbol: s, ts_event: {path: t, unit: ms}, venue: {constant: x}, %s}"
    trades = mapping % ("trade", "trade: {price: p, size: q}")
    quotes = mapping % ("quote", "quote: {bid_price: b, bid_size: c, ask_price: d, ask_size: e}")
    plan = compile_plan(
        load_text(
            f"source: {{kafka: {{bootstrap: 'x:1'}}, topics: "
            f"[{{match: a, format: {trades}}}, {{match: b, format: {quotes}}}]}}\n"
            "rules: {x: {when: size > 5 and spread_bps > 3}, y: {when: size > 5}}\n"
        )
    )
    x, y = rule_states(plan, [], timers=True)
    assert x.state == "inactive"
    assert x.reason == "size (a) and spread_bps (b) never meet; join: [a, b] would make one log of them"
    assert y.state == "warming"


def test_a_rule_on_events_that_no_topic_gives_says_which_are_missing() -> None:
    rules = "\n  beats: {when: message_rate_10s > 5, on: heartbeat}\n"
    state, reason = shown(None, rules, sampled={"t": TRADES})["beats"]
    assert state.startswith("warming"), "one may still come"
    assert "no heartbeat among the newest records" in reason
