"""How a configuration describes records: by a preset's name, or by a mapping of its own fields."""

from __future__ import annotations

from typing import Self

from pydantic import GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from streamer.decoding.event_fields import KIND_NAMES
from streamer.decoding.mapping_settings import MappingSettings


def _known_preset(preset: str) -> str:
    from streamer.decoding.formats import FORMATS

    if preset not in FORMATS:
        msg = f"{preset!r} is none of the presets {', '.join(sorted(FORMATS))}"
        raise ValueError(msg)
    return preset


class FormatSettings(MappingSettings):
    """How records become events: a preset's name, or a mapping (preset ``generic``).

    Raises
    ------
    pydantic.ValidationError
        For an unknown preset, a field mapped twice or not at all, or a time without a unit.

    Examples
    --------
    >>> FormatSettings.model_validate("binance").preset
    'binance'
    >>> own = {"event_type": "trade", "symbol": {"from": "topic"}, "trade": {"price": "p", "size": "q"}}
    >>> FormatSettings.model_validate(own).event_type.kinds()
    ('trade',)
    """

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        return {"preset": _known_preset(given)} if isinstance(given, str) else given

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        return _known_preset(preset)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.preset == "generic":
            self._check_mapping()
            return self
        extra = sorted(self.model_fields_set - {"preset"})
        if extra:
            msg = f"the preset {self.preset} knows its fields: leave out {', '.join(extra)}"
            raise ValueError(msg)
        return self

    def _check_mapping(self) -> None:
        if self.event_type is None:
            msg = "event_type is missing: name a kind, such as trade, or give a path and a map"
            raise ValueError(msg)
        sections = [kind for kind in KIND_NAMES if getattr(self, kind) is not None]
        named = self.event_type.kinds()
        for kind in named:
            if kind not in sections and kind != "heartbeat":
                msg = f"events can be of kind {kind}, so a section {kind} must say where its fields come from"
                raise ValueError(msg)
        for kind in sections:
            if named and kind not in named:
                msg = f"there is a section {kind}, but event_type never gives {kind}"
                raise ValueError(msg)
        if not named and not sections:
            msg = "a section must say where fields come from: trade, quote, order, status or metric"
            raise ValueError(msg)
        for kind in named or sections:
            section = getattr(self, kind)
            if self.symbol is None and (section is None or section.symbol is None):
                msg = "symbol is missing: give a path, {from: topic}, {from: key}, {from: file} or a constant"
                raise ValueError(msg)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Also allow a preset's plain name in the exported schema."""
        from streamer.decoding.formats import FORMATS

        full = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"enum": sorted(FORMATS), "description": "a preset"}, full]}
