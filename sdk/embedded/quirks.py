"""Adaptations of clients to the differences between librdkafka's mock cluster and Kafka.

The mock cluster is recognized by its cluster id. One plain request asks for it, because a client of
librdkafka would need 50 ms, and a whole time-out if nothing listens, at each start of a service on
a local Kafka.
"""

from __future__ import annotations

import io
import socket
import struct
from typing import BinaryIO, Final

from attrs import evolve

from sdk.settings import ConsumerOptions, KafkaOptions

APPEND_TIME: Final = 1234
"""The append time, in milliseconds, that each acknowledgement reports. It is meaningless, since the
record keeps the timestamp of its producer."""

CLASSIC_KEYS: Final = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)
"""Keys of the classic group protocol, which librdkafka rejects with the other one."""

_CLUSTER_ID_PREFIX: Final = "mockCluster"
_METADATA: Final = struct.pack(">hhih3si", 3, 2, 1, 3, b"sdk", 0)
"""Kafka's Metadata request: key, version, correlation id, client id, and no topics."""
_LARGEST_ANSWER: Final = 1_000_000
_SECONDS: Final = 10.0
_FETCH_WAIT_MS: Final = 10


def adapt_consumer(options: ConsumerOptions) -> tuple[ConsumerOptions, tuple[str, ...]]:
    """Adapt consumer options to a mock cluster.

    Its classic group protocol waits a whole session timeout at every rebalance, and members with
    different strategies abort the process that hosts it; so members join by the protocol of
    KIP-848. Fetches are answered only after their whole waiting time, which is therefore short.

    Returns:
        The options to use, and the librdkafka keys that were set and had to be dropped.
    """
    dropped = tuple(key for key in CLASSIC_KEYS if key in options.librdkafka)
    kept = {key: value for key, value in options.librdkafka.items() if key not in CLASSIC_KEYS}
    adapted = evolve(
        options,
        group_protocol="consumer",
        librdkafka={"fetch.wait.max.ms": _FETCH_WAIT_MS, **kept, "group.protocol": "consumer"},
    )
    return adapted, dropped


def is_mock_cluster(kafka: KafkaOptions, timeout: float = _SECONDS) -> bool:
    """Return whether the brokers are a mock cluster of another process.

    Only loopback addresses are checked: a mock cluster listens nowhere else.
    """
    hosts = {server.rpartition(":")[0] for server in kafka.bootstrap_servers}
    if not hosts <= {"127.0.0.1", "localhost"} or kafka.tls or kafka.sasl:
        return False
    for server in kafka.bootstrap_servers:
        cluster_id = _ask_cluster_id(server, timeout)
        if cluster_id is not None:
            return cluster_id.startswith(_CLUSTER_ID_PREFIX)
    return False


def _ask_cluster_id(server: str, timeout: float) -> str | None:
    """Return a broker's cluster id, or None if no broker answers without TLS."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA)) + _METADATA)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", stream.read(4))
                answer = io.BytesIO(stream.read(min(max(size, 0), _LARGEST_ANSWER)))
        _, brokers = struct.unpack(">ii", answer.read(8))
        for _ in range(brokers):  # node id, host, port, rack
            answer.read(4)
            _text(answer)
            answer.read(4)
            _text(answer)
        return _text(answer)
    except (OSError, OverflowError, ValueError, struct.error):
        return None


def _text(answer: BinaryIO) -> str | None:
    (length,) = struct.unpack(">h", answer.read(2))
    return None if length < 0 else answer.read(length).decode()
