"""A simulated day of three instruments: its events in parts, and what is planted in each of them."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish
from streamer.sources.simulator import INSTRUMENTS, OPENS_NS, Anomaly, SimulatorSource, rules_for

SECONDS = 130 * 60  # a third of the market's day: what makes it a day is all that happens in it
QUIET = INSTRUMENTS[-3:]


@dataclass(frozen=True)
class Part:
    """Some hours of the day."""

    records: Sequence[Outgoing]
    planted: Sequence[Anomaly]

    def publish(self, bootstrap: str, topic: str) -> None:
        publish(self.records, PublishTarget(KafkaSettings(bootstrap=bootstrap), topic))


def simulated_day(parts: int, seed: int = 14, each: int = 2) -> list[Part]:
    """The whole day, cut in the middle between two anomalies, so that none goes on from part to part."""
    source = SimulatorSource(seed, SECONDS, each, partitions=1, specs=QUIET)
    events = heapq.merge(*(source.instrument(n) for n in range(len(QUIET))), key=lambda event: event[0])
    records = [Outgoing(ts, None, value) for ts, value in events]
    planted = source.planted
    bounds = [len(planted) * part // parts for part in range(1, parts)]
    cuts = [(planted[n - 1].end_ns + planted[n].start_ns) // 2 for n in bounds]
    edges = [OPENS_NS, *cuts, OPENS_NS + SECONDS * 10**9]
    rows = [bisect_left(records, edge, key=lambda record: record.timestamp) for edge in edges]
    return [
        Part(records[rows[n] : rows[n + 1]], planted[first:last])
        for n, (first, last) in enumerate(zip([0, *bounds], [*bounds, len(planted)], strict=True))
    ]


def missed(part: Part, alerts: Sequence[Mapping[str, object]]) -> list[Anomaly]:
    """The anomalies of a part for which no alert of one of their rules was fired on their instrument.

    Silence is left out: hours that are published in a second are a backlog, and none looks like silence.
    """
    fired = {(alert["rule"], alert["symbol"]) for alert in alerts if alert["transition"] == "fired"}
    return [
        anomaly
        for anomaly in part.planted
        if anomaly.kind != "stale_feed"
        and not fired & {(rule, anomaly.symbol) for rule in rules_for(anomaly)}
    ]
