"""The tables of `tapewatch check`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from alerts.plain_text import one_line
from alerts.receivers.safe_console import LineTable
from streamer.cli.output import CompileBar

if TYPE_CHECKING:
    from streamer.app.join_report import JoinCheck
    from streamer.app.receiver_checks import ReceiverCheck
    from streamer.app.topic_checks import TopicCheck
    from streamer.pipeline.plan import Plan
    from streamer.pipeline.rule_rates import RuleRate
    from streamer.pipeline.rule_states import RuleState

_FAILED, _FINE = Text("FAILED", style="bold red"), Text("ok", style="green")
_STYLES = {"active": "green", "warming": "yellow", "inactive": "red"}


def receiver_table(checks: Iterable[ReceiverCheck]) -> LineTable:
    """Each receiver, and what it said."""
    table = LineTable("receiver", "kind", "state", "found")
    for each in checks:
        state = _FINE if each.problem is None else _FAILED
        table.add_row(each.name, each.kind, state, _said([each.said], each.notes))
    return table


def topic_table(checks: Iterable[TopicCheck]) -> LineTable:
    """Each topic, and what the newest records say."""
    table = LineTable("topic", "partitions", "state", "newest records")
    for each in checks:
        fine = Text(f"ok, {each.dead:,} dead", style="yellow") if each.dead else _FINE
        state = _FAILED if each.problems else fine
        said = _said([each.said, *each.problems], each.notes)
        table.add_row(each.topic, str(each.partitions), state, said)
    return table


def join_table(checks: Iterable[JoinCheck]) -> LineTable:
    """Each join, and the logs that it makes."""
    table = LineTable("joined topics", "logs")
    for each in checks:
        table.add_row(each.name, _said([each.logs], each.notes))
    return table


def state_table(states: Iterable[RuleState]) -> LineTable:
    """Each rule and drift watch, whether it can fire, and why not."""
    table = LineTable("rule", "state", "reason")
    for state in states:
        table.add_row(state.rule, Text(state.shown, _STYLES[state.state]), state.reason)
    return table


def rate_table(rates: Sequence[RuleRate]) -> LineTable:
    """How often each rule has fired, and was expected to."""
    table = LineTable("rule", "alerts so far", "expected", "actual / expected")
    for rate in rates:
        ratio = "" if rate.ratio is None else f"{rate.ratio:.2f}"
        table.add_row(rate.rule, rate.so_far, rate.asked_for, ratio)
    return table


def detector_table(
    plan: Plan, statuses: Sequence[Mapping[str, Any]], costs: Mapping[str, float | None]
) -> LineTable:
    """Each detector with its warm-up and its cost, which is measured here unless it is among `costs`."""
    from streamer.pipeline.compiling import shown
    from streamer.pipeline.costs import cost_us
    from streamer.pipeline.detector_states import detector_states

    table = LineTable("detector", "model", "warm-up left", "us per event (measured here)")
    for state in detector_states(plan, statuses):
        if state.name in costs:
            cost = costs[state.name]
        else:
            with shown(CompileBar()):
                cost = cost_us(state.name, plan.detectors[state.name])
        table.add_row(state.name, state.model, state.warm_up, _cost(cost))
    return table


def _cost(cost_us: float | None) -> str:
    if cost_us is None:
        return "not measured"
    return f"{cost_us:,.2g}" if cost_us < 10 else f"{cost_us:,.0f}"


def _said(lines: Sequence[str], notes: Sequence[str]) -> Text:
    return Text("\n".join(one_line(line) for line in (*lines, *(f"note: {note}" for note in notes))))
