"""Stores as an earlier version left them, and what that version itself went on to.

``tests/data/left_by_foldN`` holds, made by that version's own code:

* ``config.yaml``: what it ran with; ``records.jsonl.xz``: all records of its two logs;
* ``drained.tar.xz``: database, write-ahead log and checkpoint files after detection had stopped cleanly, with
  open episodes, a mute, and a backlog of deliveries: pending, one parked, some in doubt, an alert not routed
  yet;
* ``drained.json.xz``: every alert, decision, near miss, dead letter, delivery and score after that version
  had recovered from there and read to the end of the same records;
* ``killed.tar.xz``: a store at the moment of a SIGKILL, early on: a journal behind the newest checkpoint.

For another version, write ``config.yaml`` into a new folder, and run with the Python of that version's
environment, where CHECKOUT is its source tree:

    python tests/pipeline/left_stores.py CHECKOUT FOLDER

Tapewatch itself and the neighbours imported below then come from the checkout. A change of `FOLD_VERSION`
needs one made by the version before it: what was killed is refused, what was drained is taken up.

Records are seeded, and the engine's time moves only with its polls, so running it again gives the same
alerts. The notifier's threads run on real time: rows of deliveries differ in times and attempts.
"""

from __future__ import annotations

import json
import lzma
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, get_args

if __name__ == "__main__":
    CHECKOUT = Path(sys.argv[1]).resolve()
    sys.path[:1] = [str(CHECKOUT), str(CHECKOUT / "tests" / "pipeline"), str(CHECKOUT / "tests")]

from fakes.delivering import notifier
from fakes.slack import Answer, FakeSlack, hang, server_error
from list_source import ListSource, MemoryLog, Partition, Record
from market_bytes import JUNK, MS, T0, S, binance_book, binance_trade, quote, trade
from pipeline_world import World, compile_plan, load_text, open_store

End = Literal["killed", "drained"]

SPOT, TRADES = Partition("spot", "s1", 0), Partition("trades", "t1", 0)
RECEIVERS = ("ops", "desk", "pager")
MUTED = "big"

_SECONDS, _WIDER_FROM = 1_600, 1_150
_A_POLL_S, _RECORDS_A_POLL = 0.4, 14
_KILLED_FROM, _NOTIFIED_FROM, _MUTED_FROM, _LEFT_FROM = 25, 30, 75, 97  # polls
_FOR_EVER = 4_102_444_800.0  # 2100-01-01: `mute` itself takes 30 days at most
_READY_WITHIN_S = 60.0


# what the process reads ---------------------------------------------------------------------------------


def made_up_records() -> dict[Partition, list[Record]]:
    """Half an hour of three instruments: jumps, oversized trades, pauses, junk, and a spread that doubles."""
    chance = random.Random(11)
    found: dict[Partition, list[Record]] = {TRADES: [], SPOT: []}
    price = {"S0": 100.0, "S1": 200.0, "BTC": 60_000.0}

    def put(log: Partition, at_ns: int, value: bytes | None) -> None:
        found[log].append(Record(len(found[log]), value, at_ns // MS * MS))

    for second in range(_SECONDS):
        now = T0 + second * S + int(chance.random() * 400 * MS)
        if second % 240 in range(200, 216):
            continue  # a pause, in which episodes end
        half = (0.02 if second >= _WIDER_FROM else 0.01) * chance.lognormvariate(0, 0.3)
        put(TRADES, now, quote(now, price["S0"] - half, price["S0"] + half, "S0"))
        for name in ("S0", "S1", "BTC"):
            if chance.random() > (0.15 if name == "BTC" else 0.35):
                continue
            jump = chance.choice((-0.003, 0.002, 0.006)) if chance.random() < 0.02 else 0.0
            price[name] *= 1 + chance.gauss(0, 1e-4) + jump
            size = chance.lognormvariate(0, 0.8) * (60 if chance.random() < 0.02 else 1)
            now += int(chance.random() * 200 * MS)
            if name == "BTC":
                put(SPOT, now, binance_trade(now, price[name], size))
                put(SPOT, now, chance.choice((binance_book(price[name] - 1, price[name] + 1), JUNK[7])))
            else:
                put(TRADES, now, trade(now, round(price[name], 4), size, name, trade_id=str(second)))
        if chance.random() < 0.01:
            for _ in range(chance.choice((1, 8))):  # more than three of one reason in a minute are a flood
                put(TRADES, now, chance.choice(JUNK[2:5]))
    return found


def write_records(path: Path, logs: Mapping[Partition, list[Record]]) -> None:
    lines = [
        json.dumps([*log, record.offset, record.timestamp, record.value.decode("latin-1")])
        for log, records in logs.items()
        for record in records
        if record.value is not None
    ]
    path.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9))


def read_records(path: Path) -> list[MemoryLog]:
    found: dict[Partition, list[Record]] = {}
    for line in lzma.decompress(path.read_bytes()).splitlines():
        *log, offset, timestamp, value = json.loads(line)
        found.setdefault(Partition(*log), []).append(Record(offset, value.encode("latin-1"), timestamp))
    return [MemoryLog(log, records) for log, records in found.items()]


# the process --------------------------------------------------------------------------------------------


def world_in(folder: Path, fixture: Path) -> World:
    """An engine's surroundings, over the store in a folder."""
    plan = compile_plan(load_text((fixture / "config.yaml").read_text()))
    return World(folder, plan, batch_size=7, timer_every_s=1.0, every_s=8.0)


def growing(world: World, fixture: Path, polls_before: int = 0) -> ListSource:
    """The logs as they are written while they are read, so many records a poll."""
    logs = read_records(fixture / "records.jsonl.xz")
    longest = max(len(log.records) for log in logs)

    def write(number: int) -> None:
        written = _RECORDS_A_POLL * (number + polls_before)
        for log in logs:  # in proportion, so that both end together
            log.end = min(written * len(log.records) // longest, len(log.records))
        source.endless = written < longest

    def on_poll(number: int) -> None:
        world.time.s += _A_POLL_S
        write(number)

    source = ListSource(logs, repeat(1_000), on_poll)
    write(0)
    return source


def receivers(url: str) -> dict[str, Any]:
    return {
        name: {"webhook": {"url": f"{url}/webhook/{name}", "secret": {"env": "KEY"}}} for name in RECEIVERS
    }


def until(happened: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + _READY_WITHIN_S
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(what)
        time.sleep(0.02)


def live_and_die(end: End, folder: Path, fixture: Path, url: str) -> None:
    """Detect and deliver, and be killed: in the middle of it, or once detection has stopped cleanly."""
    world = world_in(folder, fixture)
    source = growing(world, fixture)
    grow = source.on_poll
    world.folder.mkdir(parents=True)
    running = notifier(open_store(str(world.store)), receivers(url), {"to": list(RECEIVERS)})

    def states(receiver: str) -> set[str]:
        return {row[0] for row in world.ask("SELECT state FROM deliveries WHERE receiver = ?", receiver)}

    def on_poll(number: int) -> None:
        grow(number)
        time.sleep(0.03)  # what writes checkpoints has a thread of its own
        if number == _NOTIFIED_FROM:
            running.start()
            until(lambda: "parked" in states("desk"), "one parked")
            until(lambda: "trying" in states("pager"), "one being tried")
            until(lambda: "pending" in states("ops"), "some pending")
        if number == _MUTED_FROM:
            until(lambda: world.ask("SELECT count(*) FROM outbox WHERE routed = 0") == [(0,)], "all routed")
            mute = ["mute", MUTED, "--for", "30d", "-c", str(fixture / "config.yaml")]
            tapewatch(*mute, "--store", str(world.store))
            world.ask("UPDATE silences SET ends_at = ?", _FOR_EVER)

    def die() -> None:
        (folder.parent / "polls").write_text(str(source.polls))
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(step: Any) -> None:
        if end == "killed" and source.polls >= _KILLED_FROM and step.outcome.transitions:
            die()
        if step.outcome.visible:
            running.wake()

    source.on_poll = on_poll
    world.run(source, polls=_LEFT_FROM if end == "drained" else None, watch=watch)
    die()


# what it goes on to -------------------------------------------------------------------------------------


@dataclass
class GoneOn:
    """A store gone on from to the end of its logs, and all that happened meanwhile."""

    world: World
    scores: list[list[Any]]
    delivered: dict[str, list[list[str]]]

    def document(self) -> dict[str, Any]:
        """Everything that another version has to give as well, as JSON holds it."""
        ask = self.world.ask
        alerts = ask(
            "SELECT alert_id, number, transition, body, config_hash FROM outbox WHERE origin = 'detect' "
            "ORDER BY alert_id, number"
        )
        decisions = ask(
            "SELECT kind, alert_id, number, held_by, topic, partition, offset, index_, body FROM decisions "
            "ORDER BY kind, alert_id, number"
        )
        parked = ask("SELECT alert_id, number, receiver FROM deliveries WHERE state = 'parked'")
        document: dict[str, Any] = {
            "alerts": [_readable(row) for row in alerts],
            "decisions": [[*row[:-1], _without_code(row[-1])] for row in decisions],
            "dead": [_readable(row) for row in self.world.dead()],
            "ignored": ask("SELECT task_id, name, count FROM ignored ORDER BY task_id, name"),
            "configs": ask("SELECT hash, text FROM configs ORDER BY hash"),
            "scores": sorted(self.scores, key=_event),
            "delivered": {name: sorted(posts) for name, posts in self.delivered.items()},
            "parked": sorted(parked),
        }
        return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def _event(score: list[Any]) -> list[Any]:
    """What a score is about: topic, partition, detector, offset and index; where steps end is no matter."""
    return score[:5]


def _readable(row: tuple[Any, ...]) -> list[Any]:
    return [cell.decode("latin-1") if isinstance(cell, bytes) else cell for cell in row]


def _without_code(body: bytes) -> dict[str, Any]:
    """A decision but for the version of the code, which is for display."""
    decision: dict[str, Any] = json.loads(body)
    decision.get("versions", {}).pop("code", None)
    return decision


def gone_on(folder: Path, fixture: Path, polls_before: int) -> GoneOn:
    """Recover the store in a folder, read to the end of the logs, then deliver all that is owed."""
    world = world_in(folder, fixture)
    scores: list[list[Any]] = []

    def watch(step: Any) -> None:
        topic, partition = step.task.partition.topic, step.task.partition.partition
        for part in step.outcome.scores:
            columns = (part.slot, part.offset, part.index, part.score, part.rarity, part.status)
            for slot, offset, index, score, rarity, status in zip(
                *(c.tolist() for c in columns), strict=True
            ):
                where = [topic, partition, part.detector, offset, index, slot]
                scores.append([*where, score.hex(), rarity.hex(), status])

    world.run(growing(world, fixture, polls_before), watch=watch)
    return GoneOn(world, scores, all_delivered(world))


def all_delivered(world: World) -> dict[str, list[list[str]]]:
    """What each receiver gets, all in good health, until nothing is owed: keys and bodies in order."""
    with FakeSlack() as server:
        database = open_store(str(world.store))
        running = notifier(database, receivers(server.url), {"to": list(RECEIVERS)})
        running.start()
        until(running.idle, "everything delivered")
        assert running.stop(5.0)
        database.close()
        return {
            name: [[post.headers["webhook-id"], post.body.decode()] for post in server.of(f"webhook/{name}")]
            for name in RECEIVERS
        }


# the files ----------------------------------------------------------------------------------------------


def unpacked(end: End, fixture: Path, folder: Path) -> Path:
    """The store as it was left, in a folder of its own."""
    with tarfile.open(fixture / f"{end}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


def expected(fixture: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(lzma.decompress((fixture / "drained.json.xz").read_bytes()))
    document["scores"].sort(key=_event)
    return document


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if path.suffix != ".db-shm":  # only what is in memory; whoever opens the store makes it anew
                member = tar.gettarinfo(path, str(path.relative_to(folder)))
                member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
                with path.open("rb") as content:
                    tar.addfile(member, content)


class Trouble:
    """How the receivers answer the process that is to be killed."""

    def __init__(self) -> None:
        self.posts = dict.fromkeys(RECEIVERS, 0)

    def __call__(self, method: str, _: Mapping[str, Any]) -> Answer | None:
        name = method.removeprefix("webhook/")
        self.posts[name] += 1
        if name == "ops" and self.posts[name] > 4:
            return server_error()
        if name == "desk" and self.posts[name] == 3:
            return Answer(status=400, body="no")
        if name == "pager" and self.posts[name] >= 6:
            return hang(600, applied=True)
        return None


def python(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=CHECKOUT, check=False)


def tapewatch(*arguments: str) -> None:
    python("-m", "streamer", *arguments).check_returncode()


def make(end: End, fixture: Path) -> None:
    """Let this checkout's code leave a store behind, and go on from a copy of what it had drained."""
    with tempfile.TemporaryDirectory() as room, FakeSlack() as server:
        folder = Path(room) / "store"
        server.fault = Trouble()
        done = python(__file__, str(CHECKOUT), str(fixture), end, str(folder), server.url)
        assert done.returncode == -signal.SIGKILL, done
        pack(folder, fixture / f"{end}.tar.xz")
        if end == "killed":
            return
        polls = int((Path(room) / "polls").read_text())
        on = gone_on(unpacked(end, fixture, Path(room) / "copy"), fixture, polls)
        document = json.dumps({"polls": polls, **on.document()})
    (fixture / "drained.json.xz").write_bytes(lzma.compress(document.encode(), preset=9))


def main(fixture: Path, *child: str) -> None:
    if child:
        end, folder, url = child
        live_and_die("killed" if end == "killed" else "drained", Path(folder), fixture, url)
        return
    write_records(fixture / "records.jsonl.xz", made_up_records())
    for end in get_args(End):
        make(end, fixture)


if __name__ == "__main__":
    main(Path(sys.argv[2]).resolve(), *sys.argv[3:])
