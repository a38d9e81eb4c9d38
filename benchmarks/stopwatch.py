"""Time by part, taken from outside: public methods are wrapped while a block runs, and stay as they are."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Place = tuple[Any, str, str]
"""An object (a class or a module), the name of what it has, and the part whose time that is."""


class Stopwatch:
    """Seconds by part; a part that is called within another is not counted there.

    Examples
    --------
    >>> class Kitchen:
    ...     def cook(self): return self.wash() + 1
    ...     def wash(self): return 1
    >>> watch = Stopwatch()
    >>> with watch.on([(Kitchen, "cook", "cooking"), (Kitchen, "wash", "washing")]):
    ...     Kitchen().cook()
    2
    >>> sorted(watch.seconds), watch.calls["washing"], Kitchen.cook.__name__
    (['cooking', 'washing'], 1, 'cook')
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inner = [0.0]

    @contextmanager
    def on(self, places: Sequence[Place]) -> Iterator[None]:
        """Take time at these places within the block; on one thread only."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for (owner, name, part), (_, _, found) in zip(places, before, strict=True):
            setattr(owner, name, self._timed(found, part))
        try:
            yield
        finally:
            for owner, name, found in before:
                setattr(owner, name, found)

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        inner, seconds, calls, now = self._inner, self.seconds, self.calls, time.perf_counter

        def timed(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = now()
            try:
                return call(*args, **kwargs)
            finally:
                took = now() - began
                seconds[part] += took - inner.pop()
                calls[part] += 1
                inner[-1] += took

        return timed


@contextmanager
def recorded(owner: Any, name: str) -> Iterator[list[tuple[float, float]]]:
    """When calls of one function began and ended (`time.perf_counter`), from any thread, within a block."""
    calls: list[tuple[float, float]] = []
    found = getattr(owner, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return found(*args, **kwargs)
        finally:
            calls.append((began, time.perf_counter()))

    setattr(owner, name, noted)
    try:
        yield calls
    finally:
        setattr(owner, name, found)
