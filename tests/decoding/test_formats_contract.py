"""Every registered format keeps to the contract, which catches those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from contracts import formats as contract
from contracts.formats import CHECKS, Case, Check, Make, rig_of
from contracts.refused import refused

from streamer.decoding.event_fields import FIELDS_BY_KIND
from streamer.decoding.formats import FORMATS, DecodeContext
from streamer.decoding.formats.tapewatch import TapewatchFormat
from streamer.decoding.mapping_settings import MappingSettings
from streamer.messages.batch import Batch, Decoded
from streamer.messages.records import Record


def called(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_format(check: Check, name: str) -> None:
    check(Case(name, FORMATS[name], rig_of(name)))


def test_a_format_without_a_rig_is_refused() -> None:
    with pytest.raises(LookupError, match="no rig for format 'fix'"):
        rig_of("fix")


# ---------------------------------------------------------------- formats that are wrong on purpose


class Changed(TapewatchFormat):
    """Gives what another has decoded, with a change."""

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        return self.changed(super().decode(records, context), records)

    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return decoded


class ChangedBatch(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return replace(decoded, batch=self.changed_batch(decoded.batch))

    def changed_batch(self, batch: Batch) -> Batch:
        return batch


class UnderAnotherName(TapewatchFormat):
    name = "tape"


class ReadsNothing(TapewatchFormat):
    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        return super().decode([], context)


class NumbersOfAnotherType(ChangedBatch):
    def changed_batch(self, batch: Batch) -> Batch:
        return replace(batch, numbers={name: each.astype("f4") for name, each in batch.numbers.items()})


class FieldsThatNeverOccur(ChangedBatch):
    def changed_batch(self, batch: Batch) -> Batch:
        return replace(batch, numbers={**batch.numbers, "leaves_size": np.full(len(batch), np.nan)})


class SaysLessThanItProvides(TapewatchFormat):
    provides = dict.fromkeys(FIELDS_BY_KIND, frozenset({"price"}))


class ByChance(ChangedBatch):
    def changed_batch(self, batch: Batch) -> Batch:
        return replace(batch, ts=batch.ts + np.random.default_rng().integers(1, 1_000_000))


class OfTheBatch(ChangedBatch):
    def changed_batch(self, batch: Batch) -> Batch:
        return replace(batch, ts=batch.ts + len(batch))


class OneWayForSingles(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return decoded if len(records) > 1 else replace(decoded, ignored={"single": 1})


class LosesDeadLetters(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return replace(decoded, dead=decoded.dead[1:])


class ReasonsOfItsOwn(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return replace(decoded, dead=tuple(replace(each, reason="odd") for each in decoded.dead))


class Raises(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        if decoded.dead:
            raise ValueError(decoded.dead[0].detail)
        return decoded


class ForgetsTheSource(ChangedBatch):
    def changed_batch(self, batch: Batch) -> Batch:
        return replace(batch, source=np.zeros_like(batch.source))


class CountsNothingAsSomething(Changed):
    def changed(self, decoded: Decoded, records: Sequence[Record]) -> Decoded:
        return decoded if records else replace(decoded, ignored={"nothing": 0})


def out_of_order(settings: MappingSettings) -> TapewatchFormat:
    raise RuntimeError("out of order")


@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_a_format_that_is_right_passes(check: Check) -> None:
    check(Case("tapewatch", Changed, rig_of("tapewatch")))


@pytest.mark.parametrize(
    ("make", "check", "because"),
    [
        (out_of_order, contract.check_registration, RuntimeError),
        (UnderAnotherName, contract.check_registration, None),
        (ReadsNothing, contract.check_samples_become_events, None),
        (NumbersOfAnotherType, contract.check_columns_are_of_one_length_and_the_stated_types, None),
        (FieldsThatNeverOccur, contract.check_only_fields_that_occur_are_there, None),
        (SaysLessThanItProvides, contract.check_events_carry_what_the_format_says_it_provides, None),
        (ByChance, contract.check_the_same_again, None),
        (OfTheBatch, contract.check_what_a_record_becomes_does_not_depend_on_its_batch, None),
        (OneWayForSingles, contract.check_by_columns_is_one_by_one, None),
        (LosesDeadLetters, contract.check_every_record_is_accounted_for_once, None),
        (ReasonsOfItsOwn, contract.check_dead_letters_are_whole_and_have_a_known_reason, None),
        (Raises, contract.check_nothing_that_comes_raises, ValueError),
        (ForgetsTheSource, contract.check_the_source_number_goes_into_the_rows, None),
        (CountsNothingAsSomething, contract.check_no_records_make_an_empty_batch, None),
    ],
)
def test_a_format_that_is_wrong_is_caught(make: Make, check: Check, because: type[Exception] | None) -> None:
    with refused(because):
        check(Case("tapewatch", make, rig_of("tapewatch")))


def test_a_format_without_kernels_says_so() -> None:
    rig = replace(rig_of("tapewatch"), kernels=False)
    with refused():
        contract.check_what_kernels_leave_is_all_that_they_do_not_take(Case("tapewatch", Changed, rig))
