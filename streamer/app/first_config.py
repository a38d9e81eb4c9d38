"""A first configuration: made of a preset and a look at what a topic holds."""

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
"""The formats that need no mapping, and so can be looked at a topic with."""

_USUAL_VENUE: Mapping[str, str] = {"binance": "binance"}
_A_VENUE = "main"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What a topic holds, as a preset reads it.

    Parameters
    ----------
    records
        How many records were looked at.
    venue
        The venue that its settings have to name, None where the events do.
    kinds
        Events by kind.
    fields
        The event fields that any of them has.
    instruments
        In order of appearance.
    refused, ignored
        Records that cannot be used by reason, and messages that the preset knows but does not use by name.
    """

    records: int
    venue: str | None
    kinds: Mapping[str, int]
    fields: frozenset[str]
    instruments: tuple[Instrument, ...]
    refused: Mapping[str, int]
    ignored: Mapping[str, int]


def look(preset: str, topic: str, venue: str | None, records: Sequence[Record]) -> Look:
    """Read records with a preset.

    Parameters
    ----------
    preset
        One of `PRESETS`.
    topic
        Where they are from.
    venue
        The venue to give to events that name none, None to find out whether one is needed.
    records
        The records; of none at all nothing is known but what the preset can provide.

    Raises
    ------
    TapewatchError
        When the preset makes nothing of any of them; the message says which one would.
    """
    read = _format(preset)
    if venue is None and read.needs_venue:
        venue = _USUAL_VENUE.get(preset, _A_VENUE)
    if not records:
        provided = frozenset[str]().union(*read.provides.values())
        return Look(0, venue, {}, provided, (), {}, {})
    decoded = read.decode(records, DecodeContext(topic, venue))
    reasons = Counter(letter.reason for letter in decoded.dead)
    if venue is None and reasons[Reason.NO_VENUE]:
        return look(preset, topic, _A_VENUE, records)
    if not len(decoded.batch) and not decoded.ignored:
        raise TapewatchError(_unreadable(preset, topic, venue, records, reasons))
    kinds = Counter(KIND_NAMES[kind] for kind in decoded.batch.kind.tolist())
    return Look(
        len(records),
        venue,
        dict(kinds.most_common()),
        _fields(decoded.batch),
        tuple(decoded.batch.instruments[i] for i in dict.fromkeys(decoded.batch.instrument.tolist())),
        dict(reasons.most_common()),
        dict(decoded.ignored),
    )


def first_configuration(preset: str, topic: str, bootstrap: str, seen: Look) -> str:
    """The text of a configuration with comments, which `check` finds right.

    Parameters
    ----------
    preset, topic, bootstrap
        What was looked at.
    seen
        What was found.
    """
    extends, idle = _sets(seen.fields)
    scored = {"price", "size"} <= seen.fields
    parts = [
        _head(preset, topic, seen),
        _source(preset, topic, bootstrap, seen.venue),
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
    context = DecodeContext(topic, venue or _A_VENUE)
    others = {name: len(_format(name).decode(records, context).batch) for name in PRESETS if name != preset}
    best = max(others, key=lambda name: others[name])
    why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    advice = (
        f"the preset {best} reads it: tapewatch init {best} --topic {topic}"
        if others[best]
        else "for fields of your own start from examples/generic.yaml"
    )
    return f"none of {len(records):,} records of topic '{topic}' is {preset} ({why}); {advice}"


def _fields(batch: Batch) -> frozenset[str]:
    numbers = {name for name, column in batch.numbers.items() if not np.isnan(column).all()}
    return frozenset(numbers | {name for name, codes in batch.texts.items() if (codes != ABSENT).any()})


def _sets(fields: frozenset[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The sets of which any rule finds its fields; their rules that do not, with what those miss."""
    extends: list[str] = []
    idle: dict[str, tuple[str, ...]] = {}
    for name in set_names():
        missing = {
            rule: tuple(field for field in needed if field not in fields)
            for rule, needed in _needs(name).items()
        }
        if all(missing.values()):
            continue
        extends.append(name)
        idle |= {rule: names for rule, names in missing.items() if names}
    return extends, idle


@cache
def _needs(name: str) -> Mapping[str, tuple[str, ...]]:
    """The event fields that each rule of a set cannot do without."""
    alone = f"source: {{files: [{{match: '*', format: tapewatch}}]}}\nrules: {{extends: [{name}]}}"
    plan = compile_plan(load_text(alone))
    return {rule.name: fields_of(rule.condition.names, {}) for rule in plan.rules}


def _head(preset: str, topic: str, seen: Look) -> str:
    lines = [f"tapewatch on the topic {topic}, read as {preset}."]
    if seen.records:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in seen.kinds.items()) or "none"
        lines.append(f"Written after a look at {seen.records:,} of its records: events: {kinds}.")
        shown = ", ".join(" ".join(instrument) for instrument in seen.instruments[:_SHOWN])
        more = len(seen.instruments) - _SHOWN
        lines.append(f"Instruments: {shown or 'none'}{f' and {more:,} more' if more > 0 else ''}.")
        lines.append(f"Fields: {', '.join(sorted(seen.fields)) or 'none'}.")
        for what, counts in (("Cannot be used", seen.refused), ("Known and not used", seen.ignored)):
            if counts:
                lines.append(f"{what}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}.")
    else:
        lines.append("Written without a look at its records.")
    lines += [
        "",
        "  tapewatch check      what is wrong, and what each rule waits for",
        "  tapewatch run        until you stop it; kill -HUP takes changes over",
        "",
        "Every key that is left out has a default; an unknown one is refused.",
    ]
    return "".join(f"# {_printable(line)}".rstrip() + "\n" for line in lines)


def _printable(line: str) -> str:
    """Symbols come from the topic: none of them may end the comment."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _source(preset: str, topic: str, bootstrap: str, venue: str | None) -> str:
    entry = f"match: {_text(topic)}, format: {preset}" + (f", venue: {_text(venue)}" if venue else "")
    return f"""\
source:
  kafka:
    bootstrap: {_text(bootstrap)}  # host:port, or a list of them
    group: tapewatch
    start: latest                    # or earliest, or a time; only where the store knows no offset yet
  topics:                            # patterns such as "spot.*" match several
    - {{{entry}}}
"""


_DETECTORS = """\
detectors:
  tape:                              # how unusual the last ten seconds are, learnt as it goes
    model: RobustZ
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
"""

_ODD_TAPE = """\
  # A score so high comes once a day for its instrument; the floor keeps a quiet night from making
  # small things look large.
  odd_tape:
    when: tape.rarity > 1d and abs(return_bps_10s) > 10bps
    clear: 60s                       # resolved when not true for so long
    severity: warning
    text: "{symbol} moved {return_bps_10s:+.1f} bps in 10 s, once in {tape.rarity}"
"""

_RECEIVERS = """\
# Secrets are never written here: {env: NAME} or {file: PATH}. slack-app.yaml makes the Slack app.
receivers:
  desk:
    slack: {channel: "#tapewatch", token: {env: SLACK_BOT_TOKEN}}
  # ops:
  #   webhook: {url: "https://ops.example.com/hooks/tapewatch", secret: {env: OPS_WEBHOOK_SECRET}}

route:
  to: [desk]                         # what no branch below takes
  # routes:                          # the first that is true decides
  #   - {when: severity == critical, to: [desk, ops]}
"""


def _rules(extends: Sequence[str], idle: Mapping[str, Sequence[str]], scored: bool) -> str:
    lines = ["rules:", "  # Ready-made rules. To change one, name it below with what is different;"]
    lines.append("  # to leave one out: {disabled: true}.")
    lines.append(f"  extends: [{', '.join(extends)}]")
    if idle:
        lines.append("  # Inactive until events have these fields:")
        lines += [f"  #   {rule}: {', '.join(names)}" for rule, names in idle.items()]
    return "\n".join(lines) + "\n" + ("\n" + _ODD_TAPE if scored else "")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
