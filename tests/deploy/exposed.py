"""A real exposition in which every metric has samples: of an engine, a store and a notify half at work."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))

from drift_market import drift_plan, hours
from fakes.alert_bodies import commit
from fakes.delivering import receiver_set
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0
from pipeline_world import World
from prometheus_client import generate_latest

from alerts.receivers.receiver import RetryableError
from streamer.messages.records import Partition, Record
from streamer.notify.notifier import Notifier
from streamer.notify.sender_context import SenderContext
from streamer.pipeline.checkpointing import CompletedCheckpoint
from streamer.serve.observer import Observer
from streamer.store.database import open_store
from streamer.store.silences import StoreSilences


class Broker(ListSource):
    """A log in memory that also says how it stands."""

    answers = True

    def ends(self) -> dict[Partition, int]:
        return {log.partition: log.log_end for log in self.logs}

    def asked_ends(self) -> dict[Partition, int]:
        return self.ends()

    def read_to(self) -> dict[Partition, int]:
        return {}


class Away:
    """A receiver that cannot be reached."""

    def deliver(self, delivery: object, record: object) -> None:
        raise RetryableError("http_503", everything=True)


def exposition(folder: Path) -> str:
    """What `/metrics` shows of a service that was killed once, with junk in its log and a rule muted."""
    spot = [Record(0, b'{"e": "depthUpdate", "s": "BTC"}', T0), Record(1, b"{", T0)]
    logs = [MemoryLog(LOG, hours(40, 1)), MemoryLog(Partition("spot", "t1", 0), spot)]
    world = World(folder / "world", drift_plan("spread_bps, alert_rate"), every_s=1e9)
    world.killed(ListSource(logs), 3)
    database = open_store(str(world.store))
    observer = Observer(world.plan, ("desk",), database, world.time, world.time.now)
    context = SenderContext(database, world.time, watch=observer.metrics.delivery)
    notifier = Notifier(receiver_set({"desk": Away()}), context)
    observer.follow(notifier)
    notifier.start()
    source = Broker(logs)
    watched = observer.watching(source, lambda: engine.runners)
    with world.process(watched, watch=observer.watch) as engine:
        engine.run(lambda: False)
        observer.look(engine.runners, source.ends(), source.answers)
    observer.checkpoint(CompletedCheckpoint(4_096, 8_192, took_s=0.2, share=0.01))
    commit(database, ("a", 0))
    StoreSilences(database).mute("wide", 2_000.0, 1_000.0)
    notifier.stop(0.2)
    try:
        return generate_latest(observer.registry).decode()
    finally:
        database.close()
