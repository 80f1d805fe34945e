"""Every error of the SDK, classified by what its reader can do about it.

    SdkError
    ├── ConfigurationError           correct a setting, then start again
    │   └── RoutingError             an event has no topic, or more than one
    ├── SchemaError                  correct a schema
    │   ├── InvalidSchemaError       it is not valid Avro
    │   └── IncompatibleSchemaError  it can never be read, or the registry refuses it
    ├── SerializationError           correct the event; nothing was sent
    │   └── InvalidValueError        a value does not fit its field; also a ValueError
    ├── DeserializationError         poison: these bytes can never be read
    │   └── UnidentifiedError        no CloudEvents id, by which an inbox identifies the event
    ├── RegistryError                the schema registry gave no usable answer
    │   ├── RegistryUnavailableError outage: wait and ask again
    │   ├── RegistryRefusedError     credentials or permissions
    │   └── SchemaNotFoundError      no such subject, version or id
    ├── BrokerError                  Kafka gave no usable answer
    │   ├── BrokerUnavailableError   outage: wait and try again
    │   │   └── TransactionUnknownError  a commit was not answered: it may have happened
    │   ├── AuthenticationError      wrong credentials, untrusted certificate
    │   └── AuthorizationError       not allowed
    ├── DeliveryError                a message was not acknowledged
    │   ├── QueueFullError           the local queue stayed full
    │   ├── DeliveryTimeoutError     no acknowledgement in time; a copy may exist
    │   ├── MessageTooLargeError     the broker or client refuses its size
    │   └── UndeliveredError         closing: failed deliveries that were not waited for
    ├── HandlerError                 a handler raised; its record was not committed
    ├── BatchFailed                  raised by batch handlers: which of their events failed
    ├── DependencyDown               raised by handlers: a dependency is unavailable
    ├── TransactionAbortedError      nothing was committed: repeat the transaction
    ├── FencedError                  another instance has taken over; stop
    ├── DatabaseError                the service's database gave no usable answer
    └── ClosedError                  used after close, or in a forked child

Each error may carry where it happened (event, topic, partition, offset, subject, schema id, field
path, byte offset) as attributes, and a remedy. Messages never contain secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a remedy for a mistyped name, or ``otherwise`` if no known name is similar."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def message_of(error: BaseException) -> str:
    """Return an exception's message, or a substitute if it cannot be shown."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a defective __str__ must not lose the record
        return "<the exception's message cannot be shown>"


def class_and_message(error: BaseException) -> str:
    """Return the name of an exception's class, and its message if it has one."""
    return f"{type(error).__name__}: {message_of(error)}".removesuffix(": ")


class SdkError(Exception):
    """Base of all errors that this SDK raises.

    Args:
        message: What went wrong, in one line.
        remedy: What the reader can do about it.
        event: Full name of the event class.
        topic: Kafka topic.
        partition: Kafka partition.
        offset: Kafka offset.
        subject: Registry subject.
        schema_id: Registry schema id.
        path: Path of the field inside the event, such as ``lines[0].sku``, or JSON pointer
            inside a schema, such as ``/fields/1/type``.
        byte_offset: Offset inside the payload at which the value at ``path`` starts.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        event: str | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        subject: str | None = None,
        schema_id: int | str | None = None,
        path: str | None = None,
        byte_offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.event = event
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.subject = subject
        self.schema_id = schema_id
        self.path = path
        self.byte_offset = byte_offset

    def __str__(self) -> str:
        where = ", ".join(
            f"{name} {value}"
            for name, value in (
                ("event", self.event),
                ("topic", self.topic),
                ("partition", self.partition),
                ("offset", self.offset),
                ("subject", self.subject),
                ("schema id", self.schema_id),
                ("at", self.path),
                ("byte", self.byte_offset),
            )
            if value not in (None, "")
        )
        text = f"{self.message} ({where})" if where else self.message
        return f"{text}. Remedy: {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.__dict__.copy()))


def _rebuild(cls: type[SdkError], state: dict[str, Any]) -> SdkError:
    error = cls.__new__(cls, state.get("message", ""))
    error.__dict__.update(state)
    return error


class ConfigurationError(SdkError):
    """A setting is missing, unknown, of the wrong type or out of range."""


class RoutingError(ConfigurationError):
    """An event has no topic, or a name fits more than one event."""


class SchemaError(SdkError):
    """A schema must be corrected."""


class InvalidSchemaError(SchemaError):
    """A schema is not valid Avro; ``path`` is the JSON pointer of the defect."""


class IncompatibleSchemaError(SchemaError):
    """A reader can never read what a writer wrote, or the registry refuses a version."""


class SerializationError(SdkError):
    """An event cannot be written; nothing was sent."""


class InvalidValueError(SerializationError, ValueError):
    """A value does not fit its field, as the constructor of a generated class found."""


class DeserializationError(SdkError):
    """Poison: the bytes can never be read as the requested event."""


class UnidentifiedError(DeserializationError):
    """Poison: the record has no CloudEvents id and source, by which an inbox identifies events."""


class RegistryError(SdkError):
    """The schema registry gave no usable answer.

    Args:
        message: What went wrong, in one line.
        status: HTTP status of the answer, if there was one.
        error_code: The registry's own code, such as 40403, if it gave one.
        retry_after: Seconds that the registry asks to wait (``Retry-After``), if it does.
        **context: As for `SdkError`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        error_code: int | None = None,
        retry_after: float | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.status = status
        self.error_code = error_code
        self.retry_after = retry_after


class RegistryUnavailableError(RegistryError):
    """The registry cannot be reached or is failing; the same request may succeed later."""


class RegistryRefusedError(RegistryError):
    """The registry refuses the credentials, the permission or the operation."""


class SchemaNotFoundError(RegistryError):
    """The registry has no such subject, version or schema id."""


class BrokerError(SdkError):
    """Kafka gave no usable answer."""


class BrokerUnavailableError(BrokerError):
    """No broker can be reached; the same request may succeed later."""


class TransactionUnknownError(BrokerUnavailableError):
    """No answer to a commit in time: the transaction may be committed, or will be aborted."""


class AuthenticationError(BrokerError):
    """The broker refuses the credentials, or its certificate is not trusted."""


class AuthorizationError(BrokerError):
    """The broker does not allow the operation to this user."""


class DeliveryError(SdkError):
    """A message was not acknowledged."""


class QueueFullError(DeliveryError):
    """The local queue stayed full for the whole allowed wait; the message was not queued."""


class DeliveryTimeoutError(DeliveryError):
    """No acknowledgement arrived in time; a copy of the message may exist on the broker."""


class MessageTooLargeError(DeliveryError):
    """The message is larger than the client or the broker accepts."""


class UndeliveredError(DeliveryError):
    """A producer was closed with failed deliveries that were not waited for.

    Args:
        message: The number of failures, in words.
        failures: The deliveries (`sdk.Delivery`), each with its record and its error.
        **context: As for `SdkError`.
    """

    def __init__(self, message: str, *, failures: tuple[Any, ...] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.failures = failures


class HandlerError(SdkError):
    """A handler raised (its exception is the cause); its record was not committed."""


class BatchFailed(SdkError):  # noqa: N818 - a handler states a fact, not a mistake
    """Raised by a batch handler when some of its events failed; the others count as handled.

        raise BatchFailed({3: ValueError("no stock")})

    Args:
        errors: Position of each event that failed, from 0 → why.
        **context: As for `SdkError`.
    """

    def __init__(self, errors: Mapping[int, BaseException], **context: Any) -> None:
        super().__init__(f"{len(errors)} events of a batch failed", **context)
        self.errors = dict(errors)


class DependencyDown(SdkError):  # noqa: N818 - a handler states a fact, not a mistake
    """Raised by a handler when a system it depends on is down, so that consumption is paused.

    The consumer opens a circuit for the dependency: the partitions are paused and no attempt is
    counted. After a delay one record is tried; when its handler returns, consumption resumes.

        raise DependencyDown("payments-db", retry_after=5)

    Args:
        dependency: Name of what is down; each name has its own circuit.
        retry_after: Seconds to wait before the next try; by default a growing wait is chosen.
        **context: As for `SdkError`.
    """

    def __init__(
        self, dependency: str, *, retry_after: float | None = None, **context: Any
    ) -> None:
        super().__init__(f"{dependency} is down", **context)
        self.dependency = dependency
        self.retry_after = retry_after


class TransactionAbortedError(SdkError):
    """A transaction was aborted: nothing of it was published; it may be repeated."""


class FencedError(SdkError):
    """Another instance has taken over this client's identity; it must stop."""


class ClosedError(SdkError):
    """A client was used after it was closed, or in a forked child process."""


class DatabaseError(SdkError):
    """The service's own database, of an outbox or inbox, gave no usable answer."""
