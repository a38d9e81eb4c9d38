from __future__ import annotations

from typing import get_args

from decoding.decode_once import decode

from streamer.decoding.event_fields import (
    DERIVED,
    ENUM_STRINGS,
    FIELDS,
    FIELDS_BY_KIND,
    KIND_NAMES,
    NUMBER_FIELDS,
    REQUIRED_BY_KIND,
    TEXT_FIELDS,
)
from streamer.decoding.event_schema import EVENT, Envelope, json_schema
from streamer.decoding.event_structs import AnyStruct
from streamer.messages.batch import Kind

ENVELOPE = {"event_type", "venue", "symbol", "ts_event"}


def test_kinds_are_named_by_their_numbers() -> None:
    assert [Kind(number).name.lower() for number in range(len(KIND_NAMES))] == list(KIND_NAMES)


def test_models_structs_and_table_name_the_same_fields() -> None:
    models = {model.model_fields["event_type"].annotation: model for model in Envelope.__subclasses__()}
    assert {get_args(literal)[0] for literal in models} == set(KIND_NAMES)
    for literal, model in models.items():
        (kind,) = get_args(literal)
        fields = FIELDS_BY_KIND[kind]
        assert set(model.model_fields) == fields | ENVELOPE
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert required == {*REQUIRED_BY_KIND[kind], "event_type", "symbol"}
        (struct,) = [one for one in get_args(AnyStruct) if one.__struct_config__.tag == kind]
        assert set(struct.__struct_fields__) == (fields | ENVELOPE) - {"event_type"}


def test_every_field_is_a_number_or_a_text() -> None:
    assert {*NUMBER_FIELDS, *TEXT_FIELDS} == set(FIELDS)
    assert not set(NUMBER_FIELDS) & set(TEXT_FIELDS)
    assert all((field.bounds is not None) == (field.type == "number") for field in FIELDS.values())
    assert all(bool(field.members) == (field.type == "enum") for field in FIELDS.values())


def test_derived_fields_come_from_fields_of_the_same_kinds() -> None:
    for name, derived in DERIVED.items():
        assert name not in FIELDS
        assert all(derived.field.kinds <= FIELDS[given].kinds for given in derived.inputs)


def test_strings_begin_with_the_enum_members_in_every_batch() -> None:
    members = {member for field in FIELDS.values() for member in field.members}
    assert set(ENUM_STRINGS) == members
    assert len(ENUM_STRINGS) == len(members)
    some = {
        "event_type": "trade",
        "symbol": "X",
        "price": 1,
        "size": 1,
        "trade_id": "zz",
        "aggressor_side": "none",
    }
    batch = decode("tapewatch", some).batch
    assert tuple(batch.texts.strings) == (*ENUM_STRINGS, "zz")
    assert batch.texts["aggressor_side"].tolist() == [ENUM_STRINGS.index("none")]
    assert tuple(decode("tapewatch").batch.texts.strings) == ENUM_STRINGS


def test_the_exported_schema_states_kinds_bounds_and_members() -> None:
    schema = json_schema()
    trade = schema["$defs"]["Trade"]["properties"]
    assert set(schema["discriminator"]["mapping"]) == set(KIND_NAMES)
    assert (trade["price"]["exclusiveMinimum"], trade["price"]["maximum"]) == (0, 1e12)
    assert (trade["size"]["minimum"], trade["size"]["maximum"]) == (0, 1e15)
    assert trade["aggressor_side"]["anyOf"][0]["enum"] == list(FIELDS["aggressor_side"].members)


def test_a_model_is_frozen_and_strict() -> None:
    event = EVENT.validate_python({"event_type": "heartbeat", "symbol": "X"})
    assert event.model_config["frozen"]
    assert event.model_config["strict"]
