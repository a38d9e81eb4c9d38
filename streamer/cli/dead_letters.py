"""`tapewatch dead-letters`: lists and replays records that could not be used."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Row

from alerts.plain_text import one_line
from alerts.receivers.safe_console import LineTable
from alerts.suggestions import did_you_mean
from streamer.app.dead_letter_replay import replay_dead_letters
from streamer.cli.options import (
    DEFAULT_CONFIG,
    MOST,
    Config,
    Json,
    Limit,
    Store,
    load_config,
    open_named_store,
)
from streamer.cli.output import out, out_json, progress_bar, say
from streamer.decoding.dead_letter_reasons import Reason
from streamer.errors import UsageError
from streamer.notify.clock import SystemClock
from streamer.store.dead_records import Choice, DeadRecords, Left
from streamer.store.queries import DeadLetterTotal, dead_letter_totals, floods, unused
from streamer.store.queries import dead_letters as find_dead_letters

_SHOWN_CHARACTERS = 60


def dead_letters(
    config: Config = DEFAULT_CONFIG,
    store: Store = None,
    reason: Annotated[
        str | None, typer.Option(help="Only dead letters with this reason, such as bad_json.")
    ] = None,
    ids: Annotated[
        list[int] | None,
        typer.Option("--id", min=0, max=MOST, help="Only the one with this id (first column); repeatable."),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Publish them to their topics again, as new records.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --replay: do not ask for confirmation.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List dead letters: records that could not be decoded, mapped, validated or accepted, and why.

    Dead letters never stop the daemon, and their bytes are kept (the first 64 KB). For each reason and minute
    the first 100 (`engine.flood`) are kept individually, the rest as a range of offsets and a count. A range
    of offsets that Kafka holds damaged is one dead letter without a value.

    After fixing the cause (a mapping, a limit), --replay publishes their bytes as new records to the
    partitions they came from. Each has the header `tapewatch-dead-letter: topic/partition/offset` and its old
    timestamp, and is marked as replayed; marked ones are replayed again only by --id. A record with several
    events is replayed as a whole, so its valid events are seen twice. --limit applies to the list only: the
    newest are listed, and below them how many there are of each topic and reason.

    Examples: `tapewatch dead-letters --reason bad_json --json`,
    `tapewatch dead-letters --replay --reason unknown_kind`, `tapewatch dead-letters --replay --id 17 --yes`
    """
    _check_reason(reason)
    database = open_named_store(config, store)
    choice = Choice(reason, tuple(ids) if ids else None)
    unknown = DeadRecords(database).unknown(choice.ids or ())
    if unknown:
        raise UsageError(f"--id: no dead letter has id {unknown[0]}; `tapewatch dead-letters` lists them")
    if replay:
        _replay(config, DeadRecords(database), choice, yes)
        return
    letters = find_dead_letters(database, reason, limit, choice.ids or ())
    counted = [] if choice.ids else floods(database, reason, limit - len(letters))
    if as_json:
        for document in (*map(_document, letters), *(dict(flood._mapping) for flood in counted)):
            out_json(document)
        return
    ignored = ", ".join(f"{name} {count:,}" for name, count in unused(database).items())
    if ignored:
        say(f"known but not used, and no dead letters: {ignored}")
    _print(letters, counted)
    totals = dead_letter_totals(database, reason, choice.ids or ())
    if totals:
        _print_totals(totals, len(letters))


def _print_totals(totals: Sequence[DeadLetterTotal], shown: int) -> None:
    """How many there are of each topic and reason, since the list may be cut."""
    kept, counted = sum(each.kept for each in totals), sum(each.counted for each in totals)
    more = f", {counted:,} more only counted" if counted else ""
    say(f"{shown:,} of {kept:,} dead letters shown{more}; in all:")
    for each in totals:
        say(f"  {each.topic} {each.reason} {each.kept + each.counted:,}")


def _check_reason(reason: str | None) -> None:
    reasons = [known.value for known in Reason]
    if reason is not None and reason not in reasons:
        suggestion = did_you_mean(reason, reasons) or f" (reasons: {', '.join(reasons)})"
        raise UsageError(f"--reason: there is no reason {reason!r}{suggestion}")


def _print(letters: Sequence[Row[Any]], counted: Sequence[Row[Any]]) -> None:
    if not letters and not counted:
        out("no dead letters")
        return
    table = LineTable("id", "topic", "partition", "offset", "reason", "detail", "value", "replayed")
    for letter in letters:
        table.add_row(
            str(letter.n),
            letter.topic,
            str(letter.partition),
            str(letter.offset) if letter.last_offset is None else f"{letter.offset} to {letter.last_offset}",
            letter.reason,
            letter.detail,
            "null" if letter.value is None else repr(letter.value[:_SHOWN_CHARACTERS])[2:-1],
            "" if letter.replayed_at is None else _time(letter.replayed_at, "%Y-%m-%dT%H:%M:%SZ"),
        )
    out(table)
    for flood in counted:
        minute = _time(max(flood.minute, 0) * 60, "%Y-%m-%dT%H:%MZ")
        out(
            f"{flood.topic}[{flood.partition}] {minute}: {flood.count} more {flood.reason}, "
            f"offsets {flood.first_offset} to {flood.last_offset}"
        )


def _replay(config: Path, store: DeadRecords, choice: Choice, yes: bool) -> None:
    kafka = load_config(config).settings.source.kafka
    if kafka is None:
        raise UsageError(f"{config}: no broker is configured: give source.kafka")
    topics = store.topics(choice)
    _say_not_replayed(store.left(choice))
    if not topics:
        out("nothing to replay")
        return
    total = sum(topics.values())
    by_topic = ", ".join(f"{topic} {count:,}" for topic, count in topics.items())
    records = "1 record" if total == 1 else f"{total:,} records"
    if not yes:
        _confirm(f"publish {records} again ({by_topic})?")
    sent = 0
    with progress_bar() as bar:
        task = bar.add_task("replaying", total=total, note="")
        for sent in replay_dead_letters(store, choice, kafka, SystemClock(), environ=os.environ):
            bar.update(task, completed=sent)
    out(f"replayed {sent:,} of {records}: {by_topic}")


def _say_not_replayed(left: Left) -> None:
    for count, reason in (
        (left.truncated, "larger than the 64 KB that are kept"),
        (left.empty, "without a value"),
        (left.replayed, "replayed before (use --id to replay one again)"),
        (left.counted, "only counted, because there were too many in a minute"),
        (left.damaged, "ranges of damaged offsets, of which no bytes could be read"),
    ):
        if count:
            say(f"not replayed: {count:,} {reason}")


def _confirm(question: str) -> None:
    try:
        confirmed = typer.confirm(one_line(question), err=True)
    except typer.Abort:
        raise UsageError("no answer, so nothing was replayed; use --yes in scripts") from None
    if not confirmed:
        raise KeyboardInterrupt


def _time(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def _document(letter: Row[Any]) -> dict[str, Any]:
    document = dict(letter._mapping)
    value = document.pop("value")
    document["index"] = document.pop("index_")
    document["truncated"] = bool(document["truncated"])
    try:
        document["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        document["value_b64"] = base64.b64encode(value).decode()
    return document
