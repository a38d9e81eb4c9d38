"""Reloads a running daemon's configuration: prepares all of it first, then applies it or refuses it."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import structlog

from alerts.clock import Clock
from alerts.receivers.errors import ReceiverError
from alerts.receivers.receiver import Receiver
from alerts.receivers.registry import build_receiver
from alerts.secrets import SecretError, small_file
from alerts.stages.registry import StageSettings, build_stages
from alerts.stages.route import Router
from streamer.config.errors import ConfigError, Path, Problem
from streamer.config.file import ConfigFile
from streamer.config.load import load
from streamer.config.secrets import Secrets, resolve_secrets, secrets_of
from streamer.config.settings import Settings
from streamer.errors import TapewatchError
from streamer.notify.delivery_details import DeliveryDetails
from streamer.notify.receiver_set import ReceiverSet
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.detector_models import tried_first
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
        ("late_after",),
        ("drift",),
        ("engine", "max_ahead"),
        ("engine", "max_instruments"),
        ("engine", "forget_after"),
        ("engine", "flood"),
    }
)
"""The settings that a running daemon can reload; all others need a restart."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, ready to be used.

    Parameters
    ----------
    config, secrets, plan
        The configuration, its resolved secrets, and its compiled plan.
    """

    config: ConfigFile
    secrets: Secrets
    plan: Plan
    files: Mapping[str, bytes] = field(init=False, repr=False)
    """Digests of what receivers' files held when the configuration was loaded; empty for one that is gone."""

    def __post_init__(self) -> None:
        named = {
            str(path): _digest(path)
            for settings in self.config.settings.receivers.values()
            for path in settings.of_kind.files
        }
        object.__setattr__(self, "files", named)


@dataclass(frozen=True, slots=True)
class _PreparedReload:
    loaded: LoadedConfig
    receivers: ReceiverSet
    changed: tuple[str, ...]


def build_receivers(
    config: ConfigFile, secrets: Secrets, clock: Clock, kept: frozenset[str] = frozenset()
) -> ReceiverSet:
    """Build the receivers of a configuration, except those in `kept`, and the stages for all of them.

    Raises
    ------
    ConfigError
        With every receiver that cannot be built from its settings.
    """
    built: dict[str, Receiver] = {}
    problems: list[Problem] = []
    for name, settings in config.settings.receivers.items():
        if name in kept:
            continue
        try:
            built[name] = build_receiver(name, settings, secrets, clock)
        except (ReceiverError, SecretError) as error:
            problems.append(receiver_problem(config, name, error))
    if problems:
        config.fail(problems)
    names = tuple(config.settings.receivers)
    of_all = config.settings.receivers
    router = Router(config.settings.route, names)
    stages = StageSettings(
        router,
        caps={name: settings.messages_per_minute for name, settings in of_all.items()},
        edits={name: edits for name, settings in of_all.items() if (edits := settings.edits_per_minute)},
        late_after_s=config.settings.late_after_s,
    )
    parallel = {name: settings.at_once for name, settings in of_all.items()}
    details = delivery_details(config, router)
    return ReceiverSet(names, built, build_stages(stages), parallel=parallel, details=details)


def delivery_details(config: ConfigFile, router: Router) -> DeliveryDetails:
    """What a configuration says of deliveries beside what their alerts say."""
    purposes = {name: rule.why for name, rule in config.settings.rules.enabled.items()}
    return DeliveryDetails.of(purposes, router)


def receiver_problem(config: ConfigFile, name: str, error: ReceiverError | SecretError) -> Problem:
    """Why a receiver cannot be built, at the setting that is at fault."""
    kind = config.settings.receivers[name].kind
    option = (kind, *filter(None, error.option)) if error.option else ()
    return config.problem(("receivers", name, *option), str(error))


def needs_restart(before: Settings, after: Settings) -> list[Path]:
    """The changed settings that a running daemon cannot reload.

    Examples
    --------
    >>> before = Settings.model_validate({"store": "a.db"})
    >>> after = Settings.model_validate({"store": "b.db", "engine": {"batch_size": 7, "flood": 3}})
    >>> needs_restart(before, after)
    [('store',), ('engine', 'batch_size')]
    """
    sections = [name for name in Settings.model_fields if (name,) not in RELOADABLE]
    old, new = (
        settings.model_dump(mode="json", by_alias=True, include=set(sections)) for settings in (before, after)
    )
    return [
        path
        for name in sections
        for path in _differences(old[name], new[name], (name,))
        if path not in RELOADABLE
    ]


@dataclass(frozen=True, slots=True)
class ReloadTargets:
    """What a reload changes, and who is told.

    Parameters
    ----------
    engine
        Switches to the new plan, task by task, each with a journaled step.
    notify
        Switches to the new receivers and routes.
    watch
        Called after each reload with True if it was applied, False if it was refused.
    preparing
        Called with True before another thread prepares a reload, with False once it has.
    settle
        Called with the new plan before tasks switch to it.
    hide
        Called with the values of all secrets before anything is built from them, on the preparing thread.
    """

    engine: Engine
    notify: Callable[[ReceiverSet], None]
    watch: Callable[[bool], None] = lambda _: None
    preparing: Callable[[bool], None] = lambda _: None
    settle: Callable[[Plan], None] = lambda _: None
    hide: Callable[[Iterable[str]], None] = lambda _: None


class Reloader:
    """Reloads the configuration file on request.

    Reading, checking and compiling run on a thread of their own, so that detection continues meanwhile; the
    result is applied between two polls.

    Parameters
    ----------
    running
        The configuration that the daemon was started with.
    targets
        What a reload changes.
    clock
        Wall-clock time, for receivers.
    environ
        Where secrets may come from.
    """

    def __init__(
        self, running: LoadedConfig, targets: ReloadTargets, clock: Clock, environ: Mapping[str, str]
    ) -> None:
        self._running = running
        self._targets = targets
        self._clock = clock
        self._environ = environ
        self._preparing: Future[_PreparedReload] | None = None

    def work(self, requested: threading.Event) -> None:
        """Start a requested reload, apply one that is prepared; call it between polls.

        Raises
        ------
        TapewatchError
            When the store cannot be written to; a refused reload is only logged.
        """
        if self._preparing is not None and self._preparing.done():
            prepared, self._preparing = self._preparing, None
            self._targets.preparing(False)
            self._finish(prepared)
        if requested.is_set() and self._preparing is None:
            requested.clear()
            self._targets.preparing(True)
            self._preparing = _run_in_thread(self._prepare)

    def _finish(self, preparing: Future[_PreparedReload]) -> None:
        error = preparing.exception()
        if error is None:
            self._apply(preparing.result())
        elif isinstance(error, TapewatchError):
            problems = error.problems if isinstance(error, ConfigError) else (error,)
            for problem in problems:
                log.error("reload refused", problem=str(problem))
            log.error("nothing was changed", config=self._running.plan.config_hash, problems=len(problems))
        else:
            # A bug of ours must not stop a working daemon.
            text = "".join(traceback.format_exception(error))
            log.error("reload failed, nothing was changed", traceback=text)
        self._targets.watch(error is None)

    def _apply(self, prepared: _PreparedReload) -> None:
        before, self._running = self._running, prepared.loaded
        warnings = {*prepared.loaded.config.warnings, *prepared.loaded.plan.warnings}
        for warning in (*sorted(warnings), *prepared.loaded.secrets.warnings):
            log.warning("configuration", problem=str(warning))
        self._targets.settle(prepared.loaded.plan)
        self._targets.engine.reload(prepared.loaded.plan)
        self._targets.notify(prepared.receivers)
        log.info(
            "reloaded",
            old=before.plan.config_hash,
            new=prepared.loaded.plan.config_hash,
            changed=", ".join(prepared.changed) or "nothing",
        )

    def _prepare(self) -> _PreparedReload:
        before = self._running
        config = load(before.config.path)
        plan = compile_plan(config, tried_first)
        restart_paths = needs_restart(before.config.settings, config.settings)
        if restart_paths:
            config.fail([config.problem(path, _restart_text(path)) for path in restart_paths])
        secrets = resolve_secrets(config, self._environ)
        self._targets.hide(secrets.values)
        loaded = LoadedConfig(config, secrets, plan)
        kept = frozenset(
            name
            for name in config.settings.receivers
            if _receiver_inputs(before, name) == _receiver_inputs(loaded, name)
        )
        receivers = build_receivers(config, secrets, self._clock, kept)
        if plan.config_hash != before.plan.config_hash:
            warm_up(plan)
        return _PreparedReload(
            loaded, receivers, tuple(_changed(before.config.settings, config.settings, kept))
        )


_MOST_BYTES_OF_FILE = 16_777_216  # larger ones are refused by the receivers that are built from them
_RESTART = "this change needs a restart (SIGTERM, then start again); undo it to reload the rest"
_RESTART_JOIN = (
    "a changed join needs a restart of all members of the group (SIGTERM, then start again): the logs of its "
    "topics end, what is open in them resolves, and the new ones go on where those were, with models that "
    "warm up anew; undo it to reload the rest"
)


def _restart_text(path: Path) -> str:
    return _RESTART_JOIN if path[:2] == ("source", "join") else _RESTART


def _run_in_thread(prepare: Callable[[], _PreparedReload]) -> Future[_PreparedReload]:
    future: Future[_PreparedReload] = Future()

    def work() -> None:
        try:
            future.set_result(prepare())
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            future.set_exception(error)

    threading.Thread(target=work, name="reload", daemon=True).start()
    return future


def _receiver_inputs(loaded: LoadedConfig, name: str) -> tuple[object, ...]:
    """What a receiver is built from; values of secrets and contents of files count too: either may be new."""
    settings = loaded.config.settings.receivers.get(name)
    if settings is None:
        return ()
    secrets = (loaded.secrets(secret) for _, secret in secrets_of(settings))
    return (settings, *secrets, *(loaded.files[str(path)] for path in settings.of_kind.files))


def _digest(path: FilePath) -> bytes:
    try:
        return hashlib.sha256(small_file(path, _MOST_BYTES_OF_FILE)).digest()
    except SecretError:
        return b""  # the receiver that is built from it says so


def _differences(old: Any, new: Any, path: Path) -> Iterator[Path]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(name), new.get(name), (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (old_item, new_item) in enumerate(zip(old, new, strict=True)):
            yield from _differences(old_item, new_item, (*path, number))
    else:
        yield path


def _changed(before: Settings, after: Settings, kept: frozenset[str]) -> Iterator[str]:
    """The changed parts, for the log."""
    for section in ("detectors", "engine", "drift", "route", "late_after"):
        if getattr(before, section, None) != getattr(after, section, None):
            yield section
    old, new = before.rules.enabled, after.rules.enabled
    yield from (f"rules.{name}" for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name))
    receivers = dict.fromkeys((*before.receivers, *after.receivers))
    yield from (f"receivers.{name}" for name in receivers if name not in kept)
