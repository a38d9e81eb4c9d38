"""What all tests share: a real broker, topics of one's own on it, and captures to read."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

HERE = Path(__file__).parent
# contracts use the rows and names of these folders, whichever is collected first
sys.path[:0] = [str(HERE), str(HERE / "alerts"), str(HERE / "detectors")]

from broker.container import container_broker  # noqa: E402
from broker.local import BrokerError, LocalBroker, serves  # noqa: E402
from broker.shared import shared_broker  # noqa: E402

TopicFactory = Callable[..., str]

# With these files first, no worker is left with a long one at the end.
LONGEST = ("e2e", "bench", "demo", "sources", "pipeline", "alerts")


def pytest_configure(config: pytest.Config) -> None:
    """Keep out what the Kafka client does with the standard library, hundreds of lines of it."""
    settings.register_profile("short", settings(), max_examples=40)  # where a test does not say how many
    settings.load_profile("short")
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders whose files take longest first."""
    places = {HERE / folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.parent, len(places)))


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """A command that a test runs in its own process sets up logs for itself alone."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a real Kafka broker listens in the clear: the environment's, a container, or a local process."""
    folder = tmp_path_factory.getbasetemp()
    room = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    reasons = []
    given = os.environ.get("TAPEWATCH_TEST_BOOTSTRAP")
    with ExitStack() as stack:
        bootstrap = None
        if given and serves(given):
            bootstrap = given
        else:
            reasons.append(f"TAPEWATCH_TEST_BOOTSTRAP: {f'{given} does not answer' if given else 'not set'}")
        if bootstrap is None:
            try:
                bootstrap = stack.enter_context(container_broker())
            except BrokerError as error:
                reasons.append(f"a container: {error}")
        if bootstrap is None:
            try:
                bootstrap = stack.enter_context(shared_broker(room))
            except BrokerError as error:
                reasons.append(f"a local process: {error}")
        if bootstrap is None:
            pytest.fail("the tests need a Kafka broker, and found none; " + "; ".join(reasons))
        yield bootstrap


@pytest.fixture(scope="module")
def brokers_at_hand() -> Iterator[list[LocalBroker]]:
    """Brokers of one's own that a module's next test may have: a start costs seconds of a core."""
    found: list[LocalBroker] = []
    yield found
    for local in found:
        local.stop()


@pytest.fixture
def own_broker(brokers_at_hand: list[LocalBroker]) -> Iterator[Callable[[], LocalBroker]]:
    """Gives brokers without topics that a test may kill and restart."""
    given: list[LocalBroker] = []

    def start() -> LocalBroker:
        if brokers_at_hand:
            given.append(brokers_at_hand.pop())
            return given[-1]
        try:
            given.append(LocalBroker.started(session_s=2.0))
        except BrokerError as error:
            pytest.fail(f"this test needs a broker of its own as a local process: {error}")
        return given[-1]

    yield start
    for local in given:
        if local.running:
            local.clear()
            brokers_at_hand.append(local)
        else:
            local.stop()


@pytest.fixture
def topic_factory(broker: str) -> Iterator[TopicFactory]:
    """Creates topics that are ready to use; to the name given something is added that makes it unique."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=broker)

    def create(name: str = "events", partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        topic = f"{name}.{uuid.uuid4().hex[:12]}"
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
        admin.create_topics({topic: wanted}, wait_for_metadata=True)
        return topic

    yield create
    admin.close()


@pytest.fixture(scope="session")
def data_dir() -> Path | None:
    """The folder of larger real captures, where the environment names one."""
    given = os.environ.get("TAPEWATCH_DATA")
    return Path(given) if given else None


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of the small committed captures."""
    return HERE / "data"
