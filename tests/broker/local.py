"""One real Apache Kafka broker as a local process: jars from Maven, data in a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
UP_WITHIN_S = 60.0
# Below the range that the kernel hands out to outgoing connections, so that a port is still free at a restart
# and no client that keeps trying it can connect to itself.
PORTS = range(20_000, 32_000)

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}{tls_listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}{tls_listener}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=100
log.cleaner.backoff.ms=100
log.cleaner.dedupe.buffer.size=4194304
log.initial.task.delay.ms=100
log.retention.ms=-1
log.retention.check.interval.ms=500
transaction.partition.verification.enable=false
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=2
"""

TLS_PROPERTIES = """
listener.name.ssl.ssl.keystore.location={store}
listener.name.ssl.ssl.keystore.type=PKCS12
listener.name.ssl.ssl.keystore.password={password}
"""

HEAP = ("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class BrokerError(Exception):
    """No broker can be had here; the message says what is missing."""


def jars() -> Path:
    """The folder with the broker's jars; fetched once, and kept under the name of the pom's hash."""
    for program, package in (("java", "a Java runtime, 17 or newer"), ("mvn", "Maven")):
        if shutil.which(program) is None:
            msg = f"{program} is not installed: install {package}"
            raise BrokerError(msg)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapewatch-test-broker"
    folder = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as room:
        fetched = Path(room) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=room, check=False)
        if done.returncode:
            msg = f"Maven could not fetch the broker: {(done.stdout + done.stderr).strip()[-500:]}"
            raise BrokerError(msg)
        with contextlib.suppress(OSError):  # another session was first
            fetched.rename(folder)
    return folder


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    msg = f"no free port between {PORTS.start} and {PORTS.stop}"
    raise BrokerError(msg)


class LocalBroker:
    """A single broker that can be killed and started again on the same port and data.

    Parameters
    ----------
    tls
        Also listen with TLS, at `tls_bootstrap`; `ca` is then the certificate to trust.
    session_s
        How long the cluster believes in a broker that says nothing. A killed one can come back only after it,
        a busy one is out for a moment where it is short.
    """

    user = "tapewatch"
    password = "broker-secret"

    def __init__(self, *, tls: bool = False, session_s: float = 9.0) -> None:
        self._jars = jars()
        self.folder = Path(tempfile.mkdtemp(prefix="tapewatch-broker-"))
        self.port, self.sasl_port, self.tls_port, controller = (free_port() for _ in range(4))
        self.ca = self.folder / "ca.pem"
        text = PROPERTIES.format(
            port=self.port,
            sasl=self.sasl_port,
            controller=controller,
            tls_listener=f",SSL://127.0.0.1:{self.tls_port}" if tls else "",
            data=self.folder / "data",
            user=self.user,
            password=self.password,
            session_ms=int(session_s * 1000),
        )
        if tls:
            text += TLS_PROPERTIES.format(store=self._key_store(), password=self.password)
        self._properties = self.folder / "server.properties"
        self._properties.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def started(cls, *, session_s: float = 9.0) -> LocalBroker:
        """One that serves; another where it does not come up: a port may have been taken meanwhile."""
        for last in (False, True):
            broker = cls(session_s=session_s)
            try:
                broker.start()
            except BaseException as error:
                broker.stop()
                if last or not isinstance(error, BrokerError):
                    raise
            else:
                break
        return broker

    @property
    def bootstrap(self) -> str:
        """Where clients connect in the clear."""
        return f"127.0.0.1:{self.port}"

    @property
    def sasl_bootstrap(self) -> str:
        """Where clients must say who they are (SASL PLAIN, `user` and `password`)."""
        return f"127.0.0.1:{self.sasl_port}"

    @property
    def tls_bootstrap(self) -> str:
        """Where clients connect with TLS, if it was asked for."""
        return f"127.0.0.1:{self.tls_port}"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def clear(self) -> None:
        """Delete all topics."""
        from kafka import KafkaAdminClient

        self.thaw()
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            topics = [topic for topic in admin.list_topics() if not topic.startswith("__")]
            if topics:
                admin.delete_topics(topics)
        finally:
            admin.close()

    def start(self) -> None:
        """Start it (formatting its folder the first time) and wait until it serves."""
        if not (self.folder / "data").exists():
            self._format()
        # The shell in between kills the broker when this process is gone and its end of the pipe with it.
        guard = 'exec 3<&0; (cat <&3 >/dev/null; kill -KILL 0) & exec "$@"'
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", guard, "sh", *self._java("kafka.Kafka", str(self._properties))],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Keep it from answering; connections stay open."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again on its data."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Kill it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _format(self) -> None:
        """Prepare the folder of its data: seconds for the first broker, whose folder the others copy."""
        data, kept = self.folder / "data", self._jars.with_name(f"{self._jars.name}-formatted")
        if kept.is_dir():
            shutil.copytree(kept, data)
            return
        cluster = "T" + secrets.token_urlsafe(16)[1:]  # one that begins with - is taken for an option
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        done = subprocess.run(self._java(*tool), capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"the broker's folder could not be formatted: {(done.stdout + done.stderr)[-500:]}"
            raise BrokerError(msg)
        with tempfile.TemporaryDirectory(dir=kept.parent) as room, contextlib.suppress(OSError):
            Path(shutil.copytree(data, Path(room) / "data")).rename(kept)  # fails where another was first

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *HEAP, "-cp", f"{self._jars}/*", *arguments]

    def _wait(self) -> None:
        assert self._process is not None
        give_up = time.monotonic() + UP_WITHIN_S
        while not serves(self.bootstrap):
            if self._process.poll() is not None or time.monotonic() > give_up:
                output = (self.folder / "output.log").read_text(errors="replace")
                self.kill()
                msg = f"the broker did not come up: {output[-2000:]}"
                raise BrokerError(msg)
            time.sleep(0.1)

    def _key_store(self) -> Path:
        store = self.folder / "store.p12"
        shared = ["-keystore", str(store), "-storepass", self.password, "-alias", "broker"]
        pair = ["-genkeypair", "-storetype", "PKCS12", "-keyalg", "EC", "-validity", "2"]
        names = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-ext", "bc:c=ca:true"]
        for command in ([*pair, *names], ["-exportcert", "-rfc", "-file", str(self.ca)]):
            subprocess.run(["keytool", *command, *shared], capture_output=True, check=True)
        return store


def serves(bootstrap: str) -> bool:
    """Whether a broker answers there, and counts itself as ready."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    host, port = bootstrap.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    try:
        client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=3000)
    except (KafkaError, OSError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()
