"""The same broker as a container, where a Docker daemon answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from broker.local import UP_WITHIN_S, BrokerError, free_port, serves

IMAGE = "apache/kafka:4.1.1"

SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_PARTITION_VERIFICATION_ENABLE": "false",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "100",
    "KAFKA_LOG_CLEANER_BACKOFF_MS": "100",
    "KAFKA_LOG_INITIAL_TASK_DELAY_MS": "100",
    "KAFKA_LOG_RETENTION_MS": "-1",  # captures are old
    "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "500",
}


@contextmanager
def container_broker() -> Iterator[str]:
    """Run a broker in a container; yields where clients connect.

    Raises
    ------
    BrokerError
        When no Docker daemon answers, or the image cannot be had or does not serve.
    """
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        docker.from_env(timeout=5).ping()
    except DockerException as error:
        msg = "no Docker daemon answers"
        raise BrokerError(msg) from error
    # The clean-up companion is an image of its own; the container is removed below in any case.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    advertised = {"KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}"}
    for name, value in (SETTINGS | advertised).items():
        container.with_env(name, value)
    try:
        container.start()
    except DockerException as error:
        container.stop()
        msg = f"the container {IMAGE} does not start: {str(error)[:300]}"
        raise BrokerError(msg) from error
    try:
        give_up = time.monotonic() + UP_WITHIN_S
        while not serves(f"localhost:{port}"):
            if time.monotonic() > give_up:
                msg = f"the container {IMAGE} does not serve: {container.get_logs()[0][-500:]!r}"
                raise BrokerError(msg)
            time.sleep(0.2)
        yield f"localhost:{port}"
    finally:
        container.stop()
