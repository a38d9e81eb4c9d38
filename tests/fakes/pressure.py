"""A trading day's worst minutes, committed at their times, and a Slack that takes one message a second.

As a process, `python -m fakes.pressure close|storm|backlog STORE [SPEED]` plays one of them in real time (or
so many times quicker), and prints all that Slack got.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fakes.alert_bodies import alert_body
from fakes.delivering import notifier
from fakes.simulated_delivery import Told
from fakes.slack import Answer, FakeSlack, Received, rate_limited

from alerts.stages.cap import MINUTE_S
from streamer.notify.retry_pace import RetryPace
from streamer.store.database import Database, open_store
from streamer.store.tables import outbox

TWO_DAYS_S = 2 * 86_400.0
BACKLOG = 3_000
_LIMITED = ("chat.postMessage", "chat.update")


@dataclass(frozen=True)
class News(Told):
    """A transition, `at` seconds after the beginning; `value` is its measure."""

    @property
    def key(self) -> str:
        return f"{self.alert_id}-{self.number}"

    @property
    def text(self) -> str:
        if self.rule == "stale_feed":
            return f"no quotes of {self.symbol} for {self.value:.0f} s"
        return f"a trade of {self.value:.0f}, 10,000 times the usual size"


def one_a_second(speed: float = 1.0) -> Any:
    """Slack's limit, for each of its methods: 429 with Retry-After for what comes sooner."""
    lock, free_at = threading.Lock(), defaultdict(float)

    def fault(method: str, arguments: Mapping[str, Any]) -> Answer | None:
        if method not in _LIMITED:
            return None
        with lock:
            now = time.monotonic()
            if now < free_at[method]:
                return rate_limited(1 if speed == 1.0 else f"{1 / speed:.3f}")
            free_at[method] = now + 1 / speed
        return None

    return fault


def market_close(feeds: int = 200, trades_s: float = 300.0) -> Iterator[News]:
    """Feeds go quiet within a minute; from half on all are critical. Then a critical trade every 10 s."""
    half_at = 0.0
    for n in range(feeds):
        at = 60.0 * n / feeds
        half_at = at if 2 * n <= feeds else half_at
        severity = "critical" if 2 * n > feeds else "warning"
        quiet = News(at, f"{n:08x}" + "f" * 24, 0, "stale_feed", severity, "fired", f"S{n:03d}", 30.0)
        yield quiet
        later = [at + 30.0, at + 90.0, at + 210.0]
        if severity == "warning":
            yield replace(quiet, at=60.0 * 0.5 + 0.5, number=1, severity="critical", transition="updated")
        for number, told_at in enumerate(later, 2 if severity == "warning" else 1):
            if told_at < 60.0 + trades_s and told_at > 31.0:
                update = replace(quiet, at=told_at, number=number, severity="critical", transition="updated")
                yield replace(update, value=30.0 + told_at - at)
    for n in range(int(trades_s / 10.0)):
        alert_id = f"{0xA0000000 + n:08x}" + "a" * 24
        trade = News(60.0 + 10.0 * n, alert_id, 0, "fat_finger", "critical", "fired", f"S{n:03d}", 1e6 + n)
        yield trade
        yield replace(trade, at=trade.at + 30.0, number=1, transition="resolved")


def storm(backlog: int = 0) -> Iterator[News]:
    """60 criticals of 50 instruments in 10 s, maybe behind what is two days late."""
    for n in range(backlog):
        severity = "critical" if n % 30 == 0 else "warning"
        alert_id = f"{0xB0000000 + n:08x}" + "b" * 24
        yield News(0.0, alert_id, 0, "odd_tape", severity, "fired", f"S{n % 50:03d}", 50.0 + n, TWO_DAYS_S)
    for n in range(60):
        alert_id = f"{0xC0000000 + n:08x}" + "c" * 24
        yield News(1.0 + n / 6, alert_id, 0, "fat_finger", "critical", "fired", f"S{n % 50:03d}", 1e6 + n)


def play(database: Database, slack: FakeSlack, news: Iterable[News], speed: float = 1.0) -> dict[str, float]:
    """Commit all of it at its times; when each was committed, by its key, wall-clock seconds."""
    settings = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": slack.api_url}
    desk = {"desk": {"slack": settings, "cap": "20/m"}}
    pace = RetryPace()
    pace = replace(pace, calm_s=pace.calm_s / speed, first_wait_s=pace.first_wait_s / speed)
    slack.fault = one_a_second(speed)
    running = notifier(database, desk, {}, pace, MINUTE_S / speed)
    running.start()
    committed: dict[str, float] = {}
    try:
        began = time.time()
        waiting = sorted(news, key=lambda each: (each.at, each.number))
        while waiting:
            now = time.time()
            due = [each for each in waiting if began + each.at / speed <= now]
            if due:
                waiting = waiting[len(due) :]
                _commit(database, due, now)
                committed.update((each.key, now) for each in due)
                running.wake()
            time.sleep(0.005)
        while not running.idle():
            assert running.failure is None
            time.sleep(0.02)
    finally:
        running.stop(1.0)
    return committed


def _commit(database: Database, news: Iterable[News], now: float) -> None:
    with database.write() as connection:
        for each in news:
            body = alert_body(
                *(each.alert_id, each.number),
                **{
                    name: getattr(each, name) for name in ("rule", "severity", "transition", "symbol", "text")
                },
                episode={
                    "began": "2026-01-05T14:30:00.000000000Z",
                    "measure": "stream_silence_s" if each.rule == "stale_feed" else "size",
                    "unit": "s" if each.rule == "stale_feed" else "",
                    **dict.fromkeys(("first", "peak", "last"), each.value),
                    "peak_ts": "2026-01-05T14:30:00.000000000Z",
                },
            )
            shown = json.loads(body)
            names = (
                "origin",
                "transition",
                "rule",
                "severity",
                "venue",
                "symbol",
                "ts_event_ns",
                "config_hash",
            )
            row = {name: shown[name] for name in names}
            row |= {"alert_id": each.alert_id, "number": each.number, "body": body}
            connection.execute(outbox.insert().values(**row, created_at=now, behind_s=each.behind_s))


def accepted(slack: FakeSlack) -> list[Received]:
    """What Slack took, in order."""
    return [each for each in slack.received if each.answer == "200" and each.method in _LIMITED]


def own_messages(slack: FakeSlack) -> dict[str, float]:
    """When each delivery was posted as a message of its own, by its key."""
    found: dict[str, float] = {}
    for each in accepted(slack):
        carried = json.loads(each.arguments.get("metadata") or "{}") if each.method == _LIMITED[0] else {}
        if carried:
            payload = carried["event_payload"]
            found.setdefault(f"{payload['id']}-{payload['number']}", each.at)
    return found


def named(slack: FakeSlack, short_id: str) -> float | None:
    """When a message that shows this id was first posted."""
    times = [each.at for each in accepted(slack) if short_id in str(each.arguments)]
    return min(times, default=None)


def report(slack: FakeSlack, began: float) -> Iterator[str]:
    """All that Slack got, in order, a line each."""
    refused = sum(each.answer != "200" for each in slack.received)
    yield f"{len(accepted(slack))} taken, {refused} refused (429)"
    for each in accepted(slack):
        kind = {"chat.update": "edit"}.get(each.method, "reply" if "thread_ts" in each.arguments else "post")
        text = " / ".join(each.arguments["text"].split("\n"))
        yield f"{each.at - began:7.2f} s  {kind:<5}  {text[:150]}"


def main() -> None:
    scenario, store = sys.argv[1:3]
    speed = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    news = {"close": market_close, "storm": storm, "backlog": lambda: storm(BACKLOG)}[scenario]()
    with FakeSlack() as slack:
        database = open_store(store)
        committed = play(database, slack, news, speed)
        print("\n".join(report(slack, min(committed.values()))))
        database.close()


if __name__ == "__main__":
    main()
