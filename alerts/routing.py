"""Which receivers an alert goes to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: list[str] | None = None
    routes: list[ChildRoute] = Field(default_factory=list)


class ChildRoute(_Node):
    """A branch of the routing tree.

    Parameters
    ----------
    when
        A condition over the alert: `severity`, `rule`, `venue`, `symbol`, `origin`, `transition`,
        `detector`, `score`.
    to
        Receivers; without it those of the branch above.
    continue_
        Written `continue`: look at the branches after this one as well, even where this one matches.
    routes
        Branches of this branch.
    """

    when: str
    continue_: bool = Field(default=False, alias="continue")


class RouteSettings(_Node):
    """The root of the routing tree: it takes every alert.

    The first branch that matches decides (and the first of its own branches, and so on); where none
    does, `to` holds. Without `to`, that is every receiver.

    Examples
    --------
    >>> tree = {"to": ["desk"], "routes": [{"when": "severity == critical", "to": ["desk", "ops"]}]}
    >>> RouteSettings.model_validate(tree).routes[0].to
    ['desk', 'ops']
    """


ChildRoute.model_rebuild()
RouteSettings.model_rebuild()
