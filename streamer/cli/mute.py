"""`tapewatch mute`: let a rule be silent for a while."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from alerts.durations import NS_PER_SECOND, duration_ns
from alerts.one_shot import DRIFT
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Store, load_config, open_named_store
from streamer.cli.output import out, say
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.store.mutes import StoreMutes, until_text
from streamer.store.service_alerts import DELIVERY_SUMMARY, HEARTBEAT, SERVICE_RULES

_MOST_S = 30 * 86_400
_NEVER_MUTED = (DELIVERY_SUMMARY, HEARTBEAT)


def mute(
    rule: Annotated[
        str | None, typer.Argument(help="The rule; without one, list what is muted.", show_default=False)
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 30m, 1h or 2d.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let it speak again.")] = False,
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Keep a rule's alerts from being sent for a while; a running daemon heeds it with the next alert.

    They are detected, stored and counted as ever, and `tapewatch alerts` lists them. Of an episode that a
    receiver has heard of before, it still hears the end. A mute ends by itself; another one for the same
    rule replaces it.

    Examples: `tapewatch mute fat_finger --for 1h`, `tapewatch mute fat_finger --off`, `tapewatch mute`.
    """
    if rule is None and (for_ is not None or off):
        raise UsageError("name the rule: tapewatch mute RULE --for 1h")
    if rule is not None and (for_ is not None) == off:
        raise UsageError(f"say how long, or that it is over: tapewatch mute {rule} --for 1h, or --off")
    seconds = None if for_ is None else _seconds(for_)
    now = SystemClock().now()
    database = open_named_store(config, store)
    try:
        mutes = StoreMutes(database)
        if rule is None:
            _list(mutes.active(now), as_json)
        elif seconds is None:
            say(f"{rule} speaks again" if mutes.unmute(rule, now) else f"{rule} is not muted")
        else:
            _known(rule, [] if store is not None else list(load_config(config).settings.rules.enabled), mutes)
            mutes.mute(rule, now + seconds, now)
            say(f"{rule} is muted until {until_text(now + seconds)}")
    finally:
        database.close()


def _seconds(text: str) -> int:
    try:
        seconds = duration_ns(text) // NS_PER_SECOND
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    if not 1 <= seconds <= _MOST_S:
        raise UsageError(f"--for: '{text}' is not between 1s and 30d")
    return seconds


def _known(rule: str, configured: list[str], mutes: StoreMutes) -> None:
    if rule in _NEVER_MUTED:
        raise UsageError(f"{rule} cannot be muted: it is what tells of silence")
    if rule in configured or rule in SERVICE_RULES or rule == DRIFT:
        return
    seen = mutes.rules_seen()
    if rule not in seen:
        near = did_you_mean(rule, [*configured, *seen])
        raise UsageError(f"there is no rule '{rule}', in the configuration or in the store{near}")


def _list(active: Mapping[str, float], as_json: bool) -> None:
    if as_json:
        for rule, until in active.items():
            out(json.dumps({"rule": rule, "until": until_text(until)}))
        return
    if not active:
        out("no rule is muted")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("rule")
    table.add_column("muted until")
    for rule, until in active.items():
        table.add_row(rule, until_text(until))
    out(table)
