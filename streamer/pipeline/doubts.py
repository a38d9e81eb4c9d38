"""What can hardly be meant in the rules of a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.for_clause import parse_hold
from alerts.language.doubts import bounds_of, doubts
from alerts.language.errors import error_at
from alerts.rules import Rule
from streamer.config.errors import Path, Problem
from streamer.config.file import ConfigFile
from streamer.messages.batch import Kind
from streamer.pipeline.symbols import PlanSymbols

_SILENCE = "silence_s"


def rule_doubts(config: ConfigFile, rule: Rule, symbols: PlanSymbols) -> Iterator[Problem]:
    """Warnings about a rule, each with its place."""
    settings, of_rule = rule.settings, ("rules", rule.name)
    texts: list[tuple[Path, str]] = [((*of_rule, "when"), settings.when)]
    texts += [((*of_rule, "escalate", severity), text) for severity, text in settings.escalate.items()]
    for path, text in texts:
        for doubt in doubts(text, symbols):
            at = error_at(text, doubt.offset, doubt.message)
            yield config.problem(path, at.message, at.line, at.column)
    yield from _silence(config, rule, of_rule)
    yield from _escalations(config, rule, symbols, of_rule)
    yield from _times(config, rule, of_rule)


def _silence(config: ConfigFile, rule: Rule, of_rule: Path) -> Iterator[Problem]:
    if Kind.TIMER in rule.kinds:
        return
    for mention in rule.condition.mentions:
        name = mention.symbol.name
        if name == _SILENCE:
            message = (
                f"{name} on an event is the time since the event before it, so this cannot see that nothing "
                "comes: silence is seen on timers (on: timer)"
            )
        elif mention.symbol.kinds == {Kind.TIMER} and mention.symbol.source == "feature":
            message = f"{name} is computed on timers, and this rule is not evaluated on them (on: timer)"
        else:
            continue
        at = error_at(rule.when, mention.span.start, message)
        yield config.problem((*of_rule, "when"), message, at.line, at.column)


def _escalations(config: ConfigFile, rule: Rule, symbols: PlanSymbols, of_rule: Path) -> Iterator[Problem]:
    base = bounds_of(rule.when, symbols)
    if not base:
        return
    for severity, text in rule.settings.escalate.items():
        demanded = bounds_of(text, symbols)
        if not demanded:
            continue
        path = (*of_rule, "escalate", severity)
        if all(key in base and interval.covers(base[key]) for key, interval in demanded.items()):
            yield config.problem(
                path, f"true whenever the rule is: every alert is {severity} (give it a higher threshold)"
            )
        elif any(key in base and interval.also(base[key]).is_empty for key, interval in demanded.items()):
            yield config.problem(path, f"never true where the rule is: no alert becomes {severity}")


def _times(config: ConfigFile, rule: Rule, of_rule: Path) -> Iterator[Problem]:
    settings = rule.settings
    hold = parse_hold(settings.for_)
    if hold.m == 1 and hold.n > 1:
        message = (
            f"'{settings.for_}' is true at the first evaluation that is: leave 'for' out, or ask for more"
        )
        yield config.problem((*of_rule, "for"), message)
    engine = config.settings.engine
    for key, duration_of in (("for", hold.duration_ns), ("clear", rule.clear_ns), ("flap", rule.flap_ns)):
        if 0 < engine.forget_after_ns < duration_of:
            message = f"longer than engine.forget_after ({engine.forget_after}): it may be forgotten before"
            yield config.problem((*of_rule, key), message)
