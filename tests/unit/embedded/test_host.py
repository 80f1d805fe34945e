"""Broker and registry together: for other processes, for one process, and as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from sdk.embedded import (
    Embedded,
    EmbeddedRegistry,
    HostAdmin,
    join,
    lease_broker,
    lease_registry,
)
from sdk.errors import BrokerError, BrokerUnavailableError
from sdk.settings import (
    ConsumerOptions,
    KafkaOptions,
    RegistryOptions,
    Settings,
    load_settings,
)
from sdk.topics import TopicDefinition
from tests.unit.embedded.steps import Client, get

SECONDS = 60.0


@pytest.fixture
def host() -> Iterator[Embedded]:
    """Both parts, with one topic."""
    with Embedded(topics=[TopicDefinition(name="orders", partitions=3)]) as host:
        yield host


def test_other_processes_ask_the_host_for_topics(host: Embedded) -> None:
    """Topics are created and described over the registry's port."""
    admin = HostAdmin(host.url + "/")
    admin.create([TopicDefinition(name="new", partitions=2), TopicDefinition(name="orders")])
    found = admin.describe(["new", "orders", "missing"])
    admin.close()
    assert found == {
        "new": TopicDefinition(name="new", partitions=2, replication=1),
        "orders": TopicDefinition(name="orders", partitions=3, replication=1),
    }


def test_the_host_refuses_impossible_topics(host: Embedded) -> None:
    """Refusals of the broker reach the asking process as messages."""
    with pytest.raises(BrokerError, match="'a b' is not a topic name"):
        HostAdmin(host.url).create([TopicDefinition(name="a b")])


def test_a_registry_of_someone_else_is_no_host() -> None:
    """A registry without a broker beside it says that it cannot make topics."""
    with EmbeddedRegistry() as registry, pytest.raises(BrokerError, match="not the one of an"):
        HostAdmin(registry.url).describe(["t"])


def test_a_host_that_disappeared_is_an_outage() -> None:
    """After the host has ended, asking it is an outage."""
    with EmbeddedRegistry() as registry:
        url = registry.url
    with pytest.raises(BrokerUnavailableError, match="does not answer"):
        HostAdmin(url).describe(["t"])


def test_one_broker_and_registry_serve_the_whole_process() -> None:
    """Leases share one thing, which ends with the last of them."""
    first, second = lease_broker(), lease_broker()
    one, two = lease_registry(), lease_registry()
    assert first.value is second.value
    assert one.value.url == two.value.url
    first.close()
    first.close()
    one.close()
    assert second.value.bootstrap_servers
    assert ask(two.value.url) == 200
    second.close()
    two.close()
    with lease_broker() as third:
        assert third.value is not second.value


def test_leases_may_be_taken_by_many_threads() -> None:
    """Threads that connect at once get the same broker."""
    found: list[str] = []
    leases = [None] * 8
    barrier = threading.Barrier(len(leases))

    def take(number: int) -> None:
        barrier.wait()
        leases[number] = lease = lease_broker()
        found.append(lease.value.bootstrap_servers)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(len(leases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lease in leases:
        assert lease is not None
        lease.close()
    assert len(set(found)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_gets_its_own_parts() -> None:
    """A child's leases are new, its parent's go on, and the child frees the parent's port."""
    code = (
        "import os, urllib.request\n"
        "from sdk.embedded import lease_broker, lease_registry\n"
        "broker, registry = lease_broker(), lease_registry()\n"
        "servers, url = broker.value.bootstrap_servers, registry.value.url\n"
        "reading, writing = os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with lease_broker() as own, lease_registry() as other:\n"
        "        different = own.value.bootstrap_servers != servers and other.value.url != url\n"
        "        urllib.request.urlopen(other.value.url + '/subjects', timeout=60).read()\n"
        "    broker.close(); registry.close()\n"
        "    os._exit(7 if different else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "urllib.request.urlopen(url + '/subjects', timeout=60).read()\n"
        "broker.value.topics()\n"
        "broker.close(); registry.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)


def settings(
    servers: tuple[str, ...] = ("embedded",), url: tuple[str, ...] = ("embedded",)
) -> Settings:
    """Settings of a process that joins."""
    return Settings(
        environment="embedded",
        kafka=KafkaOptions(bootstrap_servers=servers),
        registry=RegistryOptions(url=url),
    )


def test_joining_replaces_the_word_by_addresses() -> None:
    """Settings that say embedded come back with addresses, and topics are there."""
    topics = [TopicDefinition(name="orders", partitions=5)]
    first = join(settings(), topics)
    second = join(settings())
    assert first.settings.kafka == second.settings.kafka
    assert first.settings.registry.url == second.settings.registry.url
    assert not first.settings.kafka.embedded
    assert first.settings.consumer.group_protocol == "consumer"
    assert second.admin is not None
    assert second.admin.describe(["orders"])["orders"].partitions == 5
    first.close()
    second.close()


def test_joining_a_host_of_another_process(host: Embedded) -> None:
    """Addresses of a host are recognised: its consumers are fitted, its topics are asked for."""
    joined = join(settings((host.bootstrap_servers,), (host.url,)))
    assert joined.settings.consumer.group_protocol == "consumer"
    assert joined.admin is not None
    assert joined.admin.describe(["orders"])["orders"].partitions == 3
    joined.close()


def test_sharing_the_broker_alone_is_warned_about(
    host: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    """Joining another process's broker with a separate registry logs a warning."""
    joined = join(settings((host.bootstrap_servers,), ("embedded",)))
    joined.close()
    assert "set SDK_REGISTRY__URL as well" in caplog.text


def test_real_servers_are_left_alone() -> None:
    """Settings of real servers come back unchanged."""
    real = settings(("kafka.example.org:9092",), ("https://registry.example.org",))
    joined = join(real)
    assert joined.settings == real
    assert joined.admin is None
    joined.close()


def test_services_on_real_servers_start_without_the_parts() -> None:
    """Connecting to real servers loads neither the registry nor the mock cluster."""
    code = (
        "import sys, sdk.messaging\n"
        "from sdk.embedded import join\n"
        "from sdk.settings import KafkaOptions, RegistryOptions, Settings\n"
        "real = Settings(environment='production',\n"
        "    kafka=KafkaOptions(bootstrap_servers=('kafka.example.org:9092',)),\n"
        "    registry=RegistryOptions(url=('https://registry.example.org',)))\n"
        "assert join(real).settings is real\n"
        "parts = {'sdk.embedded.broker', 'sdk.embedded.host', 'http.server'}\n"
        "print(sorted(parts & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "[]\n"


def test_keys_that_the_embedded_broker_cannot_take_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A key of the classic protocol that was set by hand is left out, and that is said."""
    classic = ConsumerOptions(librdkafka={"heartbeat.interval.ms": 100})
    joined = join(
        Settings(
            environment="embedded",
            kafka=KafkaOptions(bootstrap_servers=("embedded",)),
            registry=RegistryOptions(url=("embedded",)),
            consumer=classic,
        )
    )
    joined.close()
    assert "heartbeat.interval.ms" in caplog.text


def run_host(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SDK_")}
    return subprocess.Popen(
        [sys.executable, "-m", "sdk.embedded", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | variables,
    )


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the printed variables, as a shell would."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    while "SDK_REGISTRY__URL" not in found:
        line = process.stdout.readline()
        assert line, "the command ended early"
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            found[name] = value
    return found


def ask(url: str) -> int:
    """Return the status of a registry's listing."""
    client = Client(url)
    status, _ = client.send(get("/subjects", None))
    client.close()
    return status


SETTINGS = """
[[default.topics]]
event = "OrderCreated"
name = "orders.created"
partitions = 6

[[default.topics]]
event = "OrderCancelled"
name = "orders.cancelled"
"""


@pytest.mark.parametrize(
    ("environment", "number"), [(("--env", "embedded"), signal.SIGINT), ((), signal.SIGTERM)]
)
def test_the_command_hosts_until_it_is_stopped(
    tmp_path: Path, environment: Sequence[str], number: int
) -> None:
    """Its output is a shell script whose variables let others join; a signal ends it cleanly."""
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS)
    process = run_host(
        "--settings", str(file), *environment, "--partitions", "2", "--topic", "more:3"
    )
    try:
        variables = exports(process)
        joined = join(load_settings(environ=variables))
        assert joined.admin is not None
        found = joined.admin.describe(["orders.created", "orders.cancelled", "more"])
        assert {name: topic.partitions for name, topic in found.items()} == {
            "orders.created": 6,
            "orders.cancelled": 2,
            "more": 3,
        }
        joined.close()
        delivered: list[object] = []
        producer = Producer({"bootstrap.servers": variables["SDK_KAFKA__BOOTSTRAP_SERVERS"]})
        producer.produce("more", b"x", on_delivery=lambda error, _: delivered.append(error))
        assert producer.flush(SECONDS) == 0
        assert delivered == [None]
        assert ask(variables["SDK_REGISTRY__URL"]) == 200
        del producer
        process.send_signal(number)
        output, complaints = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output == "# stopped\n"
    assert complaints.count("keep nothing") == 1
    assert "Traceback" not in complaints


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--settings", "missing.toml"), "missing.toml"),
        (("--topic", "a b"), "not a topic name"),
        (("--topic", "a:0"), "'0' is not a whole number from 1 on"),
        (("--topic", "a:many"), "'many' is not a whole number"),
        (("--partitions", "0"), "'0' is not a whole number from 1 on"),
        (("--brokers", "0"), "0 brokers"),
        (("--registry-port", "TAKEN"), "cannot be used"),
        (("--registry-port", "65536"), "'65536' is not a whole number from 0 to 65535"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    host: Embedded, arguments: Sequence[str], complaint: str
) -> None:
    """A wrong option is one line on standard error and exit code 2."""
    taken = host.url.rpartition(":")[2]
    process = run_host(*(taken if argument == "TAKEN" else argument for argument in arguments))
    output, complaints = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert output == ""
    assert complaint in complaints
    assert "Traceback" not in complaints


def test_the_command_ends_quietly_when_nobody_reads_it_any_more() -> None:
    """The reader of the exports, such as a shell, may exit before the command."""
    process = run_host()
    exports(process)
    assert process.stdout is not None
    process.stdout.close()
    process.terminate()
    assert process.stderr is not None
    with process.stderr as complaints:
        told = complaints.read()
    assert process.wait(SECONDS) == 0
    assert "Broken" not in told
