"""A real broker whose log is damaged: exactly what is damaged is left out, and all else is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from broker.damaging import HEADER_BYTES, batches_in, flip, new_topic, producing, segment_of
from broker.local import LocalBroker
from broker.watching import Reading, settings_for

PER_BATCH, BATCHES, DAMAGED = 3, 5, 2  # the batch with offsets 6, 7 and 8
GOOD = [offset for offset in range(PER_BATCH * BATCHES) if offset // PER_BATCH != DAMAGED]
PLACES = [*range(HEADER_BYTES), 61, 66, 70, 75]
LEADER_EPOCH = range(12, 16)


@pytest.mark.parametrize("raw", [True, False])
def test_whichever_byte_of_a_batch_is_damaged(own_broker: Callable[..., LocalBroker], raw: bool) -> None:
    broker = own_broker()
    topic = new_topic(broker, "sweep", 2 * len(PLACES))
    with producing(broker) as producer:
        for number in range(BATCHES):
            for partition in range(2 * len(PLACES)):
                for each in range(PER_BATCH):
                    producer.send(topic, b"%d" % (PER_BATCH * number + each), partition=partition)
            producer.flush(30)
    for partition in range(2 * len(PLACES)):
        segment = segment_of(broker, topic, partition)
        at, _, base = batches_in(segment)[DAMAGED]
        assert base == PER_BATCH * DAMAGED
        flip(segment, at + PLACES[partition // 2], 0x01 if partition % 2 else 0xFF)
    with Reading(settings_for(broker.bootstrap, raw=raw), topic) as reading:
        reading.until(
            lambda: len(reading.held) == 2 * len(PLACES) and reading.source.at_end() >= reading.held, 90
        )
        assert reading.source.raw == raw
    wrong = {}
    for partition, records in reading.got.items():
        offsets = [record.offset for record in records]
        skipped = [(one.first, one.last) for one in reading.damaged.get(partition, [])]
        place = PLACES[partition.partition // 2]
        values = [record.value for record in records] == [b"%d" % offset for offset in offsets]
        expected = (list(range(15)), []) if place in LEADER_EPOCH else (GOOD, [(6, 8)])
        if (offsets, skipped) != expected or not values:
            wrong[place, partition.partition % 2] = offsets, reading.damaged.get(partition, []), values
    assert not wrong
