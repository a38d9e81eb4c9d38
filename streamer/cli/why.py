"""`tapewatch why ID`: explains an alert or a near miss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from alerts.durations import spoken
from alerts.short_id import short_id
from alerts.subjects import subject_of
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Store, open_named_store
from streamer.cli.output import out_json, out_lines
from streamer.store.delivery_rows import PENDING
from streamer.store.near_misses import near_miss
from streamer.store.queries import Explained, explain, find_alert_id

_TIMER = "tick"  # the stored name of a timer
_INDENT = 13  # columns before what a line says


def why(
    alert_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of an alert or a near miss, or its first characters.")
    ],
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Explain why an alert was raised: event, features, scores, the rule with its values, versions.

    The id is in every message that was sent, and in the last column of `tapewatch alerts`. For a near miss
    (`tapewatch alerts --near-misses`) it shows the same, and what held it back.

    Example: `tapewatch why 3f9a0c`
    """
    database = open_named_store(config, store)
    full_id = find_alert_id(database, alert_id)
    miss = near_miss(database, full_id)
    if miss is not None:
        if as_json:
            out_json(miss)
        else:
            out_lines(_near_miss_lines(miss), _INDENT)
    for transition in explain(database, full_id):
        if as_json:
            out_json(asdict(transition))
        else:
            out_lines(_transition_lines(transition), _INDENT)


def _transition_lines(transition: Explained) -> list[str]:
    alert = transition.alert
    headline = f"{alert['transition']} #{alert['number']}  {_headline(alert)}"
    deliveries = [line for row in transition.deliveries for line in _delivery_lines(row)]
    return [headline, *_body(alert, transition.decision), *_behind(transition.behind_s), *deliveries, ""]


def _behind(behind_s: float | None) -> list[str]:
    if behind_s is None:
        return []
    if behind_s < 1:
        return ["  behind     nothing: it was found at the end of its log"]
    return [f"  behind     its log had records {spoken(behind_s)} newer when it was found"]


def _near_miss_lines(miss: Mapping[str, Any]) -> list[str]:
    held_by = miss["held_by"]
    return [
        f"near miss  {_headline(miss)}",
        f"  held by    {held_by}: {miss[held_by]}",
        *_body(miss, miss["decision"]),
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
        f"  id         {short_id(alert['id'])}",
        f"  text       {alert['text']}",
        f"  source     {where}",
    ]
    rule = decision.get("rule", {})
    if "when" in rule:
        lines.append(f"  rule       {rule['when']}")
    if "explained" in rule:
        lines.append(f"  with       {rule['explained']}")
    if rule.get("settings"):
        lines.append(f"  settings   {_pairs(_with_timer_kind(rule['settings']))}")
    lines += [
        f"  {part:<10} {_pairs(_with_timer_kind(decision[part]) if part == 'event' else decision[part])}"
        for part in ("event", "features", "scores", "rarities")
        if decision.get(part)
    ]
    if alert["detector"]:
        # the rarity is 0 for every score below the highest tenth
        rare = f", once in {spoken(alert['rarity_s'])}" if alert["rarity_s"] else ""
        lines.append(
            f"  detector   {alert['detector']} score {alert['score']}{rare}, model {alert['model_version']}"
        )
    if decision.get("versions"):
        lines.append(f"  versions   {_pairs(decision['versions'])}")
    return lines


def _with_timer_kind(values: Mapping[str, Any]) -> dict[str, Any]:
    renamed = dict(values)
    if renamed.get("kind") == _TIMER:
        renamed["kind"] = "timer"
    if "on" in renamed:
        renamed["on"] = ["timer" if kind == _TIMER else kind for kind in renamed["on"]]
    return renamed


def _subject(alert: Mapping[str, Any]) -> str:
    return subject_of(alert["venue"], alert["symbol"], "tapewatch")


def _delivery_lines(row: Mapping[str, Any]) -> list[str]:
    lines = [f"  delivery   {_delivery(row)}"]
    return [*lines, f"  answer     {row['answer']}"] if row["answer"] else lines


def _delivery(row: Mapping[str, Any]) -> str:
    state = f"{row['receiver']}: {row['state']}"
    held = f", {row['held_by']}" if row["held_by"] else ""
    if held and (row["state"] != PENDING or not row["attempts"]):
        return f"{state}{held}"
    attempts = f"{row['attempts']} attempt{'' if row['attempts'] == 1 else 's'}"
    error = f" ({row['error']})" if row["error"] else ""
    return f"{state} after {attempts}{error}{held}"


def _pairs(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}={_format_value(value)}" for name, value in values.items())


def _format_value(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
