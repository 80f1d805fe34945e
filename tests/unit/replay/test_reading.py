"""Reading topics: to their ends, whatever takes the time."""

from __future__ import annotations

import time

from sdk.records import ProducerRecord
from sdk.replay.reading import TopicReader
from sdk.testing import InMemoryBroker


def test_slow_use_of_the_records_does_not_end_the_topic() -> None:
    """Who takes longer over the records than a topic may be quiet gets the rest all the same."""
    broker = InMemoryBroker(partitions=1)
    producer = broker.producer()
    for _ in range(600):
        producer.produce(ProducerRecord("letters", b"v"), lambda report, error: None)
    count = 0
    for _ in TopicReader(connect=broker.consumer, quiet=0.05).read("letters"):
        count += 1
        if count == 500:  # as many as one poll returns
            time.sleep(0.2)
    assert count == 600
