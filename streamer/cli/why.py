"""`tapewatch why ID`: what an alert, or a near miss, was decided on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from alerts.durations import spoken
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Store, open_named_store
from streamer.cli.output import out
from streamer.store.near_misses import near_miss
from streamer.store.queries import Explained, explain, find_alert_id

_TIMER = "tick"  # as a timer is stored


def why(
    alert_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of an alert or a near miss, or its beginning.")
    ],
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say why an alert was raised: the event, features, score, the rule with its values, the versions.

    The id is in every message that was sent, and in the last column of `tapewatch alerts`. Of a near miss
    (`tapewatch alerts --near-misses`) it says the same, and what held it back.

    Example: `tapewatch why 3f9a0c`
    """
    database = open_named_store(config, store)
    found = find_alert_id(database, alert_id)
    missed = near_miss(database, found)
    if missed is not None:
        out(json.dumps(missed, ensure_ascii=False) if as_json else "\n".join(_missed(missed)))
    for transition in explain(database, found):
        if as_json:
            out(json.dumps(asdict(transition), ensure_ascii=False))
        else:
            out("\n".join(_lines(transition)))


def _lines(found: Explained) -> list[str]:
    alert = found.alert
    lines = [f"{alert['transition']} #{alert['number']}  {_headline(alert)}", *_body(alert, found.decision)]
    return [*lines, *(f"  delivery   {_delivery(row)}" for row in found.deliveries), ""]


def _missed(found: Mapping[str, Any]) -> list[str]:
    held_by = found["held_by"]
    return [
        f"near miss  {_headline(found)}",
        f"  held by    {held_by}: {found[held_by]}",
        *_body(found, found["decision"]),
        "",
    ]


def _headline(alert: Mapping[str, Any]) -> str:
    return f"{alert['rule']}  {alert['severity']}  {_subject(alert)}  {alert['ts_event']}"


def _body(alert: Mapping[str, Any], decision: Mapping[str, Any]) -> list[str]:
    where = ", ".join(
        f"{'timer' if name == _TIMER else name} {value}"
        for name, value in alert["source"].items()
        if value is not None
    )
    lines = [
        f"  id         {alert['id']}",
        f"  text       {alert['text']}",
        f"  source     {where}",
    ]
    rule = decision.get("rule", {})
    if "when" in rule:
        lines.append(f"  rule       {rule['when']}")
    if "explained" in rule:
        lines.append(f"  with       {rule['explained']}")
    if rule.get("settings"):
        lines.append(f"  settings   {_pairs(_shown_kinds(rule['settings']))}")
    lines += [
        f"  {part:<10} {_pairs(_shown_kinds(decision[part]) if part == 'event' else decision[part])}"
        for part in ("event", "features", "scores", "rarities")
        if decision.get(part)
    ]
    if alert["detector"]:
        # no time at all is what every score has that is not among the highest tenth
        rare = f", once in {spoken(alert['rarity_s'])}" if alert["rarity_s"] else ""
        lines.append(
            f"  detector   {alert['detector']} score {alert['score']}{rare}, model {alert['model_version']}"
        )
    if decision.get("versions"):
        lines.append(f"  versions   {_pairs(decision['versions'])}")
    return lines


def _shown_kinds(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(values)
    if shown.get("kind") == _TIMER:
        shown["kind"] = "timer"
    if "on" in shown:
        shown["on"] = ["timer" if kind == _TIMER else kind for kind in shown["on"]]
    return shown


def _subject(alert: Mapping[str, Any]) -> str:
    return " ".join(part for part in (alert["venue"], alert["symbol"]) if part) or "tapewatch"


def _delivery(row: Mapping[str, Any]) -> str:
    if row["held_by"]:
        return f"{row['receiver']}: {row['state']}, {row['held_by']}"
    attempts = f"{row['attempts']} attempt{'' if row['attempts'] == 1 else 's'}"
    error = f" ({row['error']})" if row["error"] else ""
    return f"{row['receiver']}: {row['state']} after {attempts}{error}"


def _pairs(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
