"""A text for what a model raised, where it is the model's fault."""

from __future__ import annotations

import signal

from detectors.interruptions import Interruption

_MOST_CHARS = 200


def failure(error: BaseException) -> str:
    """A short text for a model's exception; what came from outside of the model is raised again.

    A model may raise anything: `sys.exit` raises an exception that is no `Exception`, and River's parts in
    Rust panic with another one, which no module exports.

    Examples
    --------
    >>> failure(SystemExit(3)), failure(GeneratorExit())
    ('SystemExit: 3', 'GeneratorExit')
    """
    if isinstance(error, Interruption) or (isinstance(error, KeyboardInterrupt) and _ctrl_c_raises()):
        raise error
    name = printable(type(error).__name__)
    try:
        lines = str(error).splitlines()
    except BaseException as another:
        if isinstance(another, Interruption):
            raise
        return name
    return f"{name}: {printable(lines[0][:_MOST_CHARS])}" if lines else name


def printable(text: str) -> str:
    r"""A model's text with an escape for each character that cannot be printed, or not even be encoded.

    Examples
    --------
    >>> print(printable("\x1b[2J \udc80"))
    \x1b[2J \udc80
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _ctrl_c_raises() -> bool:
    """Whether Ctrl-C raises `KeyboardInterrupt`; in a daemon only a model can have raised it."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def failure_text(error: BaseException) -> str:
    """As `failure`, without the name of the exception's class where it is a usual one."""
    text = failure(error)
    return text.partition(": ")[2] or text if isinstance(error, Exception) else text
