"""librdkafka's own mock cluster, reached by ctypes in the library that confluent_kafka brings.

The cluster is real to clients: any process of the machine may connect. It lives in this process
and forgets everything with it. What it lacks is said in `sdk.embedded`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import confluent_kafka
from attrs import evolve
from confluent_kafka import admin, cimpl

from sdk.closing import Closing
from sdk.errors import BrokerUnavailableError, ClosedError, ConfigurationError
from sdk.kafka.config import make_client
from sdk.settings import ConsumerOptions
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name
from sdk.topics import TopicDefinition

DEFAULT_PARTITIONS: Final = 4
"""Partition count of topics that are made by being used."""

CLASSIC_KEYS: Final = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)
"""Keys of the classic group protocol; librdkafka refuses them under the other one."""

API_KEYS: Final = {
    "produce": 0,
    "fetch": 1,
    "list_offsets": 2,
    "metadata": 3,
    "offset_commit": 8,
    "offset_fetch": 9,
    "find_coordinator": 10,
    "init_producer_id": 22,
    "consumer_group_heartbeat": 68,
}
"""Requests that can be made to fail, and Kafka's numbers of them."""

_FETCH_WAIT_MS: Final = 10
_HEARTBEAT_MS: Final = 200
_SESSION_MS: Final = 6_000
_PRODUCER: Final = 0
_TOPIC_EXISTS: Final = 36
_METADATA_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.001
"""Before each request to the cluster's own thread: while that thread is still finishing the one
before, it misses the signal of the next, and comes to it only at its next look, a second later."""
_PARTITIONS: Final = range(1, 10_001)
_BROKERS: Final = range(1, 65)

logger = logging.getLogger(__name__)
_admin: Any = admin


def adapt_consumer(options: ConsumerOptions) -> tuple[ConsumerOptions, tuple[str, ...]]:
    """Fit consumer options to a mock cluster.

    Its classic group protocol waits a whole session timeout at every rebalance, and members with
    different strategies abort the process that hosts it; so members join by the protocol of
    KIP-848. Fetches answer only after their whole waiting time, which is therefore made short.

    Args:
        options: As they were set.

    Returns:
        The options to use, and the keys of librdkafka that were set and had to be dropped.
    """
    dropped = tuple(key for key in CLASSIC_KEYS if key in options.librdkafka)
    kept = {key: value for key, value in options.librdkafka.items() if key not in CLASSIC_KEYS}
    adapted = evolve(
        options,
        group_protocol="consumer",
        librdkafka={"fetch.wait.max.ms": _FETCH_WAIT_MS, **kept, "group.protocol": "consumer"},
    )
    return adapted, dropped


class MockCluster(Closing):
    """A cluster of librdkafka's mock brokers, hosted by this process.

    Args:
        brokers: How many, 1 to 64.

    Raises:
        ConfigurationError: The number is out of range, or the installed confluent_kafka does not
            show librdkafka's functions.
    """

    def __init__(self, brokers: int = 1) -> None:
        if brokers not in _BROKERS:
            raise ConfigurationError(
                f"a mock cluster cannot have {brokers} brokers", remedy="ask for 1 to 64"
            )
        self._library = _library()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._brokers = brokers
        self._handle = _new_handle(self._library)
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._handle)
            raise ConfigurationError(f"a mock cluster of {brokers} brokers cannot be made")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.set_group_timing(heartbeat_ms=_HEARTBEAT_MS, session_ms=_SESSION_MS)
        self._bootstrap_servers: str = self._library.rd_kafka_mock_cluster_bootstraps(
            self._cluster
        ).decode()

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        self._alive()
        return self._bootstrap_servers

    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> bool:
        """Create a topic.

        Args:
            name: Its name.
            partitions: Partition count.

        Returns:
            False if it exists already; it is left as it is.

        Raises:
            ConfigurationError: The name or the partition count is refused.
        """
        if not is_topic_name(name):
            raise ConfigurationError(f"{name!r} is no topic name", remedy=TOPIC_NAME_RULE)
        if partitions not in _PARTITIONS:  # librdkafka would end the process
            raise ConfigurationError(
                f"topic {name!r} cannot have {partitions} partitions",
                topic=name,
                remedy=f"ask for 1 to {_PARTITIONS[-1]}",
            )
        with self._lock:
            code = self._request(
                "rd_kafka_mock_topic_create", name.encode(), partitions, min(3, self._brokers)
            )
        if code not in (0, _TOPIC_EXISTS):
            raise ConfigurationError(
                f"the embedded broker refuses topic {name!r} "
                f"({confluent_kafka.KafkaError(code).name()})",
                topic=name,
            )
        return bool(code == 0)

    def topics(self) -> dict[str, TopicDefinition]:
        """Return all topics, those too that were made by being used.

        Raises:
            BrokerUnavailableError: Every broker was set down.
        """
        client = make_client(_admin.AdminClient, {"bootstrap.servers": self.bootstrap_servers}, {})
        try:
            found = client.list_topics(timeout=_METADATA_SECONDS).topics
        except confluent_kafka.KafkaException as error:
            raise BrokerUnavailableError("the embedded broker does not answer") from error
        return {
            name: TopicDefinition(
                name=name,
                partitions=len(topic.partitions),
                replication=max(
                    (len(each.replicas) for each in topic.partitions.values()), default=1
                ),
            )
            for name, topic in found.items()
        }

    def set_group_timing(self, *, heartbeat_ms: int, session_ms: int) -> None:
        """Set how often members of consumer groups report, and when silent ones are dropped."""
        cluster = self._alive()
        self._library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(cluster, heartbeat_ms)
        self._library.rd_kafka_mock_set_group_consumer_session_timeout_ms(cluster, session_ms)

    # Faults, for tests

    def fail_requests(self, api: str, errors: Sequence[int]) -> None:
        """Let the next requests of one kind fail, one for each error.

        Args:
            api: One of `API_KEYS`.
            errors: Kafka's error codes, such as ``KafkaError.TOPIC_AUTHORIZATION_FAILED``; 0 lets
                a request through.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._alive(), API_KEYS[api], len(errors), codes
        )

    def clear_failures(self, api: str) -> None:
        """Forget the failures that `fail_requests` left."""
        self._library.rd_kafka_mock_clear_request_errors(self._alive(), API_KEYS[api])

    def set_broker(self, *, up: bool, broker: int = 1) -> None:
        """Take a broker off the network, or bring it back."""
        name = "rd_kafka_mock_broker_set_up" if up else "rd_kafka_mock_broker_set_down"
        self._request(name, broker)

    def set_round_trip(self, milliseconds: int, broker: int = 1) -> None:
        """Delay a broker's answers."""
        self._request("rd_kafka_mock_broker_set_rtt", broker, milliseconds)

    def close(self) -> None:
        """Stop the brokers; what they kept is gone. A forked child's copy is only forgotten."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
            if cluster is None or os.getpid() != self._process:
                return
            time.sleep(_PAUSE_SECONDS)
            self._library.rd_kafka_mock_cluster_destroy(cluster)
            self._library.rd_kafka_destroy(self._handle)

    def _request(self, function: str, *arguments: Any) -> Any:
        cluster = self._alive()
        time.sleep(_PAUSE_SECONDS)
        return getattr(self._library, function)(cluster, *arguments)

    def _alive(self) -> int:
        if os.getpid() != self._process:
            raise ClosedError(
                "the embedded broker belongs to the process that forked this one",
                remedy="connect after forking, or export SDK_KAFKA__BOOTSTRAP_SERVERS",
            )
        if self._cluster is None:
            raise ClosedError("the embedded broker was closed")
        return self._cluster


def _new_handle(library: Any) -> int:
    config = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set_log_cb(config, None)
    text = ctypes.create_string_buffer(512)
    handle: int | None = library.rd_kafka_new(_PRODUCER, config, text, len(text))
    if not handle:
        library.rd_kafka_conf_destroy(config)
        raise ConfigurationError(f"librdkafka does not start: {text.value.decode()}")
    return handle


_VOID: Final = None
_POINTER: Final = ctypes.c_void_p
_INT: Final = ctypes.c_int
_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "rd_kafka_conf_new": (_POINTER, ()),
    "rd_kafka_conf_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_conf_set_log_cb": (_VOID, (_POINTER, _POINTER)),
    "rd_kafka_new": (_POINTER, (_INT, _POINTER, ctypes.c_char_p, ctypes.c_size_t)),
    "rd_kafka_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_mock_cluster_new": (_POINTER, (_POINTER, _INT)),
    "rd_kafka_mock_cluster_destroy": (_VOID, (_POINTER,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (_POINTER,)),
    "rd_kafka_mock_topic_create": (_INT, (_POINTER, ctypes.c_char_p, _INT, _INT)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (_VOID, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (_VOID, (_POINTER, _INT)),
    "rd_kafka_mock_set_group_consumer_session_timeout_ms": (_VOID, (_POINTER, _INT)),
    "rd_kafka_mock_push_request_errors_array": (
        _VOID,
        (_POINTER, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(_INT)),
    ),
    "rd_kafka_mock_clear_request_errors": (_VOID, (_POINTER, ctypes.c_int16)),
    "rd_kafka_mock_broker_set_up": (_INT, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_broker_set_down": (_INT, (_POINTER, ctypes.c_int32)),
    "rd_kafka_mock_broker_set_rtt": (_INT, (_POINTER, ctypes.c_int32, _INT)),
}


def _library() -> Any:
    """Return librdkafka with its functions declared.

    On Linux the extension module's dependencies are searched with it, and so they are on macOS;
    where the loader does not do that, the file beside the package is opened.
    """
    for path in _candidates():
        try:
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _PROTOTYPES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            logger.debug("%s does not offer the mock cluster: %s", path, error)
        else:
            return library
    raise ConfigurationError(
        "the embedded broker is not to be had: librdkafka's mock cluster was not found in the "
        f"installed confluent_kafka {confluent_kafka.version()}",
        remedy="install confluent-kafka from its wheel, or set kafka.bootstrap_servers to a broker",
    )


def _candidates() -> Iterator[Path]:
    """Yield the files that may hold librdkafka's functions, likeliest first."""
    module = Path(cimpl.__file__)
    yield module
    for folder in (
        module.parent.with_name("confluent_kafka.libs"),
        module.parent / ".dylibs",
        module.parent,
    ):
        yield from sorted(folder.glob("librdkafka*"))
