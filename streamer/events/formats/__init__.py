"""The formats, one file each; a new one is a file and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from streamer.events.formats.binance import BinanceFormat
from streamer.events.formats.contract import DecodeContext, Format
from streamer.events.formats.generic import GenericFormat
from streamer.events.formats.tapewatch import TapewatchFormat

if TYPE_CHECKING:
    from streamer.events.settings import FormatSettings

__all__ = ["FORMATS", "DecodeContext", "Format", "build_format"]

FORMATS: Mapping[str, Callable[[FormatSettings], Format]] = MappingProxyType(
    {
        "tapewatch": TapewatchFormat,
        "binance": BinanceFormat,
        "generic": GenericFormat,
    }
)
"""By preset name: what makes a format of its settings."""


def build_format(settings: FormatSettings) -> Format:
    """The format that the settings describe.

    >>> from streamer.events.settings import FormatSettings
    >>> build_format(FormatSettings(preset="binance")).needs_venue
    True
    """
    return FORMATS[settings.preset](settings)
