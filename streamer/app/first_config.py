"""Writes a first configuration from a preset and a sample of a topic's records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from alerts.catalogue.files import set_names
from streamer.config.load import load_text
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import KIND_NAMES
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, DecodeContext, Format, build_format
from streamer.errors import TapewatchError
from streamer.messages.batch import Batch, Instrument
from streamer.messages.records import Record
from streamer.messages.texts import ABSENT
from streamer.pipeline.compile import compile_plan, fields_of

PRESETS = tuple(name for name in FORMATS if name != "generic")
"""The formats that need no mapping, so that a topic can be sampled with them."""

_USUAL_VENUE: Mapping[str, str] = {"binance": "binance"}
_DEFAULT_VENUE = "main"
_INSTRUMENTS_LISTED = 5


@dataclass(frozen=True, slots=True)
class TopicSample:
    """What a sample of a topic's records holds, as a preset reads it.

    Parameters
    ----------
    records
        How many records were sampled.
    venue
        The venue that its settings must name, None if the events do.
    kinds
        Number of events by kind.
    fields
        The event fields that occur.
    instruments
        In order of appearance.
    unusable, ignored
        Number of unusable records by reason, and of messages that the preset knows but does not use, by name.
    """

    records: int
    venue: str | None
    kinds: Mapping[str, int]
    fields: frozenset[str]
    instruments: tuple[Instrument, ...]
    unusable: Mapping[str, int]
    ignored: Mapping[str, int]


def inspect_records(preset: str, topic: str, venue: str | None, records: Sequence[Record]) -> TopicSample:
    """Decode sampled records with a preset.

    Parameters
    ----------
    preset
        One of `PRESETS`.
    topic
        The topic they are from.
    venue
        The venue of events that name none, None to find out whether one is needed.
    records
        The records; without any, the fields are all that the preset can provide.

    Raises
    ------
    TapewatchError
        When the preset cannot read any of them; the message says which one can.
    """
    file_format = _format(preset)
    if venue is None and file_format.needs_venue:
        venue = _USUAL_VENUE.get(preset, _DEFAULT_VENUE)
    if not records:
        provided = frozenset[str]().union(*file_format.provides.values())
        return TopicSample(0, venue, {}, provided, (), {}, {})
    decoded = file_format.decode(records, DecodeContext(topic, venue))
    reasons = Counter(letter.reason for letter in decoded.dead)
    if venue is None and reasons[Reason.NO_VENUE]:
        return inspect_records(preset, topic, _DEFAULT_VENUE, records)
    if not len(decoded.batch) and not decoded.ignored:
        raise TapewatchError(_unreadable(preset, topic, venue, records, reasons))
    kinds = Counter(KIND_NAMES[kind] for kind in decoded.batch.kind.tolist())
    return TopicSample(
        len(records),
        venue,
        dict(kinds.most_common()),
        _fields(decoded.batch),
        tuple(decoded.batch.instruments[i] for i in dict.fromkeys(decoded.batch.instrument.tolist())),
        dict(reasons.most_common()),
        dict(decoded.ignored),
    )


def first_configuration(preset: str, topic: str, bootstrap: str, sample: TopicSample) -> str:
    """The text of a commented configuration, which passes `check`.

    Parameters
    ----------
    preset, topic, bootstrap
        The preset, the topic, and the broker.
    sample
        What the topic holds.
    """
    extends, idle = _sets(sample.fields)
    scored = {"price", "size"} <= sample.fields
    parts = [
        _head(preset, topic, sample),
        _source(preset, topic, bootstrap, sample.venue),
        "store: tapewatch.db                  # what was consumed, decided and sent\n",
        _DETECTORS if scored else "",
        _rules(extends, idle, scored),
        _RECEIVERS,
    ]
    text = "\n".join(part for part in parts if part)
    compile_plan(load_text(text, "the new configuration"))
    return text


def _format(preset: str) -> Format:
    return build_format(FormatSettings.model_validate(preset))


def _unreadable(
    preset: str, topic: str, venue: str | None, records: Sequence[Record], reasons: Mapping[str, int]
) -> str:
    context = DecodeContext(topic, venue or _DEFAULT_VENUE)
    others = {name: len(_format(name).decode(records, context).batch) for name in PRESETS if name != preset}
    best = max(others, key=lambda name: others[name])
    counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    advice = (
        f"the preset {best} reads it: tapewatch init {best} --topic {topic}"
        if others[best]
        else "to map your own fields, start from examples/generic.yaml"
    )
    return f"none of {len(records):,} records of topic '{topic}' is {preset} ({counts}); {advice}"


def _fields(batch: Batch) -> frozenset[str]:
    numbers = {name for name, column in batch.numbers.items() if not np.isnan(column).all()}
    return frozenset(numbers | {name for name, codes in batch.texts.items() if (codes != ABSENT).any()})


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


def _head(preset: str, topic: str, sample: TopicSample) -> str:
    lines = [f"tapewatch on the topic {topic}, read as {preset}."]
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


def _source(preset: str, topic: str, bootstrap: str, venue: str | None) -> str:
    entry = f"match: {_text(topic)}, format: {preset}" + (f", venue: {_text(venue)}" if venue else "")
    return f"""\
source:
  kafka:
    bootstrap: {_text(bootstrap)}  # host:port, or a list of them
    group: tapewatch
    start: latest                    # or earliest, or a time; used while the store has no offset
  topics:                            # patterns such as "spot.*" match several
    - {{{entry}}}
"""


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
