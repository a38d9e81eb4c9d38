"""The service's own log: structured, on stderr, in lines that nothing they tell of can forge."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from alerts.plain_text import one_line, safe_json
from alerts.receivers.redaction import Redaction
from streamer.config.settings import LogSettings

# a library's traceback must not show local variables: they may hold secrets
_DICT_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))

_SHORTEST_HIDDEN = 4  # characters; shorter ones are in every other word
_MARGIN = "    | "  # no line of the log begins like this, so no text of an error can look like one


def set_up_logs(settings: LogSettings, secrets: Iterable[str] = ()) -> None:
    """Log from the configured level on, for the console or as JSON, including warnings of libraries.

    Parameters
    ----------
    settings
        Level and format.
    secrets
        What no line may show, wherever it comes from: an error of a library may repeat what it was given.
    """
    _hidden.clear()
    hide_in_logs(secrets)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    is_json = settings.format == "json"
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _DICT_TRACEBACKS if is_json else structlog.dev.set_exc_info,
    ]
    output = sys.stderr if sys.stderr is not None else Path(os.devnull).open("w")  # noqa: SIM115
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if is_json
        else structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=_write_traceback)
    )
    rendering = [
        *([] if is_json else [_show]),
        renderer,
        lambda _logger, _method, line: _hidden.hide(str(line)),
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,  # loggers follow what is set up later
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the source reports an outage itself, once


def hide_in_logs(secrets: Iterable[str]) -> None:
    """Hide these from now on, too, such as those that a reload brings; from any thread."""
    _hidden.add(secrets)


class _HiddenTexts:
    """What no line may show; those that were secrets once stay hidden."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._secrets = frozenset[str]()
        self._redaction = Redaction()

    def add(self, secrets: Iterable[str]) -> None:
        self._secrets |= {secret for secret in secrets if len(secret) >= _SHORTEST_HIDDEN}
        self._redaction = Redaction(self._secrets)

    def hide(self, line: str) -> str:
        return self._redaction.hide(line)


_hidden = _HiddenTexts()


def set_up_tracebacks() -> None:
    """Show the traceback of a bug as the log would: what an error says may come from an event."""
    sys.excepthook = _show_error
    threading.excepthook = lambda found: _show_error(
        found.exc_type, found.exc_value or found.exc_type(), found.exc_traceback
    )
    sys.unraisablehook = lambda found: _show_error(
        found.exc_type, found.exc_value or found.exc_type(), found.exc_traceback
    )


class _LoggedText(str):
    """A text that is safe already, in quotes where it is more than a word."""

    __slots__ = ()

    def __repr__(self) -> str:
        quote = '"' if "'" in self and '"' not in self else "'"
        return f"{quote}{self.replace(quote, chr(92) + quote)}{quote}"  # else it could forge another field


def _show(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in entry.items():
        if key in ("stack", "exception") and isinstance(value, str):
            entry[key] = _indented(value)
        elif key != "exc_info" and not (value is None or isinstance(value, bool | int | float)):
            entry[key] = _LoggedText(one_line(value if isinstance(value, str) else repr(value)))
    return entry


def _json(document: object, **options: Any) -> str:
    return safe_json(json.dumps(document, **options))


def _write_traceback(out: TextIO, found: structlog.typing.ExcInfo) -> None:
    out.write("\n" + _indented("".join(traceback.format_exception(*found))))


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit) and sys.stderr is not None:
        sys.stderr.write(_indented("".join(traceback.format_exception(kind, error, trace))) + "\n")


def _indented(text: str) -> str:
    return "\n".join(_MARGIN + one_line(line) for line in text.rstrip("\n").split("\n"))
