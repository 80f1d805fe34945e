"""The id of a Kafka cluster, asked for by one plain request.

A client of librdkafka needs 50 ms for the same, and a whole time-out where nobody listens; each
start of a service on a local Kafka would pay that.
"""

from __future__ import annotations

import io
import socket
import struct
from typing import BinaryIO, Final

from sdk.settings import KafkaOptions

MOCK_PREFIX: Final = "mockCluster"
"""How the cluster id of each of librdkafka's mock clusters begins."""

_METADATA: Final = struct.pack(">hhih3si", 3, 2, 1, 3, b"sdk", 0)
"""Kafka's Metadata request: key, version, correlation id, client id, and no topics."""

_LARGEST_ANSWER: Final = 1_000_000
_SECONDS: Final = 2.0


def is_mock_cluster(kafka: KafkaOptions, timeout: float = _SECONDS) -> bool:
    """Ask the brokers whether they are a mock cluster, which another process hosts.

    Only loopback addresses are asked: a mock cluster listens nowhere else.

    Args:
        kafka: Servers and credentials.
        timeout: Limit of each step, seconds; silence means no.
    """
    hosts = {server.rpartition(":")[0] for server in kafka.bootstrap_servers}
    if not hosts <= {"127.0.0.1", "localhost"} or kafka.tls or kafka.sasl:
        return False
    for server in kafka.bootstrap_servers:
        cluster_id = ask_cluster_id(server, timeout)
        if cluster_id is not None:
            return cluster_id.startswith(MOCK_PREFIX)
    return False


def ask_cluster_id(server: str, timeout: float) -> str | None:
    """Return what a broker calls its cluster, or None where no broker answers in the clear.

    Args:
        server: Address, ``host:port``.
        timeout: Limit of each step, seconds.
    """
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA)) + _METADATA)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", stream.read(4))
                answer = stream.read(min(max(size, 0), _LARGEST_ANSWER))
        return _cluster_id(io.BytesIO(answer))
    except (OSError, OverflowError, ValueError, struct.error):
        return None


def _cluster_id(answer: BinaryIO) -> str | None:
    _, brokers = struct.unpack(">ii", answer.read(8))
    for _ in range(brokers):  # node id, host, port, rack
        answer.read(4)
        _text(answer)
        answer.read(4)
        _text(answer)
    return _text(answer)


def _text(answer: BinaryIO) -> str | None:
    (length,) = struct.unpack(">h", answer.read(2))
    return None if length < 0 else answer.read(length).decode()
