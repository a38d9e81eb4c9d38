"""What a delivery is given before it is sent that the running configuration knows, not its alert."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from alerts.receivers.receiver import Delivery
from alerts.stages.route import Router


def _nobody(body: Mapping[str, Any], receiver: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """What one configuration says of deliveries.

    Parameters
    ----------
    purposes
        `why` of each rule that has one, by the rule's name.
    mentions
        Whom the routes call, from an alert's body and the name of a receiver.

    Examples
    --------
    >>> details = DeliveryDetails({"fat_finger": "An order far too large."})
    >>> body = b'{"rule": "fat_finger", "severity": "warning"}'
    >>> details.completed(Delivery("a1", 0, "desk", body), None, 300.0).why
    'An order far too large.'
    """

    purposes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    mentions: Callable[[Mapping[str, Any], str], tuple[str, ...]] = _nobody

    @classmethod
    def of(cls, purposes: Mapping[str, str | None], router: Router) -> DeliveryDetails:
        """Those of some rules, `why` by name, and of the routes."""
        return cls({name: why for name, why in purposes.items() if why and why.strip()}, router.mentions)

    def completed(self, delivery: Delivery, told: str | None, late_after_s: float) -> Delivery:
        """The delivery with these.

        Parameters
        ----------
        delivery
            As it was claimed.
        told
            The highest severity that the receiver was told of the episode before.
        late_after_s
            From how far behind on it counts as late.
        """
        body = json.loads(delivery.body)
        mention = self.mentions(body, delivery.receiver) if body.get("severity") == "critical" else ()
        return replace(
            delivery,
            why=delivery.why or self.purposes.get(body.get("rule"), ""),
            told=told,
            mention=mention,
            late_after_s=late_after_s,
        )
