"""A broker and a schema registry that need no installation, for first tries and for tests.

    from sdk.embedded import Embedded

    with Embedded() as host:
        ...  # clients use host.bootstrap_servers and host.url

`join` turns settings that say ``embedded`` into settings with addresses, and `lease_broker` and
`lease_registry` return the shared parts behind them, one of each per process.
``python -m sdk.embedded`` hosts both for other processes.

The broker is librdkafka's mock cluster: produce, fetch, commit and consumer groups by the protocol
of KIP-848 work as on Kafka. It has no

* persistence: everything ends with the process;
* transactions: aborted and open ones are visible to every reader, offsets sent to one are not
  stored, and no producer is fenced;
* retention, compaction or topic configuration: each partition drops its oldest batches beyond 5 MB
  or 100,000 batches, whatever a topic's configuration says;
* admin requests: topics are created by the host (`EmbeddedAdmin`, `HostAdmin`), with their
  partition counts, or by being used, with 4 partitions; none can be altered or deleted;
* lookups by time: they find the end of the partition;
* TLS, SASL or authorization: it listens on the loopback interface only;
* classic groups fit for use: every rebalance waits for a session timeout, and members with
  different assignment strategies end the process. Clients must join by ``group.protocol=consumer``;
* clients that are not built on librdkafka: it answers their first request, ApiVersions 3 or later,
  with a malformed refusal. Java's client (4.3) reads a throttle time of twenty minutes from it and
  then finds no topic in the metadata, franz-go gives up. No setting of the mock cluster changes
  this;
* checks of topic names: a topic that a foreign client produces to is created, whatever its name.
  Our own clients refuse names that Kafka refuses.

The registry answers as Confluent's 7.9 does, and knows Avro only: a JSON Schema or Protobuf schema
is refused as an invalid schema type. It parses, prints and compares schemas with `sdk.avro`, as the
codec and the generator do. It has no credentials, no TLS and no persistence either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.embedded.broker import EmbeddedAdmin as EmbeddedAdmin
    from sdk.embedded.broker import EmbeddedBroker as EmbeddedBroker
    from sdk.embedded.host import Embedded as Embedded
    from sdk.embedded.host import EmbeddedRegistry as EmbeddedRegistry
    from sdk.embedded.host import HostAdmin as HostAdmin
    from sdk.embedded.joining import Joined as Joined
    from sdk.embedded.joining import join as join
    from sdk.embedded.sharing import Lease as Lease
    from sdk.embedded.sharing import lease_broker as lease_broker
    from sdk.embedded.sharing import lease_registry as lease_registry

_HOMES = {
    "Embedded": ".host",
    "EmbeddedAdmin": ".broker",
    "EmbeddedBroker": ".broker",
    "EmbeddedRegistry": ".host",
    "HostAdmin": ".host",
    "Joined": ".joining",
    "Lease": ".sharing",
    "join": ".joining",
    "lease_broker": ".sharing",
    "lease_registry": ".sharing",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
