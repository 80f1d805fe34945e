"""Where a broker differs from Apache Kafka: the one table that the conformance suite reads.

A test that meets a difference asserts what the table says instead of what Kafka does, so that an
entry that is no longer true fails.
"""

from __future__ import annotations

TOPIC_CONFIG = "topic configuration is not kept"
REPORTED_TIMESTAMP = "acknowledgements tell the time of producing roughly"
TIME_INDEX = "no offset is found by time"

DIFFERENCES: dict[str, frozenset[str]] = {
    "in-memory": frozenset(),
    "embedded": frozenset({TOPIC_CONFIG, REPORTED_TIMESTAMP, TIME_INDEX}),
    "real": frozenset(),
}
