"""`tapewatch mute`: do not send alerts of a rule, an instrument or a venue for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from alerts.durations import NS_PER_SECOND, duration_ns
from alerts.one_shot import DRIFT
from alerts.receivers.safe_console import LineTable
from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY, HEARTBEAT, SERVICE_RULES
from alerts.stages.matchers import Matcher, instrument_matchers, matchers_text, until_text
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, Limit, Store, load_config, open_named_store
from streamer.cli.output import out, out_json, say
from streamer.cli.people import login_name
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.store.database import Database
from streamer.store.queries import instruments_seen, rules_seen
from streamer.store.silences import StoredSilence, StoreSilences

_MOST_S = 30 * 86_400
_NEVER_MUTED = (DELIVERY_SUMMARY, DELIVERY_DIGEST, HEARTBEAT)


def mute(
    rule: Annotated[
        str | None,
        typer.Argument(
            help="The rule, or with --off the number of a mute; with nothing, list what is muted.",
            show_default=False,
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="Only alerts about this symbol.", show_default=False)
    ] = None,
    venue: Annotated[
        str | None, typer.Option("--venue", help="Only alerts about this venue.", show_default=False)
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 30m, 1h or 2d.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the mute.")] = False,
    why: Annotated[
        str,
        typer.Option("--why", "--reason", help="Why, for whoever looks at the list.", show_default=False),
    ] = "",
    by: Annotated[
        str | None,
        typer.Option("--by", help="Who mutes or ends it; by default your login name.", show_default=False),
    ] = None,
    past: Annotated[bool, typer.Option("--past", help="List mutes that are over.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="List those that are over, and those in force.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Do not send alerts of a rule, an instrument or a venue for a while.

    A running daemon applies it from the next alert on. Alerts are still detected, stored and counted, and
    `tapewatch alerts` lists them. A receiver that heard of an episode before still hears its end. A mute
    ends by itself; another one of exactly the same takes its place, and both stay in the list.

    Examples: `tapewatch mute fat_finger --for 1h`,
    `tapewatch mute fat_finger --symbol ACME --venue XNAS --for 2h --why "known bad size"`,
    `tapewatch mute --venue XNAS --for 30m`, `tapewatch mute 3 --off`, `tapewatch mute --past`.
    """
    _check_given(("a rule", rule), ("--symbol", symbol), ("--venue", venue))
    names_something = rule is not None or symbol is not None or venue is not None
    _check_usage(names_something, for_, off, listing=past or all_)
    seconds = None if for_ is None else _seconds(for_)
    now, person = SystemClock().now(), by or login_name()
    database = open_named_store(config, store)
    try:
        silences = StoreSilences(database)
        if not names_something:
            over = silences.past(now, limit) if past or all_ else ()
            _list([*over, *(() if past else silences.mutes(now))], now, as_json)
        elif seconds is not None:
            configured = [] if store is not None else list(load_config(config).settings.rules.enabled)
            _check_names(rule, symbol, venue, configured, database)
            _mute(silences, instrument_matchers(rule, venue, symbol), (now, now + seconds), person, why)
        elif rule is not None and _is_number(rule):
            if symbol is not None or venue is not None:
                raise UsageError(
                    f"{rule} is the number of a mute: with it --off takes no --symbol or --venue"
                )
            _end_number(silences, int(rule.lstrip("#")), now, person)
        else:
            _end(silences, instrument_matchers(rule, venue, symbol), now, person)
    finally:
        database.close()


def _check_given(*given: tuple[str, str | None]) -> None:
    for what, name in given:
        if name is not None and not name.strip():
            raise UsageError(f"{what} is empty: give a name, or leave it out")


def _check_usage(names_something: bool, for_: str | None, off: bool, *, listing: bool) -> None:
    if listing and (names_something or for_ is not None or off):
        raise UsageError("--past and --all list mutes, and take nothing else but --limit and --json")
    if not names_something and (for_ is not None or off):
        raise UsageError(
            "name what to mute: tapewatch mute RULE --for 1h, with --symbol and --venue or these alone"
        )
    if names_something and (for_ is not None) == off:
        raise UsageError(
            "give a duration, or end the mute: tapewatch mute RULE --symbol X --venue V --for 1h, or --off"
        )


def _is_number(text: str) -> bool:
    return text.lstrip("#").isdecimal()


def _seconds(text: str) -> int:
    try:
        seconds = duration_ns(text) // NS_PER_SECOND
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    if not 1 <= seconds <= _MOST_S:
        raise UsageError(f"--for: '{text}' is not between 1s and 30d")
    return seconds


def _check_names(
    rule: str | None, symbol: str | None, venue: str | None, configured: Sequence[str], database: Database
) -> None:
    """Refuse a rule that is unknown; warn of a symbol or a venue that no alert was about yet."""
    if rule is not None:
        _require_known(rule, configured, database)
    if symbol is None and venue is None:
        return
    seen = instruments_seen(database)
    _warn_unseen("venue", venue, [known for known, _ in seen])
    _warn_unseen("symbol", symbol, [known for _, known in seen])
    if symbol is not None and venue is not None:
        venues = sorted(of for of, known in seen if known == symbol and of is not None)
        if venues and venue not in venues and any(venue == of for of, _ in seen):
            say(f"alerts so far were about {symbol} on {', '.join(venues)}, none about it on {venue}")


def _warn_unseen(what: str, name: str | None, seen: Iterable[str | None]) -> None:
    known = {each for each in seen if each is not None}
    if name is not None and name not in known:
        say(f"no alert has been about {what} '{name}' so far{did_you_mean(name, known)}; it is muted")


def _require_known(rule: str, configured: Sequence[str], database: Database) -> None:
    if rule in _NEVER_MUTED:
        raise UsageError(f"{rule} cannot be muted: it reports what is not sent, or that the service works")
    if rule in configured or rule in SERVICE_RULES or rule == DRIFT:
        return
    seen = rules_seen(database)
    if rule not in seen:
        near = did_you_mean(rule, [*configured, *seen])
        raise UsageError(f"there is no rule '{rule}', in the configuration or in the store{near}")


def _mute(
    silences: StoreSilences,
    matchers: Sequence[Matcher],
    times: tuple[float, float],
    person: str,
    why: str,
) -> None:
    now, until = times
    replaced = [each for each in silences.mutes(now) if each.silence.matchers == tuple(matchers)]
    silences.mute(matchers, until, now, author=person, reason=why)
    say(f"{matchers_text(matchers)} is muted until {until_text(until)}")
    for each in replaced:
        say(f"the mute {_signed(each)} until {until_text(each.silence.ends_at)} ends now")


def _end(silences: StoreSilences, matchers: Sequence[Matcher], now: float, person: str) -> None:
    text = matchers_text(matchers)
    if silences.unmute(matchers, now, person):
        say(f"{text} is no longer muted")
        return
    in_force = silences.mutes(now)
    say(f"{text} is not muted{did_you_mean(text, [each.text for each in in_force])}")
    for each in in_force:
        if set(matchers) < set(each.silence.matchers):
            say(f"but {each.text} is: tapewatch mute {each.n} --off")


def _end_number(silences: StoreSilences, n: int, now: float, person: str) -> None:
    found = next((each for each in silences.mutes(now) if each.n == n), None)
    if found is None or not silences.end(n, now, person):
        raise UsageError(f"there is no mute {n} in force; tapewatch mute lists them")
    say(f"{found.text} is no longer muted")


def _signed(each: StoredSilence) -> str:
    return f"{each.n} by {each.silence.author}" if each.silence.author else f"{each.n}"


def _list(mutes: Sequence[StoredSilence], now: float, as_json: bool) -> None:
    if as_json:
        for mute in mutes:
            out_json(_document(mute, now))
        return
    if not mutes:
        out("nothing is muted")
        return
    table = LineTable("n", "muted", "from", "until", "by", "why")
    for mute in mutes:
        table.add_row(
            str(mute.n),
            mute.text,
            until_text(mute.created_at),
            _until(mute),
            mute.silence.author,
            mute.silence.reason,
        )
    out(table)


def _until(mute: StoredSilence) -> str:
    if mute.ended_at is None:
        return until_text(mute.silence.ends_at)
    return f"{until_text(mute.ended_at)}, ended{f' by {mute.ended_by}' if mute.ended_by else ''}"


def _document(mute: StoredSilence, now: float) -> dict[str, Any]:
    values = {each.field: each.value for each in mute.silence.matchers}
    in_force = mute.ended_at is None and mute.silence.ends_at > now
    return {
        "n": mute.n,
        "rule": values.pop("rule", None),
        "venue": values.pop("venue", None),
        "symbol": values.pop("symbol", None),
        **values,
        "from": until_text(mute.created_at),
        "until": until_text(mute.silence.ends_at),
        "by": mute.silence.author,
        "reason": mute.silence.reason,
        "in_force": in_force,
        "ended": None if mute.ended_at is None else until_text(mute.ended_at),
        "ended_by": mute.ended_by,
    }
