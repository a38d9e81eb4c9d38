"""The receivers and stages of one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from alerts.receivers.receiver import Receiver
from alerts.stages.chain import StageChain
from streamer.notify.delivery_details import DeliveryDetails


@dataclass(frozen=True, slots=True)
class ReceiverSet:
    """The receivers and stages of one configuration.

    Parameters
    ----------
    names
        All receivers, in the order of the configuration.
    built
        Those that are new or whose settings changed; on a reload the others go on as they are.
    stages
        Decide who gets what, and when.
    details
        What the configuration says of deliveries beside what their alerts say.
    parallel
        How many deliveries may be on their way to a receiver at once; 1 for one that is not named.
    """

    names: tuple[str, ...]
    built: Mapping[str, Receiver]
    stages: StageChain
    details: DeliveryDetails = field(default_factory=DeliveryDetails)
    parallel: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
