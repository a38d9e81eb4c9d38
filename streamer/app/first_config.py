"""Writes a first configuration from a preset and a sample of records of one or several topics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache

from alerts.catalogue.files import set_names
from streamer.app.preset_sample import TopicSample
from streamer.app.shared_instruments import SharedInstruments
from streamer.config.load import load_text
from streamer.pipeline.compile import compile_plan, fields_of

_INSTRUMENTS_LISTED = 5


def first_configuration(preset: str, topics: Sequence[str], bootstrap: str, sample: TopicSample) -> str:
    """The text of a commented configuration, which passes `check`.

    Parameters
    ----------
    preset, topics, bootstrap
        The preset, the topics, and the broker.
    sample
        What the topics hold.
    """
    extends, idle = _sets(sample.fields)
    scored = {"price", "size"} <= sample.fields
    parts = [
        _head(preset, topics, sample),
        _source(preset, topics, bootstrap, sample),
        "store: tapewatch.db                  # what was consumed, decided and sent\n",
        _DETECTORS if scored else "",
        _rules(extends, idle, scored),
        _RECEIVERS,
    ]
    text = "\n".join(part for part in parts if part)
    compile_plan(load_text(text, "the new configuration"))
    return text


def _sets(fields: frozenset[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The sets with any rule that has all its fields; their other rules, with the fields those lack."""
    extends: list[str] = []
    idle: dict[str, tuple[str, ...]] = {}
    for name in set_names():
        missing = {
            rule: tuple(field for field in required if field not in fields)
            for rule, required in _required_fields(name).items()
        }
        if all(missing.values()):
            continue
        extends.append(name)
        idle |= {rule: names for rule, names in missing.items() if names}
    return extends, idle


@cache
def _required_fields(name: str) -> Mapping[str, tuple[str, ...]]:
    """The event fields that each rule of a set requires."""
    document = f"source: {{files: [{{match: '*', format: tapewatch}}]}}\nrules: {{extends: [{name}]}}"
    plan = compile_plan(load_text(document))
    return {rule.name: fields_of(rule.condition.names, {}) for rule in plan.rules}


def _head(preset: str, topics: Sequence[str], sample: TopicSample) -> str:
    named = f"the topic {topics[0]}" if len(topics) == 1 else f"the topics {', '.join(topics)}"
    lines = [f"tapewatch on {named}, read as {preset}."]
    if sample.records:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sample.kinds.items()) or "none"
        lines.append(f"Written from a sample of {sample.records:,} of its records: events: {kinds}.")
        listed = ", ".join(" ".join(instrument) for instrument in sample.instruments[:_INSTRUMENTS_LISTED])
        more = len(sample.instruments) - _INSTRUMENTS_LISTED
        lines.append(f"Instruments: {listed or 'none'}{f' and {more:,} more' if more > 0 else ''}.")
        lines.append(f"Fields: {', '.join(sorted(sample.fields)) or 'none'}.")
        for label, counts in (("Cannot be used", sample.unusable), ("Known but not used", sample.ignored)):
            if counts:
                lines.append(f"{label}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}.")
    else:
        lines.append("Written without a sample of its records.")
    lines += [
        "",
        "  tapewatch check      what is wrong, and what each rule is waiting for",
        "  tapewatch run        runs until you stop it; kill -HUP reloads this file",
        "",
        "Every key that is left out has a default; an unknown one is refused.",
    ]
    return "".join(f"# {_printable(line)}".rstrip() + "\n" for line in lines)


def _printable(line: str) -> str:
    """The line without control characters: symbols come from the topic and must not end the comment."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _source(preset: str, topics: Sequence[str], bootstrap: str, sample: TopicSample) -> str:
    match = _text(topics[0]) if len(topics) == 1 else f"[{', '.join(map(_text, topics))}]"
    venue = f", venue: {_text(sample.venue)}" if sample.venue else ""
    entry = f"match: {match}, format: {preset}{venue}"
    return f"""\
source:
  kafka:
    bootstrap: {_text(bootstrap)}  # host:port, or a list of them
    group: tapewatch
    start: latest                    # or earliest, or a time; used while the store has no offset
  topics:                            # patterns such as "spot.*" match several
    - {{{entry}}}
{_join(sample.joins)}"""


def _join(joins: Sequence[SharedInstruments]) -> str:
    if not joins:
        return ""
    if any(each.join.partitions == "all" for each in joins):
        why = "an instrument is in several partitions of these; one log of all of them keeps it together"
    else:
        why = "these have the same instruments, in partitions of the same number: each number is one log"
    lines = [f"  # {why}"]
    if len(joins) == 1:
        return "\n".join([*lines, f"  join: {joins[0].written}\n"])
    return "\n".join([*lines, "  join:", *(f"    - {each.written}" for each in joins), ""])


_DETECTORS = """\
detectors:
  tape:                              # how unusual the last ten seconds are, learnt online
    model: RobustZ
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
"""

_ODD_TAPE = """\
  # Expected once a day for each instrument; the 10 bps floor keeps small moves in a quiet night from
  # raising alerts.
  odd_tape:
    when: tape.rarity > 1d and abs(return_bps_10s) > 10bps
    clear: 60s                       # resolved when not true for this long
    severity: warning
    text: "{symbol} moved {return_bps_10s:+.1f} bps in 10 s, once in {tape.rarity}"
"""

_RECEIVERS = """\
# Never write secrets here: use {env: NAME} or {file: PATH}. slack-app.yaml is the manifest of the Slack app.
receivers:
  desk:
    slack: {channel: "#tapewatch", token: {env: SLACK_BOT_TOKEN}}
  # ops:
  #   webhook: {url: "https://ops.example.com/hooks/tapewatch", secret: {env: OPS_WEBHOOK_SECRET}}

route:
  to: [desk]                         # unless a branch below matches
  # routes:                          # the first that matches decides
  #   - {when: severity == critical, to: [desk, ops]}
"""


def _rules(extends: Sequence[str], idle: Mapping[str, Sequence[str]], scored: bool) -> str:
    lines = ["rules:", "  # Ready-made rules. To change one, repeat its name below with what differs;"]
    lines.append("  # to leave one out: {disabled: true}.")
    lines.append(f"  extends: [{', '.join(extends)}]")
    if idle:
        lines.append("  # Inactive until events have these fields:")
        lines += [f"  #   {rule}: {', '.join(names)}" for rule, names in idle.items()]
    return "\n".join(lines) + "\n" + ("\n" + _ODD_TAPE if scored else "")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
