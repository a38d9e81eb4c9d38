"""`tapewatch alerts`: lists alerts and their deliveries from the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from alerts.durations import spoken
from alerts.receivers.safe_console import LineTable
from alerts.severity import SEVERITIES
from alerts.short_id import short_id
from alerts.subjects import subject_of
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Store, load_config, open_named_store
from streamer.cli.output import on_terminal, out, out_alert, out_json, out_lines, say
from streamer.errors import UsageError
from streamer.sources.start import StartAt
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.near_misses import near_misses
from streamer.store.queries import AlertFilter, alerts_and_lag, delivery_counts

_BEHIND_SHOWN_S = 1.0


def alerts(
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    rule: Annotated[str | None, typer.Option(help="Only alerts of this rule.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only alerts of this symbol.")] = None,
    severity: Annotated[
        str | None, typer.Option(help="Only this severity: info, warning or critical.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only alerts at or after this event time, such as 2026-01-31T09:30:00Z."),
    ] = None,
    only_open: Annotated[
        bool, typer.Option("--open", help="Only alerts of episodes that have not resolved.")
    ] = False,
    only_near_misses: Annotated[
        bool,
        typer.Option("--near-misses", help="Near misses instead: true, but held back by a rule's `for`."),
    ] = False,
    retry_parked: Annotated[
        str | None,
        typer.Option(metavar="RECEIVER", help="Retry this receiver's parked deliveries, then list."),
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List alerts from the store, newest last, and the state of their deliveries.

    Each line is one transition of an episode: it fired, was updated, or resolved. --near-misses lists near
    misses instead: events for which a rule was true but its `for` was not complete, at most one in 10 seconds
    per rule and instrument. A delivery is parked when its receiver has refused it for good.

    Examples: `tapewatch alerts --rule fat_finger --since 2026-01-31T09:30:00Z`,
    `tapewatch alerts --json | jq .text`, `tapewatch alerts --near-misses --rule odd_tape`,
    `tapewatch alerts --retry-parked desk`.
    """
    if only_near_misses and (only_open or retry_parked is not None):
        raise UsageError(
            "--near-misses can only be combined with"
            " --rule, --symbol, --severity, --since, --limit and --json"
        )
    if severity is not None and severity not in SEVERITIES:
        suggestion = did_you_mean(severity, SEVERITIES)
        raise UsageError(f"--severity: {severity!r} is not one of {', '.join(SEVERITIES)}{suggestion}")
    criteria = AlertFilter(
        rule=rule,
        symbol=symbol,
        severity=severity,
        since_ns=None if since is None else _time_ns(since),
        only_open=only_open,
    )
    database = open_named_store(config, store)
    if retry_parked is not None:
        _require_receiver(retry_parked, database, config if store is None else None)
        count = StoreDeliveries(database).unpark(retry_parked)
        say(_unparked(retry_parked, count))
    if only_near_misses:
        rows = near_misses(database, criteria, limit)
        behind: list[float | None] = []
    else:
        found = alerts_and_lag(database, criteria, limit)
        rows, behind = [body for body, _ in found], [behind_s for _, behind_s in found]
    if as_json:
        for row in rows:
            out_json(row)
        return
    if only_near_misses:
        _print_near_misses(rows)
        return
    _print_alerts(rows, behind)
    _print_deliveries(database)


def _unparked(receiver: str, count: int) -> str:
    if count == 0:
        return f"{receiver} has no parked deliveries"
    deliveries = "delivery" if count == 1 else "deliveries"
    return f"{count} parked {deliveries} to {receiver} will be retried by the daemon"


def _time_ns(text: str) -> int:
    try:
        return StartAt(timestamp=text).milliseconds * 1_000_000
    except ValueError as error:
        raise UsageError(f"--since: {text!r} is not a time (write 2026-01-31T09:30:00Z)") from error


def _print_alerts(rows: list[dict[str, Any]], behind: list[float | None]) -> None:
    if not rows:
        out("no alerts")
        return
    if on_terminal():
        for alert, behind_s in zip(rows, behind, strict=True):
            out_alert(alert, behind_s)
        return
    late = any((behind_s or 0) >= _BEHIND_SHOWN_S for behind_s in behind)
    table = _table("event time", "severity", "", "rule", "instrument", "text", *late * ["behind"], "id")
    for alert, behind_s in zip(rows, behind, strict=True):
        table.add_row(
            alert["ts_event"][:23],
            alert["severity"],
            alert["transition"],
            alert["rule"],
            subject_of(alert["venue"], alert["symbol"], "tapewatch"),
            " ".join(alert["text"].split("\n")),
            *late * [spoken(behind_s) if behind_s and behind_s >= _BEHIND_SHOWN_S else ""],
            short_id(alert["id"]),
        )
    out(table)


def _table(*columns: str) -> LineTable:
    table = LineTable()
    for column in columns:
        table.add_column(column, no_wrap=column in ("event time", "id"), overflow="fold")
    return table


def _print_near_misses(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out("no near misses")
        return
    if on_terminal():
        out_lines([_near_miss_line(miss) for miss in rows], 4)
        return
    table = _table("event time", "severity", "rule", "instrument", "held back by", "with", "id")
    for miss in rows:
        table.add_row(
            miss["ts_event"][:23],
            miss["severity"],
            miss["rule"],
            f"{miss['venue']} {miss['symbol']}",
            f"for: {miss['for']}",
            miss["decision"]["rule"]["explained"],
            short_id(miss["id"]),
        )
    out(table)


def _near_miss_line(miss: Mapping[str, Any]) -> str:
    time = f"{miss['ts_event'][5:10]} {miss['ts_event'][11:19]}Z"
    what = f"{miss['severity']} {miss['rule']} {miss['venue']} {miss['symbol']}"
    held = f"for: {miss['for']}  {miss['decision']['rule']['explained']}"
    return f"{time}  {what}  {held}  {short_id(miss['id'])}"


def _print_deliveries(database: Database) -> None:
    for row in delivery_counts(database):
        if row["state"] != "done":
            reason = f": {row['error']}" if row["error"] else ""
            say(f"{row['receiver']}: {row['count']} {row['state']}{reason}")
            if row["answer"]:
                say(f"  it answered: {row['answer']}")


def _require_receiver(name: str, database: Database, config: Path | None) -> None:
    known = {*StoreDeliveries(database).receivers()}
    if config is not None:
        known |= load_config(config).settings.receivers.keys()
    if known and name not in known:
        hint, there = did_you_mean(name, sorted(known)), ", ".join(sorted(known))
        raise UsageError(f"--retry-parked: there is no receiver {name!r}{hint}: there are {there}")
