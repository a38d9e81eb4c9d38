"""Another configuration for a daemon at work: made ready as a whole first, then taken over, or refused."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog

from alerts.clock import Clock
from alerts.receivers.errors import ReceiverError
from alerts.receivers.receiver import Receiver
from alerts.receivers.registry import build_receiver
from alerts.routing import Router, Routes
from alerts.secrets import SecretError
from streamer.config.errors import ConfigError, Path, Problem
from streamer.config.file import ConfigFile
from streamer.config.load import load
from streamer.config.secrets import Secrets, resolve_secrets, secrets_of
from streamer.config.settings import Settings
from streamer.errors import TapewatchError
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.warmup import warm_up

log = structlog.get_logger()

RELOADABLE = frozenset(
    {
        ("detectors",),
        ("rules",),
        ("receivers",),
        ("route",),
        ("drift",),
        ("engine", "max_ahead"),
        ("engine", "max_instruments"),
        ("engine", "flood"),
    }
)
"""What a running daemon can take over; everything else it has built itself around, and needs a restart."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with all that can be made of it before anything uses it.

    Parameters
    ----------
    config, secrets, plan
        The file, what it keeps elsewhere, and what it computes.
    """

    config: ConfigFile
    secrets: Secrets
    plan: Plan


@dataclass(frozen=True, slots=True)
class Receivers:
    """The notify half of a configuration.

    Parameters
    ----------
    names
        All receivers, in the order of the configuration.
    built
        Those that are new, or not what they were; the others go on as they are.
    caps
        Messages a minute by receiver, None for no cap.
    routes
        Who gets what.
    """

    names: tuple[str, ...]
    built: Mapping[str, Receiver]
    caps: Mapping[str, int | None]
    routes: Router


@dataclass(frozen=True, slots=True)
class _Prepared:
    loaded: Loaded
    receivers: Receivers
    changed: tuple[str, ...]


def build_receivers(
    config: ConfigFile, secrets: Secrets, clock: Clock, kept: frozenset[str] = frozenset()
) -> Receivers:
    """Build the receivers of a configuration, but for those that are kept, and the routes to all of them.

    Raises
    ------
    ConfigError
        With every receiver that cannot work as it is set up.
    """
    built: dict[str, Receiver] = {}
    problems: list[Problem] = []
    for name, settings in config.settings.receivers.items():
        if name in kept:
            continue
        try:
            built[name] = build_receiver(name, settings, secrets, clock)
        except (ReceiverError, SecretError) as error:
            problems.append(config.problem(("receivers", name), str(error)))
    if problems:
        config.fail(problems)
    names = tuple(config.settings.receivers)
    caps = {name: settings.messages_per_minute for name, settings in config.settings.receivers.items()}
    return Receivers(names, built, caps, Router(config.settings.route, names))


def needs_restart(before: Settings, after: Settings) -> list[Path]:
    """The settings that differ, and that a running daemon cannot take over.

    Examples
    --------
    >>> one = Settings.model_validate({"store": "a.db"})
    >>> other = Settings.model_validate({"store": "b.db", "engine": {"batch_size": 7, "flood": 3}})
    >>> needs_restart(one, other)
    [('store',), ('engine', 'batch_size')]
    """
    fixed = [name for name in Settings.model_fields if (name,) not in RELOADABLE]
    old, new = (each.model_dump(mode="json", by_alias=True, include=set(fixed)) for each in (before, after))
    return [
        path
        for name in fixed
        for path in _differences(old[name], new[name], (name,))
        if path not in RELOADABLE
    ]


class Reloader:
    """Takes the configuration file over anew when it is asked to.

    Reading, checking and compiling happen on a thread of their own, so that detection goes on
    meanwhile; what comes of it is taken over between two polls.

    Parameters
    ----------
    running
        What the daemon was started with.
    engine
        Turns to the new plan, task by task, each with a journaled step.
    notify
        Turns to the new receivers and routes.
    clock
        Wall-clock time, for receivers.
    environ
        Where secrets may come from.
    watch
        Told each time whether what was asked for was taken over (True) or refused.
    """

    def __init__(
        self,
        running: Loaded,
        engine: Engine,
        notify: Callable[[Routes, Sequence[str], Mapping[str, Receiver], Mapping[str, int | None]], None],
        clock: Clock,
        environ: Mapping[str, str],
        watch: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._running = running
        self._engine = engine
        self._notify = notify
        self._clock = clock
        self._environ = environ
        self._watch = watch
        self._preparing: Future[_Prepared] | None = None

    def work(self, asked: threading.Event) -> None:
        """Begin what is asked for, take over what is ready; call it between polls.

        Raises
        ------
        TapewatchError
            When the store cannot be written to; what was refused is only logged.
        """
        if self._preparing is not None and self._preparing.done():
            prepared, self._preparing = self._preparing, None
            self._settle(prepared)
        if asked.is_set() and self._preparing is None:
            asked.clear()
            self._preparing = _begin(self._prepare)

    def _settle(self, preparing: Future[_Prepared]) -> None:
        error = preparing.exception()
        if error is None:
            self._take(preparing.result())
        elif isinstance(error, TapewatchError):
            problems = error.problems if isinstance(error, ConfigError) else (error,)
            for problem in problems:
                log.error("reload refused", problem=str(problem))
            log.error("nothing was changed", config=self._running.plan.config_hash, problems=len(problems))
        else:
            # a fault of ours; a daemon that works goes on working
            text = "".join(traceback.format_exception(error))
            log.error("reload failed, nothing was changed", traceback=text)
        self._watch(error is None)

    def _take(self, prepared: _Prepared) -> None:
        before, self._running = self._running, prepared.loaded
        for warning in prepared.loaded.config.warnings:
            log.warning("configuration", problem=str(warning))
        self._engine.reload(prepared.loaded.plan)
        made = prepared.receivers
        self._notify(made.routes, made.names, made.built, made.caps)
        log.info(
            "reloaded",
            old=before.plan.config_hash,
            new=prepared.loaded.plan.config_hash,
            changed=", ".join(prepared.changed) or "nothing",
        )

    def _prepare(self) -> _Prepared:
        before = self._running
        config = load(before.config.path)
        plan = compile_plan(config)
        fixed = needs_restart(before.config.settings, config.settings)
        if fixed:
            config.fail([config.problem(path, _RESTART) for path in fixed])
        secrets = resolve_secrets(config, self._environ)
        loaded = Loaded(config, secrets, plan)
        kept = frozenset(
            name for name in config.settings.receivers if _receiver(before, name) == _receiver(loaded, name)
        )
        receivers = build_receivers(config, secrets, self._clock, kept)
        if plan.config_hash != before.plan.config_hash:
            warm_up(plan, log.debug)
        return _Prepared(loaded, receivers, tuple(_changed(before.config.settings, config.settings, kept)))


_RESTART = "this was changed, and needs a restart (SIGTERM, then start again); put it back to reload the rest"


def _begin(prepare: Callable[[], _Prepared]) -> Future[_Prepared]:
    future: Future[_Prepared] = Future()

    def work() -> None:
        try:
            future.set_result(prepare())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=work, name="reload", daemon=True).start()
    return future


def _receiver(loaded: Loaded, name: str) -> tuple[object, ...]:
    """What a receiver is made of; a secret that was changed where it is kept makes another one of it."""
    settings = loaded.config.settings.receivers.get(name)
    if settings is None:
        return ()
    return (settings, *(loaded.secrets(secret) for _, secret in secrets_of(settings)))


def _differences(old: Any, new: Any, path: Path) -> Iterator[Path]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(name), new.get(name), (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, (*path, number))
    else:
        yield path


def _changed(before: Settings, after: Settings, kept: frozenset[str]) -> Iterator[str]:
    """What is another now, by its path, for a person who reads the log."""
    for section in ("detectors", "engine", "drift", "route"):
        if getattr(before, section, None) != getattr(after, section, None):
            yield section
    old, new = before.rules.enabled, after.rules.enabled
    yield from (f"rules.{name}" for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name))
    everyone = dict.fromkeys((*before.receivers, *after.receivers))
    yield from (f"receivers.{name}" for name in everyone if name not in kept)
