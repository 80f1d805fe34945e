"""The interfaces of serializers, topics, brokers and observers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from sdk.errors import SdkError
from sdk.events import E, Event
from sdk.happenings import Happening
from sdk.records import ConsumerRecord, DeliveryReport, Header, ProducerRecord, TopicPartition
from sdk.topics import TopicDefinition


class Incoming(Protocol):
    """A record whose writer is known, ready to be read.

    Attributes:
        full_name: Avro full name of the event that was written.
        schema_id: Registry id (a number) or GUID (text) of the writer schema; None where the
            format has none.
    """

    @property
    def full_name(self) -> str: ...  # noqa: D102

    @property
    def schema_id(self) -> int | str | None: ...  # noqa: D102

    def read(self, event_class: type[E]) -> E:
        """Return the event as an instance of ``event_class``, whichever version wrote it.

        Raises:
            DeserializationError: These bytes can never be read as ``event_class``.
            RegistryError: A rule of the writer schema needs a key that is unavailable.
        """


class MessageSerializer(Protocol):
    """Turns events into record values and back, in one format.

    Implementations are thread-safe and hold their caches for the life of the client.
    """

    @property
    def content_type(self) -> str:
        """Media type for the ``content-type`` header, such as ``application/avro``."""

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; may append headers of the format.

        Raises:
            SerializationError: The event does not fit its schema.
            RegistryError: The schema id is unavailable.
        """

    def open(self, record: ConsumerRecord) -> Incoming:
        """Find the writer of a record that is not a tombstone.

        Raises:
            DeserializationError: The record does not identify its event.
            RegistryError: The writer schema is unavailable.
        """

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will write this event to this topic without a request to a server."""

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve everything that encoding these (event class, topic) pairs needs.

        Raises:
            RegistryError: A schema is not registered, or the registry is unavailable.
        """


class KeySerializer(Protocol):
    """Turns message keys into bytes and back."""

    def encode(self, key: object, event_class: type[Event], topic: str) -> bytes | None:
        """Return the record key; None and bytes are returned unchanged.

        Raises:
            SerializationError: The key is not of a supported type.
            RegistryError: The id of the key's schema is unavailable.
        """

    def decode(self, data: bytes | None, topic: str, headers: Iterable[Header] = ()) -> object:
        """Return the value of a record key, in the format in which it was written.

        Raises:
            DeserializationError: The key cannot be read in the only configured format.
            RegistryError: The key's schema is unavailable.
        """

    def ready(self, key: object, topic: str) -> bool:
        """Whether `encode` will write this key without a request to a server."""

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve everything that the keys of these (event class, topic) pairs need.

        Raises:
            RegistryError: A key's schema is not registered, or the registry is unavailable.
        """


class TopicResolver(Protocol):
    """Finds the topics of event classes."""

    def resolve(self, event_class: type[Any]) -> TopicDefinition:
        """Return the topic that events of this class are published to.

        Raises:
            RoutingError: The event has no topic.
        """

    def readable(self, event_class: type[Any]) -> tuple[TopicDefinition, ...]:
        """Return the topics of every version that ``event_class`` can read, without repeats."""

    def definitions(self) -> tuple[TopicDefinition, ...]:
        """Return every topic of the events that are used."""


StandardHeaders = Callable[[type[Any], object], list[Header]]
"""(event class, key) → a fresh list of the headers that every record of this class carries."""


class AroundHandler(Protocol):
    """Returns a context manager for each call of a handler, such as a span or a unit of work.

    It is entered and exited in the thread or task of the handler, which sees the context variables
    that it sets. It must not suppress the exception of the handler. An exception that it raises
    itself counts as raised by the handler.
    """

    def __call__(
        self, records: Sequence[ConsumerRecord], event: str | None, group: str, attempt: int, /
    ) -> AbstractContextManager[object]:
        """Return a context manager for one call.

        Args:
            records: The record of the event, or those of a batch.
            event: Full name of the event; None for a record that cannot be opened, whose error
                is raised where its handler would have been called.
            group: Consumer group.
            attempt: Number of the attempt at the first record, from 1, including retry topics.
        """


Interceptor = Callable[[ProducerRecord], ProducerRecord]
"""Called with each record of an event before it is sent; returns the record to send."""


TokenSource = Callable[[], tuple[str, float | datetime]]
"""Returns a fresh OAUTHBEARER token and when it expires (aware datetime or epoch seconds)."""


OnDelivery = Callable[[DeliveryReport | None, SdkError | None], None]
"""Called once for each record, in the thread that takes acknowledgements, with a report or an
error."""


class Tracing(Protocol):
    """Traces published records; implemented in ``sdk.observability.tracing``."""

    def inject(self, record: ProducerRecord) -> ProducerRecord:
        """Return a record, which may be stored before it is sent, with the current context."""

    def send(self, record: ProducerRecord, *, raw: bool) -> tuple[ProducerRecord, OnDelivery]:
        """Begin the span of a record that is about to be queued.

        Args:
            record: The record.
            raw: Whether its headers must not change.

        Returns:
            The record, possibly with the context of the span, and a function to call with the
            outcome.
        """


class BrokerProducer(Protocol):
    """A long-lived producing client of one broker."""

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a record and return at once.

        Args:
            record: One that `sdk.checks.check_record` accepts.
            on_delivery: Called once with the outcome, unless this raises.

        Raises:
            QueueFullError: The local queue is full now.
            MessageTooLargeError: The record can never be queued.
            ClosedError: The client is closed.
        """

    def after_deliveries(self, call: Callable[[], None]) -> None:
        """Register a callback to run after each batch of delivery callbacks."""

    def queued(self) -> int:
        """Return how many records are not acknowledged yet."""

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty, ``timeout`` seconds at most; return what is left."""

    def close(self, timeout: float) -> int:
        """Flush, then release the client; return the number of records not delivered.

        The ``on_delivery`` of each record that was not delivered has been called with an error
        before this returns.
        """

    def connection_error(self) -> SdkError | None:
        """Return why the client cannot reach Kafka now, or None."""


class TransactionalProducer(BrokerProducer, Protocol):
    """A producing client with a transactional id, whose records belong to its open transaction.

    One transaction is open at a time. The four calls with a ``timeout`` (seconds) may be made again
    after a `BrokerUnavailableError` and then go on where they were. After a
    `TransactionAbortedError`, `abort` must follow; after a `FencedError`, only `close`.
    """

    @property
    def transactional_id(self) -> str:
        """Name by which the broker identifies this client and its predecessors."""

    def init_transactions(self, timeout: float) -> None:
        """Take over the transactional id, once, before the first `begin`.

        An older client with this id is fenced and its open transaction aborted; a commit that it
        had begun is completed first.

        Raises:
            FencedError: A newer client has the id already.
            BrokerError: The broker gave no usable answer.
        """

    def begin(self) -> None:
        """Open a transaction.

        Raises:
            FencedError: A newer client has the id.
            BrokerError: Another transaction is open, or failed and was not aborted.
        """

    def send_offsets(
        self, offsets: Sequence[TopicPartition], group: object, timeout: float
    ) -> None:
        """Commit the next offsets to be read with the transaction.

        Args:
            offsets: The next offset to be read of each partition.
            group: The current `BrokerConsumer.group_metadata` of their consumer.
            timeout: Seconds.

        Raises:
            TransactionAbortedError: The consumer is no longer a member of its group, or an earlier
                record of the transaction failed.
            FencedError: A newer client has the id.
            BrokerError: The broker gave no usable answer.
        """

    def commit(self, timeout: float) -> None:
        """Wait for every record, then make the transaction's records and offsets visible.

        Raises:
            TransactionAbortedError: It cannot be committed; nothing of it will be visible.
            TransactionUnknownError: No answer within ``timeout``; only `commit` may follow, which
                then asks for the outcome.
            FencedError: A newer client has the id.
            BrokerError: The broker refused it.
        """

    def abort(self, timeout: float) -> None:
        """Abort the transaction; records that are still queued fail.

        Raises:
            FencedError: A newer client has the id, and the transaction is aborted already.
            BrokerError: The broker gave no usable answer.
        """


class ConsumerListener(Protocol):
    """The callbacks of a `BrokerConsumer`, called only inside `poll`, `commit_sync` or `close`."""

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """The group has assigned these partitions, in addition to earlier ones."""

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions stay assigned until this returns: the last moment to commit."""

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions belong to another member already; commits would be refused."""

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """A `commit` was acknowledged or, with an error, refused."""


class BrokerConsumer(Protocol):
    """A consuming client, member of one group; used by one thread."""

    def subscribe(
        self,
        topics: Sequence[str],
        listener: ConsumerListener,
        *,
        pattern: str | None = None,
        from_beginning: Collection[str] = (),
    ) -> None:
        """Join the group for these topics, and for those whose names match a pattern.

        Args:
            topics: Topic names.
            listener: Notified of rebalances and of commits.
            pattern: Regular expression that is searched from the start of a topic name.
            from_beginning: Topics, such as retry topics, that are read from their beginning
                without a committed offset, whatever the setting.
        """

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return up to ``max_records`` records, waiting ``timeout`` seconds for the first.

        Raises:
            BrokerError: The broker gave no usable answer.
        """

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Send the next offsets to be read; `ConsumerListener.on_committed` has the answer.

        Raises:
            BrokerError: The client cannot send them.
        """

    def commit_sync(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Commit the next offsets to be read, and wait ``timeout`` seconds for the answer.

        Raises:
            BrokerError: The commit was refused, or the answer did not come in time.
        """

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver nothing of these partitions until `resume`, or until they are revoked.

        Raises:
            BrokerError: A partition is not assigned to this client.
        """

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver these partitions again.

        Raises:
            BrokerError: A partition is not assigned to this client.
        """

    def seek(self, partition: TopicPartition) -> None:
        """Continue reading at ``partition.offset``, which may be `BEGINNING` or `END`.

        Raises:
            BrokerError: The partition is not assigned to this client.
        """

    def committed(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with the offsets that the group has committed; None without one.

        Args:
            partitions: Whatever offsets they carry.
            timeout: Seconds.

        Raises:
            BrokerError: The broker gave no usable answer in time.
        """

    def end_offsets(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with their ends: the offsets that their next records will have.

        Args:
            partitions: Whatever offsets they carry.
            timeout: Seconds; 0 sends no request and omits what the client does not know.

        Raises:
            BrokerError: The broker gave no usable answer in time.
        """

    def offsets_for_time(
        self, partitions: Sequence[TopicPartition], timestamp: int, timeout: float
    ) -> list[TopicPartition]:
        """Return the first offset of each partition whose record is not older than a time.

        Args:
            partitions: Whatever offsets they carry.
            timestamp: Milliseconds since the epoch.
            timeout: Seconds.

        Returns:
            The partitions with those offsets; `END` where every record is older.

        Raises:
            BrokerError: The broker gave no usable answer in time.
        """

    def group_metadata(self) -> object:
        """Return this client's group metadata, for `TransactionalProducer.send_offsets`."""

    def close(self) -> None:
        """Leave the group and release the client."""


class Broker(Protocol):
    """Creates the clients of one Kafka cluster, as ``sdk.testing.InMemoryBroker`` does."""

    def producer(self) -> BrokerProducer:
        """Return a new producing client."""

    def check_transactions(self) -> None:
        """Do nothing if the broker isolates transactions.

        Raises:
            ConfigurationError: It does not.
        """

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a new producing client with this transactional id.

        Raises:
            ConfigurationError: The broker cannot isolate transactions.
        """

    def consumer(self, group_id: str, *, read_committed: bool | None = None) -> BrokerConsumer:
        """Return a new consuming client, a member of ``group_id`` once it subscribes.

        Args:
            group_id: Consumer group.
            read_committed: Whether records of open and aborted transactions are left out; by
                default as in the setting ``consumer.isolation_level``.
        """

    def admin(self) -> BrokerAdmin:
        """Return a new client that creates and describes topics."""


class BrokerAdmin(Protocol):
    """Creates and describes topics."""

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist, with the broker's values."""

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; existing ones are not changed."""

    def close(self) -> None:
        """Release the client."""


class Observer(Protocol):
    """A function that is called with each happening; metrics and tracing are observers.

    It is called in the thread where something happens and must be quick; an exception is logged and
    ignored. `sdk.happenings` lists its possible arguments.
    """

    def __call__(self, happening: Happening, /) -> None:
        """Observe a happening."""


@runtime_checkable
class Meter(Observer, Protocol):
    """An observer that counts: frequent happenings reach it in batches, which costs little.

    If all observers are meters, they are not called for each successful record.
    """

    def watch(self, state: Callable[[], Any], /) -> None:
        """Register a function that returns the state of a connection when it is measured."""
