"""Key placement equals that of Kafka's Java client."""

from __future__ import annotations

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.testing.murmur2 import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "java"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_equals_javas(key: bytes, java: int) -> None:
    """The values that Apache Kafka's own unit test of its hash expects come out."""
    assert murmur2(key) == java & 0xFFFFFFFF


@pytest.mark.skipif(
    not hasattr(confluent_kafka, "murmur2"), reason="this release of confluent-kafka hides its hash"
)
@given(st.binary(max_size=200), st.integers(1, 1000))
def test_placement_equals_librdkafkas(key: bytes, partitions: int) -> None:
    """Any key is placed where librdkafka's port of the Java partitioner places it."""
    assert partition_of(key, partitions) == confluent_kafka.murmur2(key, partitions)
