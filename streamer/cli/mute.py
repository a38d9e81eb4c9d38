"""`tapewatch mute`: silence a rule for a while."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from alerts.durations import NS_PER_SECOND, duration_ns
from alerts.one_shot import DRIFT
from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY, HEARTBEAT, SERVICE_RULES
from alerts.stages.matchers import Silence, until_text
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Store, load_config, open_named_store
from streamer.cli.output import out, say
from streamer.cli.people import login_name
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.store.database import Database
from streamer.store.queries import rules_seen
from streamer.store.silences import StoreSilences

_MOST_S = 30 * 86_400
_NEVER_MUTED = (DELIVERY_SUMMARY, DELIVERY_DIGEST, HEARTBEAT)


def mute(
    rule: Annotated[
        str | None, typer.Argument(help="The rule; without one, list what is muted.", show_default=False)
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 30m, 1h or 2d.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the mute.")] = False,
    by: Annotated[
        str | None, typer.Option("--by", help="Who mutes it; by default your login name.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.", show_default=False)] = "",
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Do not send a rule's alerts for a while; a running daemon applies it from the next alert on.

    They are still detected, stored and counted, and `tapewatch alerts` lists them. A receiver that heard
    of an episode before still hears its end. A mute ends by itself; another one for the same rule
    replaces it.

    Examples: `tapewatch mute fat_finger --for 1h`, `tapewatch mute fat_finger --off`, `tapewatch mute`.
    """
    if rule is None and (for_ is not None or off):
        raise UsageError("name the rule: tapewatch mute RULE --for 1h")
    if rule is not None and (for_ is not None) == off:
        raise UsageError(f"give a duration, or end the mute: tapewatch mute {rule} --for 1h, or --off")
    seconds = None if for_ is None else _seconds(for_)
    now = SystemClock().now()
    database = open_named_store(config, store)
    try:
        silences = StoreSilences(database)
        if rule is None:
            _list(silences.mutes(now), as_json)
        elif seconds is None:
            say(f"{rule} is no longer muted" if silences.unmute(rule, now) else f"{rule} is not muted")
        else:
            configured = [] if store is not None else list(load_config(config).settings.rules.enabled)
            _require_known(rule, configured, database)
            silences.mute(rule, now + seconds, now, author=by or login_name(), reason=reason)
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


def _require_known(rule: str, configured: list[str], database: Database) -> None:
    if rule in _NEVER_MUTED:
        raise UsageError(f"{rule} cannot be muted: it reports what is not sent, or that the service works")
    if rule in configured or rule in SERVICE_RULES or rule == DRIFT:
        return
    seen = rules_seen(database)
    if rule not in seen:
        near = did_you_mean(rule, [*configured, *seen])
        raise UsageError(f"there is no rule '{rule}', in the configuration or in the store{near}")


def _list(mutes: Sequence[Silence], as_json: bool) -> None:
    if as_json:
        for mute in mutes:
            shown = {"rule": mute.rule, "until": until_text(mute.ends_at)}
            out(json.dumps({**shown, "by": mute.author, "reason": mute.reason}))
        return
    if not mutes:
        out("no rule is muted")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("rule", "muted until", "by", "reason"):
        table.add_column(column)
    for mute in mutes:
        table.add_row(mute.rule, until_text(mute.ends_at), mute.author, mute.reason)
    out(table)
