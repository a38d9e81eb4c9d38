"""What the benchmarks feed: seeded, valid, and as large as it says; captures repeat without a seam."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.broker import key_of
from benchmarks.captures import captures, once
from benchmarks.configuration import configuration, plan
from benchmarks.full import compiled, fold
from benchmarks.workload import Stream, market, symbol
from streamer.decoding.formats import DecodeContext
from streamer.pipeline.plan import Plan

REPEATS = 3


@pytest.fixture(scope="module")
def example() -> Plan:
    return plan()


def test_a_market_is_the_same_every_time_and_another_for_another_seed() -> None:
    one, again, other = market(500), market(500), market(500, seed=8)
    assert one.values == again.values
    assert one.values != other.values
    assert (one.times == again.times).all()


def test_a_market_is_all_events_about_180_bytes_each(example: Plan) -> None:
    made = market(4_000, 50)
    found = example.feeds[0].format.decode(made.block(0, len(made)), DecodeContext("spot.x", "binance"))
    assert len(found.batch) == 4_000
    assert not found.dead
    assert not found.ignored
    assert (found.batch.kind == 0).sum() == 3_500
    names = {found.batch.instruments[number].symbol for number in set(found.batch.instrument.tolist())}
    assert names == {symbol(number) for number in range(50)}
    assert 150 <= np.mean([len(value) for value in made.values]) <= 200


def test_prices_walk_and_do_not_jump(example: Plan) -> None:
    made = market(20_000, 5)
    batch = example.feeds[0].format.decode(made.block(0, len(made)), DecodeContext("spot.x", "binance")).batch
    for number in set(batch.instrument.tolist()):
        price = batch.numbers["price"][(batch.instrument == number) & (batch.kind == 0)]
        assert abs(np.diff(np.log(price))).max() < 1e-3


def test_the_instruments_can_be_chosen_and_the_numbers_go_on() -> None:
    made = market(3, 10, first=100, chosen=np.array([9, 0, 9]))
    assert [key_of(value) for value in made.values] == [b"S009USDT", b"S000USDT", b"S009USDT"]
    assert [json.loads(value)["data"]["t"] % 1_000 for value in made.values] == [100, 101, 102]


@pytest.mark.parametrize("at_most", [1, 7, 100])
def test_chunks_hold_every_record_once_in_order(at_most: int) -> None:
    made = market(100)
    chunks = list(made.chunks(at_most))
    assert all(len(chunk.records) <= at_most for chunk in chunks)
    assert [record.offset for chunk in chunks for record in chunk.records] == list(range(100))
    assert [record.value for chunk in chunks for record in chunk.records] == list(made.values)


@pytest.fixture(scope="module")
def repeated(monkeypatch_module: pytest.MonkeyPatch) -> list[Stream]:
    monkeypatch_module.delenv("TAPEWATCH_DATA", raising=False)
    return captures(80_000)


@pytest.fixture(scope="module")
def monkeypatch_module() -> pytest.MonkeyPatch:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_captures_repeat_until_there_are_enough(repeated: list[Stream]) -> None:
    assert {stream.partition.topic for stream in repeated} == {
        "spot.spot_btcusdt",
        "spot.spot_ethusdt",
        "perp.usdm_btcusdt",
    }
    total = sum(len(stream) for stream in repeated)
    assert 80_000 <= total < 80_000 + 36_010
    assert all((np.diff(stream.times) >= 0).all() for stream in repeated)


def test_ids_and_times_of_captures_go_on_where_the_last_repetition_ended(repeated: list[Stream]) -> None:
    for stream in repeated:
        each = len(stream) // REPEATS
        assert each * REPEATS == len(stream)
        found = [numbers_of(stream.values[at : at + each]) for at in range(0, len(stream), each)]
        for before, after in pairwise(found):
            assert before.keys() == after.keys() >= {"t", "u", "E"}
            for key in ("t", "u"):
                assert [b - a for a, b in zip(before[key], after[key], strict=True)] == [
                    after[key][0] - before[key][0]
                ] * len(before[key])
            assert min(after["t"]) == max(before["t"]) + 1
            assert min(after["u"]) > max(before["u"])
            assert min(after["E"]) > max(before["E"])
        ms = stream.times // 1_000_000
        assert ms[each] - ms[0] == found[1]["E"][0] - found[0]["E"][0]


def numbers_of(values: Sequence[bytes]) -> dict[str, list[int]]:
    """Ids and times by key, in order."""
    found = defaultdict(list)
    for value in values:
        for key, number in json.loads(value).get("data", {}).items():
            if isinstance(number, int) and not isinstance(number, bool):
                found[key].append(number)
    return found


def test_captures_fold_without_dead_letters(repeated: list[Stream]) -> None:
    config = configuration()
    chunks = [chunk for stream in repeated for chunk in stream.chunks()]
    folded = fold(config, compiled(config), [stream.partition for stream in repeated], chunks)
    assert folded.dead == 0
    assert folded.records == sum(len(stream) for stream in repeated)
    assert folded.scored > 0


def test_a_sample_is_in_the_order_of_time(repeated: list[Stream]) -> None:
    sample = once(repeated, 2_000)
    assert len(sample) == 2_000
    for stream in repeated:
        assert len({*sample} & {*stream.values}) > 100  # some messages are in each of them
    times = defaultdict(list)
    for stream in repeated:
        for value, at in zip(stream.values, stream.times.tolist(), strict=True):
            times[value].append(at)
    found = [times[value][0] for value in sample if len(times[value]) == 1]
    assert len(found) > 1_900
    assert found == sorted(found)


def test_folding_does_not_depend_on_chunks() -> None:
    config = configuration()
    ready, made = compiled(config), market(20_000, 4)
    whole = fold(config, ready, [made.partition], made.chunks())
    pieces = fold(config, ready, [made.partition], made.chunks(777))
    assert whole.alerts == pieces.alerts
    assert whole.alerts
    assert (whole.records, whole.scored) == (pieces.records, pieces.scored) == (20_000, 17_500)
