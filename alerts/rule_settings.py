"""The settings of rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from alerts.catalogue.files import known_set, read_set, set_names
from alerts.for_clause import FlapText, HoldText, RuleDurationText
from alerts.language.symbols import KIND_LABELS, KIND_NAMES, EventKind, KindName
from alerts.severity import SEVERITIES, Severity, severity_rank
from alerts.suggestions import did_you_mean
from alerts.update_clause import UpdatesText, parse_updates

WrittenKindName = Literal[EventKind, "timer", "tick"]
"""Kinds of events as they may be written; ``tick`` is the older word for ``timer``."""

MAX_TEXT = 2_000
"""Maximum characters of an expression or a text."""

_RULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def _stored_kind(value: object) -> object:
    if value in KIND_LABELS or value in KIND_NAMES:
        return "tick" if value == "timer" else value
    choices = ", ".join(f"'{label}'" for label in KIND_LABELS)
    raise PydanticKnownError("literal_error", {"expected": choices})


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Kind = Annotated[KindName, BeforeValidator(_stored_kind, json_schema_input_type=WrittenKindName)]


class RuleSettings(BaseModel):
    """One rule.

    Parameters
    ----------
    when
        The condition, in the rule language.
    on
        Kinds of events to evaluate it on; by default those that carry what the condition names.
        ``timer`` marks the passing of time; ``tick`` means the same.
    for_
        ``for`` in a file: true on ``3 of 5`` evaluations, or on every evaluation for ``10s``; by default the
        alert fires at once.
    clear
        How long the condition must not have been true before the alert resolves.
    severity
        The severity of its alerts.
    escalate
        Higher severities, each with the condition under which the alert has it.
    flap
        An alert whose condition completes ``for`` again within this time of its resolve goes on under the
        same id. From then on it resolves after the longer of ``clear`` and ``flap``.
    updates
        How often an open alert is told again: an interval, ``off``, or ``backoff``, the default: after 30s,
        1m, 2m, 4m and so on, up to 1h.
    measure
        The number that says how bad it is, of which an alert tells the first, the worst and the last value;
        by default the left side of the condition's first comparison. ``highest`` or ``lowest`` before it
        says which is the worst.
    text
        The text of the alert, with names in braces: ``"{symbol} moved {return_bps_10s:+.1f} bps"``.
    why
        Purpose of the rule, for people.
    references
        Sources of the rule and its thresholds, for people.
    disabled
        True disables the rule, for example one of a set.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    WHERE_SET: ClassVar[tuple[str, ...]] = ("flap", "updates", "measure")
    """Keys that a stored configuration holds only where they are set, as older ones do not know them."""

    when: str = Field(max_length=MAX_TEXT)
    on: Annotated[tuple[_Kind, ...] | None, BeforeValidator(_several)] = None
    for_: HoldText | None = Field(default=None, alias="for")
    clear: RuleDurationText = "60s"
    severity: Severity = "warning"
    escalate: dict[Severity, Annotated[str, Field(max_length=MAX_TEXT)]] = Field(default_factory=dict)
    flap: FlapText | None = None
    updates: UpdatesText | None = None
    measure: str | None = Field(default=None, max_length=MAX_TEXT)
    text: str | None = Field(default=None, max_length=MAX_TEXT)
    why: str | None = None
    references: tuple[str, ...] = ()
    disabled: bool = False

    def document(self, *, exclude: set[str]) -> dict[str, Any]:
        """The settings in JSON types, without keys to exclude, and without those of `WHERE_SET` not set."""
        document = self.model_dump(mode="json", exclude=exclude)
        return {
            key: value for key, value in document.items() if value is not None or key not in self.WHERE_SET
        }

    @model_validator(mode="after")
    def _check(self) -> RuleSettings:
        problems = []
        if self.on == ():
            problems.append(_problem(("on",), "names no kind (leave it out for the default)"))
        base = SEVERITIES.index(self.severity)
        problems += [
            _problem(
                ("escalate", severity), f"'{severity}' is not above the rule's severity, {self.severity}"
            )
            for severity in self.escalate
            if SEVERITIES.index(severity) <= base
        ]
        if problems:
            raise ValidationError.from_exception_data("RuleSettings", problems)
        return self


class RulesSettings(BaseModel):
    """All rules: sets from the catalogue in ``extends``, and further rules by name.

    A rule with the name of one in a set overrides only the settings it gives; ``null`` or ``disabled: true``
    disables that rule. Where it gives a ``severity`` and no ``escalate``, the set's escalations that are not
    above that severity are left out. ``updates`` is the default of rules that do not have it.

    Examples
    --------
    >>> rules = RulesSettings.model_validate({"extends": ["crypto"], "fat_finger": {"severity": "critical"}})
    >>> rules.enabled["fat_finger"].severity, "notional" in rules.enabled["fat_finger"].when
    ('critical', True)
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, RuleSettings] = Field(init=False)

    extends: tuple[Annotated[str, AfterValidator(known_set)], ...] = ()
    updates: UpdatesText | None = None

    @property
    def enabled(self) -> dict[str, RuleSettings]:
        """Enabled rules by name: those of the sets first, then the user's own, in the order written."""
        return {name: rule for name, rule in (self.__pydantic_extra__ or {}).items() if not rule.disabled}

    @model_validator(mode="before")
    @classmethod
    def _merge(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = {name: rule for name, rule in data.items() if name not in cls.model_fields}
        merged: dict[Any, Any] = _of_sets(data.get("extends"))
        problems = []
        for name, rule in own.items():
            problem = _name_problem(name, rule, merged)
            if problem:
                problems.append(_problem((str(name),), problem))
            elif rule is None:
                merged[name] = {**merged[name], "disabled": True}
            else:
                merged[name] = _changed(merged.get(name, {}), rule) if isinstance(rule, Mapping) else rule
        if isinstance(data.get("updates"), Mapping):
            problems.append(
                _problem(("updates",), "is the default of all rules: give this rule another name")
            )
        if problems:
            raise ValidationError.from_exception_data("RulesSettings", problems)
        return {
            **{name: data[name] for name in cls.model_fields if name in data},
            **_with_updates(merged, data.get("updates")),
        }


def _of_sets(extends: Any) -> dict[str, Any]:
    names = extends if isinstance(extends, list | tuple) else ()
    rules: dict[str, Any] = {}
    for name in names:
        if isinstance(name, str) and name in set_names():
            rules |= read_set(name)
    return rules


def _changed(of_set: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**of_set, **own}
    if "severity" in own and "escalate" not in own and "escalate" in of_set:
        least = severity_rank(own["severity"])
        merged["escalate"] = {
            severity: when for severity, when in of_set["escalate"].items() if severity_rank(severity) > least
        }
    return merged


def _with_updates(rules: dict[Any, Any], updates: Any) -> dict[Any, Any]:
    try:
        parse_updates(updates)
    except ValueError:
        updates = None  # its own place in the file is told
    if updates is None:
        return rules
    return {
        name: {**rule, "updates": updates}
        if isinstance(rule, Mapping) and rule.get("updates") is None
        else rule
        for name, rule in rules.items()
    }


def _name_problem(name: Any, rule: Any, known: Mapping[str, Any]) -> str | None:
    if not isinstance(name, str) or not _RULE_NAME.fullmatch(name):
        return f"'{name}' is not a rule's name (small letters, digits and _, a letter first, at most 64)"
    off = rule is None or (isinstance(rule, Mapping) and rule.get("disabled") is True and "when" not in rule)
    if off and name not in known:
        return f"there is no rule '{name}' in the sets to switch off{did_you_mean(name, known)}"
    return None


def _problem(place: tuple[str, ...], message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("rule", "{text}", {"text": message}), loc=place, input=None
    )
