"""Routes: which receivers an alert goes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from alerts.language.condition import Condition, compile_condition
from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ABSENT, ExpressionColumns
from alerts.language.symbols import Symbol, SymbolTable
from alerts.mentions import Mentions
from alerts.severity import SEVERITIES
from alerts.stages.stage import AlertTransition, Pass, Stage, Stop, Verdict
from alerts.stages.view import StageView
from alerts.suggestions import did_you_mean

ALERT_SYMBOLS = SymbolTable.of(
    Symbol("severity", "enum", members=SEVERITIES, ordered=True),
    Symbol("rule", "string"),
    Symbol("venue", "string"),
    Symbol("symbol", "string"),
    Symbol("origin", "enum", members=("detect", "service")),
    Symbol("transition", "enum", members=("fired", "updated", "resolved")),
    Symbol("detector", "string"),
    Symbol("score", "number"),
    Symbol("rarity", "seconds"),
)
"""What a route's condition may name: fields of an alert's body."""

_NUMBERS = {"score": "score", "rarity": "rarity_s"}
_TEXTS = tuple(name for name, symbol in ALERT_SYMBOLS.symbols.items() if symbol.type in ("enum", "string"))


class _RouteNode(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: list[str] | None = None
    mention: Mentions | None = None
    routes: list[ChildRoute] = Field(default_factory=list)


class ChildRoute(_RouteNode):
    """A branch of the routing tree.

    Parameters
    ----------
    when
        A condition over the alert: `severity`, `rule`, `venue`, `symbol`, `origin`, `transition`,
        `detector`, `score`, `rarity`.
    to
        Receivers; without it those of the branch above.
    mention
        Whom Slack receivers call where a critical alert begins, beside their own; without it as in the branch
        above, and nobody for an empty list.
    continue_
        Written `continue`: look at the branches after this one as well, even where this one matches.
    routes
        Branches of this branch.
    """

    when: str
    continue_: bool = Field(default=False, alias="continue")


class RouteSettings(_RouteNode):
    """The root of the routing tree: it takes every alert.

    The first branch that matches decides (and the first of its own branches, and so on); where none
    does, `to` holds. Without `to`, that is every receiver. `mention` says whom Slack receivers call where a
    critical alert begins.

    Examples
    --------
    >>> tree = {"to": ["desk"], "routes": [{"when": "severity == critical", "to": ["desk", "ops"]}]}
    >>> RouteSettings.model_validate(tree).routes[0].to
    ['desk', 'ops']
    """


ChildRoute.model_rebuild()
RouteSettings.model_rebuild()


@dataclass(frozen=True, slots=True)
class RouteProblem:
    """Something in the routing tree that cannot work.

    Parameters
    ----------
    path
        Where, below `route`: keys and list positions.
    message
        What is wrong.
    line, column
        Where in the text of a `when`, both from 1; 1, 1 for anything else.
    """

    path: tuple[str | int, ...]
    message: str
    line: int = 1
    column: int = 1


class RouteError(ValueError):
    """A routing tree that cannot work; `problems` says why."""

    def __init__(self, problems: Sequence[RouteProblem]) -> None:
        super().__init__("; ".join(_problem_text(problem) for problem in problems))
        self.problems = tuple(problems)


class Router:
    """Chooses the receivers of an alert.

    An alert of the service about a receiver (``source.receiver``) never goes to that one: where the
    routes name no other, it goes to all the others.

    Parameters
    ----------
    settings
        The tree.
    receiver_names
        All receivers, in the order of the configuration.

    Raises
    ------
    RouteError
        When a condition does not compile, or a receiver does not exist.

    Examples
    --------
    >>> tree = {"to": ["desk"], "routes": [{"when": "severity >= warning", "to": ["desk", "ops"]}]}
    >>> router = Router(RouteSettings.model_validate(tree), ["desk", "ops"])
    >>> router.receivers({"severity": "critical"}), router.receivers({"severity": "info"})
    (('desk', 'ops'), ('desk',))
    """

    def __init__(self, settings: RouteSettings, receiver_names: Sequence[str]) -> None:
        self._names = tuple(receiver_names)
        problems: list[RouteProblem] = []
        root = self._names if settings.to is None else tuple(settings.to)
        self._check(root, (), problems)
        mention = settings.mention or ()
        branches = tuple(self._branches(settings.routes, root, mention, (), problems))
        self._root = _Branch(None, root, mention, True, branches)
        if problems:
            raise RouteError(problems)

    def receivers(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of receivers, each once, in configuration order."""
        wanted = {name for branch in self._root.follow(_columns(body)) for name in branch.to}
        about = _about(body)
        if about is not None and not wanted - {about}:
            wanted = set(self._names)
        return tuple(name for name in self._names if name in wanted and name != about)

    def mentions(self, body: Mapping[str, Any], receiver: str) -> tuple[str, ...]:
        """Whom the branches call that send an alert to a receiver, each once.

        Examples
        --------
        >>> tree = {"routes": [{"when": "severity == critical", "mention": ["@here"]}]}
        >>> router = Router(RouteSettings.model_validate(tree), ["desk"])
        >>> router.mentions({"severity": "critical"}, "desk"), router.mentions({"severity": "info"}, "desk")
        (('<!here>',), ())
        """
        branches = (branch for branch in self._root.follow(_columns(body)) if receiver in branch.to)
        return tuple(dict.fromkeys(token for branch in branches for token in branch.mention))

    def _branches(
        self,
        routes: Sequence[ChildRoute],
        inherited: tuple[str, ...],
        inherited_mention: tuple[str, ...],
        path: tuple[str | int, ...],
        problems: list[RouteProblem],
    ) -> Iterator[_Branch]:
        for number, route in enumerate(routes):
            here = (*path, "routes", number)
            to = inherited if route.to is None else tuple(route.to)
            if route.to is not None:
                self._check(to, here, problems)
            mention = inherited_mention if route.mention is None else route.mention
            below = tuple(self._branches(route.routes, to, mention, here, problems))
            try:
                condition = compile_condition(route.when, ALERT_SYMBOLS)
            except ExpressionError as error:
                problems.append(RouteProblem((*here, "when"), error.message, error.line, error.column))
            else:
                yield _Branch(condition, to, mention, route.continue_, below)

    def _check(self, to: tuple[str, ...], path: tuple[str | int, ...], problems: list[RouteProblem]) -> None:
        for number, name in enumerate(to):
            if name not in self._names:
                message = f"there is no receiver {name!r}{did_you_mean(name, self._names)}"
                problems.append(RouteProblem((*path, "to", number), message))


class RouteStage(Stage):
    """Passes an alert to the receivers that the routes name.

    A receiver that earlier transitions of the episode went to gets the later ones too, whatever the routes
    say of those: who saw it begin must see it end.

    Parameters
    ----------
    router
        The routing tree.
    routed
        Receivers that the routes name, by id and number of the transitions for which they are known.
    """

    name = "route"
    phase = "routing"

    def __init__(
        self, router: Router, routed: Mapping[tuple[str, int], tuple[str, ...]] = MappingProxyType({})
    ) -> None:
        self._router = router
        self._routed = routed

    def prepare(self, transitions: Sequence[AlertTransition]) -> RouteStage:
        """Evaluate the routes once per transition, instead of once per receiver."""
        routed = {(each.alert_id, each.number): self._router.receivers(each.body) for each in transitions}
        return RouteStage(self._router, routed)

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Stop what no route sends to this receiver; its delivery is not kept."""
        if view.episode(transition.alert_id, receiver).known:
            return Pass("earlier transitions of the episode went there")
        routed = self._routed.get((transition.alert_id, transition.number))
        if receiver in (self._router.receivers(transition.body) if routed is None else routed):
            return Pass("a route names the receiver")
        return Stop("no route names the receiver", None)


@dataclass(frozen=True, slots=True)
class _Branch:
    condition: Condition | None
    to: tuple[str, ...]
    mention: tuple[str, ...]
    continues: bool
    branches: tuple[_Branch, ...]

    def takes(self, alert: ExpressionColumns) -> bool:
        return self.condition is None or bool(self.condition.evaluate(alert)[0])

    def follow(self, alert: ExpressionColumns) -> Iterator[_Branch]:
        matched = False
        for branch in self.branches:
            if not branch.takes(alert):
                continue
            matched = True
            yield from branch.follow(alert)
            if not branch.continues:
                break
        if not matched:
            yield self


def _columns(body: Mapping[str, Any]) -> ExpressionColumns:
    texts = {name: body[name] for name in _TEXTS if isinstance(body.get(name), str)}
    strings = tuple(dict.fromkeys(texts.values()))
    codes = {
        name: np.array([strings.index(texts[name]) if name in texts else ABSENT], np.int32) for name in _TEXTS
    }
    numbers = {name: _number(body.get(key)) for name, key in _NUMBERS.items()}
    return ExpressionColumns(numbers, codes, strings, 1)


def _number(value: object) -> NDArray[np.float64]:
    return np.array([float(value) if isinstance(value, int | float) else np.nan], np.float64)


def _about(body: Mapping[str, Any]) -> str | None:
    source = body.get("source")
    if body.get("origin") != "service" or not isinstance(source, Mapping):
        return None
    name = source.get("receiver")
    return name if isinstance(name, str) else None


def _problem_text(problem: RouteProblem) -> str:
    return f"route{''.join(f'.{part}' for part in problem.path)}: {problem.message}"
