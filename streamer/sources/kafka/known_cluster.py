"""The cluster that the logs of a store are of, told from another one at the same or a mistyped address."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from streamer.errors import TapewatchError
from streamer.messages.records import Partition

_log = structlog.get_logger(__name__)


@dataclass
class KnownCluster:
    """What is known of the cluster, and what its answers prove.

    Without an id from the store, the cluster that has any of the store's topics is taken for theirs. Until
    then nothing is proven, so that an empty or wrong cluster ends no logs.

    Parameters
    ----------
    id
        The id that the store has; empty where it has none yet.
    store
        The store's name, for messages.
    keep
        Called with the id once it is known.

    Attributes
    ----------
    confirmed : bool
        Whether the cluster that answers is the one that the logs are of.

    Examples
    --------
    >>> KnownCluster().proves("a1", others_there=True)
    False
    >>> cluster = KnownCluster("a1")
    >>> cluster.meet("a1", has_topics=True)
    >>> cluster.proves("a1", others_there=False), cluster.proves("b2", others_there=True)
    (True, False)
    """

    id: str = ""
    store: str = "the store"
    keep: Callable[[str], None] = lambda _: None
    topics: Collection[str] = ()
    """Topics that the store has logs of; set before the source is opened."""
    members: Collection[Partition] = ()
    """Members of joined logs of the store that are not known to be gone; set before the source is opened."""
    confirmed: bool = field(default=False, init=False)

    def require(self, answered: str, servers: str) -> None:
        """Refuse a cluster with another id.

        Raises
        ------
        TapewatchError
            When it is another one; nothing of it may be read into this store.
        """
        if self.id and answered and answered != self.id:
            raise TapewatchError(
                f"another Kafka cluster answers at {servers}: '{answered}', and the logs of {self.store} are "
                f"of cluster '{self.id}'; nothing was read or ended. Point source.kafka.bootstrap at that "
                "one, or name another file in `store` to begin anew with this one"
            )

    def meet(self, answered: str, *, has_topics: bool) -> None:
        """Note who answers (empty without an id), and whether it has any of the store's topics."""
        if self.id and answered:
            self.confirmed = True  # `require` has refused any other
        elif has_topics:
            self.confirmed = True
            if answered:
                self.id = answered
                self.keep(answered)
                _log.info("the cluster is known from now on", cluster=answered)

    def proves(self, answered: str, *, others_there: bool) -> bool:
        """Whether an answer that a topic does not exist comes from the known cluster.

        Parameters
        ----------
        answered
            The id in that answer; empty where the broker gives none.
        others_there
            Whether the cluster still has another of the topics: all that tells clusters without ids apart.
        """
        if not self.confirmed:
            return False
        return answered == self.id if self.id else others_there
