"""Events of a made market: 200 instruments' trades with the top of their books, as Binance writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Chunk, Partition, Record
from streamer.sources.kafka.kafka_source import MAX_POLL_RECORDS

START_MS = 1_723_161_255_000
SYMBOLS = 200
EVENTS_PER_MS = 3
_SEED = 7
_NS_PER_MS = 1_000_000
_QUOTE_EVERY = 8
_STEP = 2e-5  # of the logarithm of a price: some bps in 10 s, as the majors have them
_BLOCK_EVERY, _FIRST_BLOCK, _BLOCK = 200_000, 5_000, 200_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The records of one partition.

    Parameters
    ----------
    partition
        Which.
    values
        In order.
    times
        int64[n], each record's timestamp in ns.
    """

    partition: Partition
    values: Sequence[bytes]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def chunks(self, at_most: int = MAX_POLL_RECORDS) -> Iterator[Chunk]:
        """Blocks as polls of Kafka hand them over, each over bytes of its own."""
        for first in range(0, len(self.values), at_most):
            yield Chunk(self.partition, self.block(first, min(first + at_most, len(self.values))))

    def block(self, first: int, end: int) -> RecordBlock:
        """Some of the records, over bytes of their own."""
        return RecordBlock.of(Record(at, self.values[at], int(self.times[at])) for at in range(first, end))


def symbol(number: int) -> str:
    """The name of an instrument.

    >>> symbol(7), symbol(1234)
    ('S007USDT', 'S1234USDT')
    """
    return f"S{number:03d}USDT"


def market(
    count: int,
    symbols: int = SYMBOLS,
    *,
    seed: int = _SEED,
    first: int = 0,
    topic: str = "spot.benchmark",
    chosen: NDArray[np.int64] | None = None,
    per_ms: float = EVENTS_PER_MS,
) -> Stream:
    """Seeded trades, every eighth record a quote, in the envelope of Binance's combined streams.

    It is a quiet market; now and then comes a trade so large that the example raises an alert.

    Parameters
    ----------
    count
        How many records.
    symbols
        Of how many instruments; a fifth of them have most of the events.
    seed
        Of everything that is drawn.
    first
        The number of the first record: trade ids and times go on from there.
    topic
        Of the partition.
    chosen
        int64[count], the instrument of each record; drawn where absent.
    per_ms
        How many events come in a ms.
    """
    chance = np.random.default_rng([seed, first])
    if chosen is None:
        chosen = np.minimum(chance.exponential(symbols / 5, count).astype(np.int64), symbols - 1)
    level = _levels(chance, chosen, symbols)
    size = chance.lognormal(0, 1, count)
    buyer = chance.random(count) < 0.5
    numbers = np.arange(first, first + count)
    size[numbers % _BLOCK_EVERY == _FIRST_BLOCK] = _BLOCK
    now = START_MS + (numbers / per_ms).astype(np.int64)
    names = [symbol(number) for number in range(symbols)]
    texts = [_quote, *[_trade] * (_QUOTE_EVERY - 1)]
    values = [
        texts[(number + 1) % _QUOTE_EVERY](names[at], number, ms, price, amount, "true" if maker else "false")
        for number, at, ms, price, amount, maker in zip(
            numbers.tolist(),
            chosen.tolist(),
            now.tolist(),
            level.tolist(),
            size.tolist(),
            buyer.tolist(),
            strict=True,
        )
    ]
    return Stream(Partition(topic, "benchmark", 0), values, now * _NS_PER_MS)


def _levels(chance: np.random.Generator, chosen: NDArray[np.int64], symbols: int) -> NDArray[np.float64]:
    """A random walk for each instrument, one step an event."""
    at_first = np.random.default_rng(_SEED).normal(0, 1, symbols)
    step = chance.normal(0, _STEP, len(chosen))
    order = np.argsort(chosen, kind="stable")
    walked = np.cumsum(step[order])
    begins = np.searchsorted(chosen[order], np.arange(symbols))
    before = np.concatenate([[0.0], walked])[begins]
    moved = np.empty(len(chosen))
    moved[order] = walked - before[chosen[order]]
    return np.asarray(100 * np.exp(at_first[chosen] + moved), np.float64)


def _trade(name: str, number: int, ms: int, price: float, size: float, maker: str) -> bytes:
    return (
        f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":{ms + 1},"s":"{name}",'
        f'"t":{3_735_000_000 + number},"p":"{price:.8f}","q":"{size:.8f}","T":{ms},"m":{maker},"M":true}}}}'
    ).encode()


def _quote(name: str, number: int, ms: int, price: float, size: float, maker: str) -> bytes:
    bid, ask = (f"{size:.8f}", "2.17238000") if maker == "true" else ("3.78826000", f"{size:.8f}")
    return (
        f'{{"stream":"{name.lower()}@bookTicker","data":{{"u":{50_093_239_212 + number},"s":"{name}",'
        f'"b":"{price * 0.9999:.8f}","B":"{bid}","a":"{price * 1.0001:.8f}","A":"{ask}"}}}}'
    ).encode()
