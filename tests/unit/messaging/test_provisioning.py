"""Topics at start: created, verified, and never changed."""

from __future__ import annotations

import pytest

from sdk.errors import ConfigurationError
from sdk.provisioning import provision
from sdk.testing import InMemoryBroker
from sdk.topics import TopicDefinition

DECLARED = (
    TopicDefinition(name="orders", partitions=6, config={"retention.ms": "1000"}),
    TopicDefinition(name="payments"),
)


def test_none_looks_at_nothing() -> None:
    """Without a wish for provisioning the broker is not asked."""
    broker = InMemoryBroker()
    broker.fail("describe", ConfigurationError("asked"))
    provision(broker.admin(), DECLARED, "none")
    assert broker.definition("orders") is None


def test_create_makes_what_is_missing() -> None:
    """Missing topics are made as declared; what is left open, the broker decides."""
    broker = InMemoryBroker(partitions=4)
    provision(broker.admin(), DECLARED, "create")
    orders, payments = broker.definition("orders"), broker.definition("payments")
    assert orders is not None
    assert payments is not None
    assert (orders.partitions, dict(orders.config)) == (6, {"retention.ms": "1000"})
    assert payments.partitions == 4


def test_create_tells_drift_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A topic that differs is not changed; both values are reported."""
    broker = InMemoryBroker()
    broker.define(TopicDefinition(name="orders", partitions=2, config={"retention.ms": "5"}))
    provision(broker.admin(), DECLARED, "create")
    found = broker.definition("orders")
    assert found is not None
    assert found.partitions == 2
    told = "\n".join(caplog.messages)
    assert "partitions declared 6, actual 2 (cannot be changed" in told
    assert "retention.ms declared 1000, actual 5" in told


def test_verify_accepts_what_is_as_declared() -> None:
    """Topics that are as declared pass, whatever else they have."""
    broker = InMemoryBroker()
    provision(broker.admin(), DECLARED, "create")
    provision(broker.admin(), DECLARED, "verify")


def test_verify_lists_every_difference_at_once() -> None:
    """Missing topics and differing values are one error; nothing is created."""
    broker = InMemoryBroker()
    kept = {"cleanup.policy": "delete"}
    broker.define(TopicDefinition(name="orders", partitions=2, config=kept))
    with pytest.raises(ConfigurationError) as caught:
        provision(broker.admin(), DECLARED, "verify")
    message = str(caught.value)
    assert "topic payments does not exist" in message
    assert "partitions declared 6, actual 2" in message
    assert "retention.ms declared 1000, actual None" in message
    assert broker.definition("payments") is None


def test_broker_that_keeps_no_configuration_is_not_blamed_for_it() -> None:
    """Where a broker reports no configuration at all, only the partitions are compared."""
    broker = InMemoryBroker()
    declared = TopicDefinition(name="orders", partitions=2, config={"retention.ms": "1000"})
    broker.define(TopicDefinition(name="orders", partitions=2))
    provision(broker.admin(), [declared], "verify")


def test_replication_drift_says_that_it_cannot_be_changed() -> None:
    """Replication is compared where it is declared, and called unchangeable."""
    broker = InMemoryBroker()
    broker.define(TopicDefinition(name="orders", replication=1))
    with pytest.raises(ConfigurationError, match=r"replication declared 3, actual 1 \(cannot be"):
        provision(broker.admin(), [TopicDefinition(name="orders", replication=3)], "verify")
