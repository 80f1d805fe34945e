"""Apache Kafka in KRaft mode: one broker or three, each also the cluster's controller."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from attrs import field, frozen

from tests.servers import artifacts
from tests.servers.java import find_java
from tests.servers.process import ServerFailed, ServerProcess, free_port

JAVA = 17

NEVER_KILLED = {"broker.session.timeout.ms": "30000"}
"""Properties of brokers that no test kills: a pause of the machine does not make them seem dead.

A broker that seems dead gets no new topics, and a single one is all there is.
"""

_MAIN = "kafka.Kafka"
_LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel"
_SECURE_LOGIN = {
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
}


@frozen(kw_only=True)
class Security:
    """Listeners with TLS and SASL, and an authorizer that refuses by default.

    Attributes:
        keystores: Listener, such as ``SECURE`` → PEM file with the broker's unencrypted key, then
            its certificate.
        users: Name → password, for SCRAM and PLAIN alike.
        authorize: Refuse what no ACL allows; ``admin`` and the plaintext listener may do all.
    """

    keystores: Mapping[str, Path]
    users: Mapping[str, str] = field(factory=dict)
    authorize: bool = True


@frozen(kw_only=True)
class Broker:
    """One node of a cluster.

    Attributes:
        node_id: From 1.
        port: Of its plaintext listener.
        secure_ports: Of its TLS listeners, by name.
        process: The server process.
    """

    node_id: int
    port: int
    secure_ports: Mapping[str, int]
    process: ServerProcess


class KafkaCluster:
    """A Kafka cluster of our own; a context manager that starts and ends it.

    Args:
        folder: For data, configuration and logs.
        brokers: How many, 1 or 3.
        security: Adds listeners with TLS and SASL.
        proxied: Adds a listener whose advertised ports are these, one a broker, so that clients
            that bootstrap through a proxy stay behind it.
        properties: Broker configuration that comes on top.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        security: Security | None = None,
        proxied: Sequence[int] = (),
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._security = security
        self._proxied = tuple(proxied)
        self._properties = dict(properties or {})
        self._controllers = [free_port() for _ in range(brokers)]
        self.proxied_ports = [free_port() for _ in proxied]
        self.brokers = [self._broker(node_id) for node_id in range(1, brokers + 1)]

    @property
    def bootstrap_servers(self) -> str:
        """Addresses of the plaintext listeners."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    def secure_bootstrap_servers(self, listener: str) -> str:
        """Return the addresses of a TLS listener; its host is ``localhost``."""
        return ",".join(f"localhost:{broker.secure_ports[listener]}" for broker in self.brokers)

    def start(self) -> None:
        """Format the storage, start every broker and wait until each answers."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for broker in self.brokers:
            self._format(broker, cluster_id)
        for broker in self.brokers:
            broker.process.launch()
        for broker in self.brokers:
            broker.process.wait_ready()

    def stop(self) -> None:
        """End every broker; the data stays in the folder."""
        for broker in self.brokers:
            # A majority of controllers is needed for a clean end, and soon there is none.
            broker.process.stop(seconds=15 if len(self.brokers) == 1 else 0.5)

    def log_tails(self) -> str:
        """Return the end of each broker's log, for messages."""
        return "\n".join(broker.process.log_tail() for broker in self.brokers)

    def __enter__(self) -> KafkaCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _broker(self, node_id: int) -> Broker:
        folder = self._folder / f"broker-{node_id}"
        process = ServerProcess(
            f"kafka-{node_id}",
            [
                *self._java("-Xmx400m", f"{_LOG_LEVEL}=info"),
                _MAIN,
                folder / "server.properties",
            ],
            folder,
            ready=lambda log: "Kafka Server started" in log,
        )
        secure = self._security.keystores if self._security else ()
        return Broker(
            node_id=node_id,
            port=free_port(),
            secure_ports={listener: free_port() for listener in secure},
            process=process,
        )

    def _java(self, *options: str) -> list[str | Path]:
        quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
        return [find_java(JAVA), *quick, *options, "-cp", f"{artifacts.kafka_jars()}/*"]

    def _format(self, broker: Broker, cluster_id: str) -> None:
        folder = self._folder / f"broker-{broker.node_id}"
        folder.mkdir(parents=True, exist_ok=True)
        properties = folder / "server.properties"
        lines = (f"{key}={value}\n" for key, value in self._settings(broker, folder).items())
        properties.write_text("".join(lines))
        users = self._security.users if self._security else {}
        scram = [
            argument
            for mechanism in _SECURE_LOGIN
            for name, password in users.items()
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        command = [*self._java("-Xmx256m", f"{_LOG_LEVEL}=warn"), "kafka.tools.StorageTool"]
        # One word: an id may begin with a hyphen.
        command += ["format", f"--cluster-id={cluster_id}", "-c", properties, *scram]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        if done.returncode != 0:
            raise ServerFailed(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")

    def _settings(self, broker: Broker, folder: Path) -> dict[str, str]:
        copies = str(len(self.brokers))
        in_sync = str(len(self.brokers) // 2 + 1)
        index = broker.node_id - 1
        listeners = {"PLAINTEXT": broker.port}
        advertised = {"PLAINTEXT": f"127.0.0.1:{broker.port}"}
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT"}
        for name, port in broker.secure_ports.items():
            listeners[name] = port
            advertised[name] = f"localhost:{port}"
            protocols[name] = "SASL_SSL"
        if self._proxied:
            listeners["PROXIED"] = self.proxied_ports[index]
            advertised["PROXIED"] = f"127.0.0.1:{self._proxied[index]}"
            protocols["PROXIED"] = "PLAINTEXT"
        voters = enumerate(self._controllers, start=1)
        listening = {name: f"127.0.0.1:{port}" for name, port in listeners.items()}
        listening["CONTROLLER"] = f"127.0.0.1:{self._controllers[index]}"
        return {
            "process.roles": "broker,controller",
            "node.id": str(broker.node_id),
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{port}" for n, port in voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": _pairs(listening, "://"),
            "advertised.listeners": _pairs(advertised, "://"),
            "listener.security.protocol.map": _pairs(protocols, ":"),
            "log.dirs": str(folder / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.num.partitions": "3",
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": "3",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "share.coordinator.state.topic.num.partitions": "3",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            # A killed broker is noticed soon, so that its leaders move within a test.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.dedupe.buffer.size": "16777216",
            **self._secure_settings(),
            **self._properties,
        }

    def _secure_settings(self) -> dict[str, str]:
        if self._security is None:
            return {}
        users = self._security.users
        plain = " ".join(f'user_{name}="{password}"' for name, password in users.items())
        logins = _SECURE_LOGIN | {
            "PLAIN": f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};",
            # Accepts unsigned tokens, which is enough to see them arrive.
            "OAUTHBEARER": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule "
            'required unsecuredLoginStringClaim_sub="broker";',
        }
        settings = {"sasl.enabled.mechanisms": ",".join(logins)}
        for name, keystore in self._security.keystores.items():
            listener = f"listener.name.{name.lower()}"
            settings[f"{listener}.ssl.keystore.type"] = "PEM"
            settings[f"{listener}.ssl.keystore.location"] = str(keystore)
            for mechanism, login in logins.items():
                settings[f"{listener}.{mechanism.lower()}.sasl.jaas.config"] = login
        if self._security.authorize:
            settings["authorizer.class.name"] = (
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
            )
            settings["super.users"] = "User:ANONYMOUS;User:admin"
        return settings


def _pairs(values: Mapping[str, object], between: str) -> str:
    return ",".join(f"{name}{between}{value}" for name, value in values.items())
