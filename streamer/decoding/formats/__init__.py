"""The formats, one file each; to add one, add a file and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.formats.binance import BinanceFormat
from streamer.decoding.formats.format import Format
from streamer.decoding.formats.generic import GenericFormat
from streamer.decoding.formats.tapewatch import TapewatchFormat

if TYPE_CHECKING:
    from streamer.decoding.mapping_settings import MappingSettings

__all__ = ["FORMATS", "DecodeContext", "Format", "build_format"]

FORMATS: Mapping[str, Callable[[MappingSettings], Format]] = MappingProxyType(
    {
        "tapewatch": TapewatchFormat,
        "binance": BinanceFormat,
        "generic": GenericFormat,
    }
)
"""The presets: by name, what builds a format from its settings."""


def build_format(settings: MappingSettings) -> Format:
    """The format that the settings describe.

    >>> from streamer.decoding.format_settings import FormatSettings
    >>> build_format(FormatSettings(preset="binance")).needs_venue
    True
    """
    return FORMATS[settings.preset](settings)
