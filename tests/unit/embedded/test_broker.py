"""The embedded broker: topics, faults, forks, and clients of other processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer

from sdk.embedded import EmbeddedAdmin, EmbeddedBroker
from sdk.embedded.quirks import adapt_consumer, is_mock_cluster
from sdk.errors import ClosedError, ConfigurationError
from sdk.settings import ConsumerOptions, KafkaOptions, TlsOptions
from sdk.topics import TopicDefinition

SECONDS = 60.0


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """A fresh broker."""
    with EmbeddedBroker() as broker:
        yield broker


def send(broker: EmbeddedBroker, topic: str, value: bytes, **config: Any) -> KafkaError | None:
    """Produce one message; return its error."""
    outcomes: list[KafkaError | None] = []
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0, "log_level": 0, **config}
    )
    producer.produce(topic, value, on_delivery=lambda error, _: outcomes.append(error))
    producer.flush(SECONDS)
    return outcomes[0]


def read(broker: EmbeddedBroker, topic: str, group: str, count: int) -> list[Message]:
    """Read and commit messages as a member of a group."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([topic])
    messages: list[Message] = []
    deadline = time.monotonic() + SECONDS
    while len(messages) < count and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            messages.append(message)
    consumer.commit(asynchronous=False)
    consumer.close()
    return messages


def test_messages_come_back(broker: EmbeddedBroker) -> None:
    """Produced records are read, and a group resumes where it committed."""
    broker.create_topics([TopicDefinition(name="orders", partitions=1)])
    for value in (b"1", b"2"):
        assert send(broker, "orders", value) is None
    assert [message.value() for message in read(broker, "orders", "g", 2)] == [b"1", b"2"]
    assert send(broker, "orders", b"3") is None
    assert [message.value() for message in read(broker, "orders", "g", 1)] == [b"3"]


def test_topics_have_the_partitions_that_were_asked_for(broker: EmbeddedBroker) -> None:
    """A topic is created once, with its partition count; the default is four."""
    admin = EmbeddedAdmin(broker)
    admin.create([TopicDefinition(name="orders", partitions=3), TopicDefinition(name="other")])
    admin.create([TopicDefinition(name="orders", partitions=9)])
    assert send(broker, "used", b"x") is None
    found = admin.describe(["orders", "other", "used", "missing"])
    admin.close()
    assert {name: topic.partitions for name, topic in found.items()} == {
        "orders": 3,
        "other": 4,
        "used": 4,
    }


def test_replication_needs_brokers() -> None:
    """Each topic has as many replicas as there are brokers, three at most."""
    with EmbeddedBroker(brokers=3, topics=[TopicDefinition(name="t", partitions=2)]) as broker:
        assert len(broker.bootstrap_servers.split(",")) == 3
        assert broker.topics()["t"].replication == 3


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ü", "x" * 250])
def test_impossible_topic_names_are_refused(broker: EmbeddedBroker, name: str) -> None:
    """A name that Kafka would refuse is refused here too."""
    with pytest.raises(ConfigurationError, match="is not a topic name"):
        broker.create_topics([TopicDefinition(name=name)])


@pytest.mark.parametrize("partitions", [-1, 100_000])
def test_impossible_partition_counts_are_refused(broker: EmbeddedBroker, partitions: int) -> None:
    """A partition count that would end the process is refused before."""
    with pytest.raises(ConfigurationError, match=f"{partitions} partitions"):
        broker.create_topics([TopicDefinition(name="t", partitions=partitions)])


def test_impossible_broker_counts_are_refused() -> None:
    """A cluster has at least one broker."""
    with pytest.raises(ConfigurationError, match="0 brokers"):
        EmbeddedBroker(0)


def test_requests_can_be_made_to_fail(broker: EmbeddedBroker) -> None:
    """An injected error reaches the client once, and can be taken back."""
    broker.fail_requests("produce", [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    error = send(broker, "t", b"x")
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert send(broker, "t", b"x") is None
    broker.fail_requests("produce", [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    broker.clear_failures("produce")
    assert send(broker, "t", b"x") is None


def test_a_broker_can_be_taken_down(broker: EmbeddedBroker) -> None:
    """Nothing is delivered while the broker is down, and everything once it is back."""
    assert send(broker, "t", b"x") is None
    broker.set_broker(up=False)
    error = send(broker, "t", b"y", **{"message.timeout.ms": 300})
    assert error is not None
    assert error.code() == KafkaError._MSG_TIMED_OUT
    broker.set_broker(up=True)
    assert send(broker, "t", b"z") is None


def test_answers_can_be_delayed(broker: EmbeddedBroker) -> None:
    """A delay of the broker is longer than an impatient producer waits."""
    assert send(broker, "t", b"x") is None
    broker.set_round_trip(2_000)
    error = send(broker, "t", b"y", **{"message.timeout.ms": 200})
    assert error is not None


def test_a_closed_broker_says_so() -> None:
    """After close every use is an error, and a second close is none."""
    broker = EmbeddedBroker()
    broker.close()
    broker.close()
    with pytest.raises(ClosedError, match="was closed"):
        _ = broker.bootstrap_servers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_cannot_use_or_harm_the_broker() -> None:
    """In a child the broker is an error, closing it there does nothing, and the parent goes on."""
    code = (
        "import os, sys\n"
        "from sdk.embedded import EmbeddedBroker\n"
        "from sdk.errors import ClosedError\n"
        "broker = EmbeddedBroker()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        broker.bootstrap_servers\n"
        "    except ClosedError:\n"
        "        broker.close()\n"
        "        os._exit(7)\n"
        "    os._exit(1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert broker.topics() == {}\n"
        "broker.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


def test_a_mock_cluster_is_recognised(broker: EmbeddedBroker) -> None:
    """Other processes recognize it by the cluster id; foreign and silent addresses are no mock."""
    assert is_mock_cluster(KafkaOptions(bootstrap_servers=(broker.bootstrap_servers,)))
    for servers, tls in (
        ("kafka.example.org:9092", None),
        (broker.bootstrap_servers, TlsOptions()),
    ):
        assert not is_mock_cluster(KafkaOptions(bootstrap_servers=(servers,), tls=tls), 0.1)


def test_a_mock_cluster_may_take_its_time(broker: EmbeddedBroker) -> None:
    """On a busy machine an answer may take seconds; the cluster is recognised all the same."""
    broker.set_round_trip(3_000)
    assert is_mock_cluster(KafkaOptions(bootstrap_servers=(broker.bootstrap_servers,)))


def test_silence_is_no_mock_cluster() -> None:
    """Where nothing answers within the limit there is no mock cluster."""
    with EmbeddedBroker() as cluster:
        servers = cluster.bootstrap_servers
    assert not is_mock_cluster(KafkaOptions(bootstrap_servers=(servers,)), timeout=0.2)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x04\x00\x00\x00\x01",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x0c" + b"\x00" * 8 + b"\xff\xff" + b"\x00" * 2,
        b"\x00\x00\x00\x0c" + b"\x00" * 8 + b"\x00\x02\xff\xff",
    ],
)
def test_who_is_no_kafka_broker_is_no_mock_cluster(answer: bytes) -> None:
    """Other answers, an unnamed cluster included, are neither an error nor a mock."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        stranger = threading.Thread(target=serve)
        stranger.start()
        port = listener.getsockname()[1]
        assert not is_mock_cluster(KafkaOptions(bootstrap_servers=(f"127.0.0.1:{port}",)), SECONDS)
        stranger.join()


def test_consumers_are_fitted_to_the_mock() -> None:
    """Members join by the new protocol; keys that it refuses are dropped and named."""
    given = ConsumerOptions(
        librdkafka={"session.timeout.ms": 6_000, "fetch.min.bytes": 1, "fetch.wait.max.ms": 50}
    )
    fitted, dropped = adapt_consumer(given)
    assert fitted.group_protocol == "consumer"
    assert dropped == ("session.timeout.ms",)
    assert fitted.librdkafka == {
        "fetch.wait.max.ms": 50,
        "fetch.min.bytes": 1,
        "group.protocol": "consumer",
    }
    assert adapt_consumer(ConsumerOptions())[0].librdkafka["fetch.wait.max.ms"] == 10
