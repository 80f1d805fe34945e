"""Writes and reads versions with a rule set by Confluent's serializers, followed by our codec.

Given a local schema to write, or a reader schema to read, Confluent's serializers silently skip
the rules. So an event is written by `AvroSerializer` with ``use.schema.id``, and read by
`AvroDeserializer` without a reader schema, whose writer-shaped result is encoded again.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version as installed_version
from typing import Any, cast

import fastavro
from attrs import frozen
from confluent_kafka.schema_registry import (
    header_schema_id_serializer,
    prefix_schema_id_deserializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.rule_registry import RuleRegistry
from confluent_kafka.schema_registry.serde import RuleExecutor
from confluent_kafka.serialization import MessageField, SerializationContext

from sdk.avro.schema import parse_schema
from sdk.avro.schema.model import (
    RecordSchema,
    Schema,
    UnionSchema,
    children,
    inside,
    named_types,
)
from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    InvalidSchemaError,
    SdkError,
    SerializationError,
)
from sdk.records import ConsumerRecord, Header
from sdk.redaction import causes, hide, shown
from sdk.registry.client import registry_secrets
from sdk.registry.confluent import confluent_client, confluent_failure
from sdk.serialization.registry import Encode, RegisteredVersion, RuledReader, RuledWriter
from sdk.settings import RegistryOptions

_RULES = "confluent_kafka.schema_registry.rules"
_EXECUTORS = (
    (f"{_RULES}.cel.cel_executor", "CelExecutor"),
    (f"{_RULES}.cel.cel_field_executor", "CelFieldExecutor"),
    (f"{_RULES}.jsonata.jsonata_executor", "JsonataExecutor"),
    (f"{_RULES}.encryption.encrypt_executor", "EncryptionExecutor"),
    (f"{_RULES}.encryption.encrypt_executor", "FieldEncryptionExecutor"),
)
_KMS_DRIVERS = (
    (f"{_RULES}.encryption.localkms.local_driver", "LocalKmsDriver"),
    (f"{_RULES}.encryption.awskms.aws_driver", "AwsKmsDriver"),
    (f"{_RULES}.encryption.azurekms.azure_driver", "AzureKmsDriver"),
    (f"{_RULES}.encryption.gcpkms.gcp_driver", "GcpKmsDriver"),
    (f"{_RULES}.encryption.hcvault.hcvault_driver", "HcVaultKmsDriver"),
)
_ORIGINAL_TOPIC = ("kafka_original-topic", "kafka_dlt-original-topic")
"""Headers with the original topic of a retried or dead-lettered record, as in Spring."""
_TUPLES_SINCE = (2, 16)


class RuleEngine:
    """Creates writers and readers for versions with rules, with one client of Confluent's.

    Args:
        options: The ``[registry]`` table. Its ``rules`` are given to the rule executors.
    """

    def __init__(self, options: RegistryOptions) -> None:
        self._client = confluent_client(options)
        self._configuration = dict(options.rules)
        self._secrets = registry_secrets(options)
        self._executors = _installed_executors()
        self.rules = _rule_registry(self._executors)

    def close(self) -> None:
        """Close the connections of the client and of the rule executors."""
        self._client.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        for executor in self._executors:
            # Older releases leave out the executor inside another one.
            getattr(executor, "executor", executor).close()

    def writer(
        self,
        version: RegisteredVersion,
        text: str,
        references: tuple[str, ...],
        encode: Encode,
        *,
        in_header: bool,
    ) -> RuledWriter:
        """Return the writer of events with one version of a subject.

        Raises:
            InvalidSchemaError: The schema is not valid Avro.
            ConfigurationError: The installed client cannot apply rules to this schema.
        """
        schema = FastavroSchema.of(text, references)
        location = header_schema_id_serializer if in_header else prefix_schema_id_serializer
        settings = {
            "auto.register.schemas": False,
            "use.schema.id": version.schema_id,
            "subject.name.strategy": lambda *_: version.subject,
            "schema.id.serializer": location,
        }
        serializer = AvroSerializer(
            self._client, conf=settings, rule_conf=self._configuration, rule_registry=self.rules
        )
        return partial(self._write, version.subject, schema, encode, serializer)

    def reader(
        self, text: str, references: tuple[str, ...], strategy: Callable[[str, str], str]
    ) -> RuledReader:
        """Return the reader of records that were written with one schema and its rules."""
        schema = FastavroSchema.of(text, references)

        def subject(context: SerializationContext | None, _: str | None) -> str:
            topic = "" if context is None or context.topic is None else context.topic
            return strategy(topic, schema.full_name)

        settings = {
            "subject.name.strategy": subject,
            "schema.id.deserializer": prefix_schema_id_deserializer,
        }
        deserializer = AvroDeserializer(
            self._client,
            return_record_name=schema.tuples,
            conf=settings,
            rule_conf=self._configuration,
            rule_registry=self.rules,
        )
        return partial(self._read, schema, deserializer)

    def _write(
        self,
        subject: str,
        schema: FastavroSchema,
        encode: Encode,
        serializer: AvroSerializer,
        event: Any,
        topic: str,
        headers: list[Header],
    ) -> bytes:
        body = io.BytesIO(encode(event, b""))
        context = SerializationContext(topic, MessageField.VALUE, cast(Any, headers))
        outer = sys.exception()
        try:
            value = fastavro.schemaless_reader(
                body, schema.parsed, None, return_record_name=schema.tuples
            )
            return bytes(serializer(value, context) or b"")
        except Exception as error:  # noqa: BLE001 - rules may raise anything
            where = {"event": schema.full_name, "topic": topic, "subject": subject}
            raise _failure(SerializationError, error, outer, where, self._secrets) from shown(
                error, self._secrets
            )

    def _read(
        self,
        schema: FastavroSchema,
        deserializer: AvroDeserializer,
        record: ConsumerRecord,
        prefix: bytes,
        body: bytes,
    ) -> bytes:
        if not body:  # a record without fields: nothing for a rule to do, and Confluent refuses it
            return body
        headers = cast(Any, list(record.headers))
        context = SerializationContext(_written_to(record), MessageField.VALUE, headers)
        outer = sys.exception()
        try:
            value = deserializer(prefix + body, context)
            plain = io.BytesIO()
            fastavro.schemaless_writer(plain, schema.parsed, value)
        except Exception as error:  # noqa: BLE001 - rules may raise anything
            where = {"event": schema.full_name, "topic": record.topic}
            raise _failure(DeserializationError, error, outer, where, self._secrets) from shown(
                error, self._secrets
            )
        return plain.getvalue()


@frozen(kw_only=True)
class FastavroSchema:
    """A schema in fastavro's form, which converts between bytes and Confluent's plain values.

    Attributes:
        full_name: Full name of the record.
        parsed: fastavro's form.
        tuples: Whether records are passed as (name, record), to distinguish union branches.
    """

    full_name: str
    parsed: Any
    tuples: bool

    @classmethod
    def of(cls, text: str, references: tuple[str, ...]) -> FastavroSchema:
        """Parse a schema whose references are given in dependency order."""
        schema = parse_schema(text, references=references)
        tuples = _needs_tuples(schema)
        if tuples and _client_version() < _TUPLES_SINCE:
            raise ConfigurationError(
                "this version of confluent-kafka skips rules inside a union of several records",
                remedy="install confluent-kafka 2.16 or newer",
            )
        named: dict[str, Any] = {}
        try:
            for reference in references:
                fastavro.parse_schema(json.loads(reference), named_schemas=named)
            parsed = fastavro.parse_schema(json.loads(text), named_schemas=named)
        except Exception as error:
            raise InvalidSchemaError(f"fastavro refuses the schema: {error}") from error
        full_name = schema.name if isinstance(schema, RecordSchema) else schema.type
        return cls(full_name=full_name, parsed=parsed, tuples=tuples)


def _written_to(record: ConsumerRecord) -> str:
    """Return the topic that a record was first written to, which determines its keys."""
    for name in _ORIGINAL_TOPIC:
        original = record.header(name)
        if original is not None:
            return original.decode(errors="replace")
    return record.topic


def _installed_executors() -> list[RuleExecutor]:
    """Create the installed executors and register the key management services."""
    executors = [_installed(module, name) for module, name in _EXECUTORS]
    drivers = [_installed(module, name) for module, name in _KMS_DRIVERS]
    for driver in drivers:
        if driver is not None:
            driver.register()
    return [executor() for executor in executors if executor is not None]


def _rule_registry(executors: list[RuleExecutor]) -> RuleRegistry:
    """Return our executors and those registered by the application, which take precedence."""
    shared = RuleRegistry.get_global_instance()  # type: ignore[no-untyped-call]
    registry = RuleRegistry()  # type: ignore[no-untyped-call]
    for executor in executors:
        registry.register_executor(executor)
    for executor in shared.get_executors():
        registry.register_executor(executor)
    for action in shared.get_actions():
        registry.register_action(action)
    return registry


def _installed(module: str, name: str) -> Any | None:
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return None


def _client_version() -> tuple[int, ...]:
    return tuple(int(part) for part in installed_version("confluent-kafka").split(".")[:2])


def _needs_tuples(schema: Schema) -> bool:
    """Return whether a union has several records, which plain values cannot distinguish."""
    parts = [schema, *(part for each in named_types(schema) for part in children(each))]
    unions = (each for part in parts for each in inside(part) if isinstance(each, UnionSchema))
    return any(
        sum(isinstance(branch, RecordSchema) for branch in union.branches) > 1 for union in unions
    )


def _failure(
    kind: type[SdkError],
    error: Exception,
    outer: BaseException | None,
    where: Mapping[str, Any],
    secrets: tuple[str, ...],
) -> SdkError:
    """Return our error: an outage if a server behind the rules failed, else of the kind given."""
    links = causes(error, outer)
    failure = next(filter(None, (_outage(link, where) for link in links)), None)
    if failure is None:
        failure = kind(
            f"a rule of the schema failed: {_reason(links)}",
            remedy="correct what the rule refuses, or the rule; its executor comes with"
            " avro-messaging-sdk[rules] or is registered by the application",
            **where,
        )
    failure.message = hide(failure.message, secrets)
    failure.args = (failure.message,)
    return failure


def _outage(link: BaseException, where: Mapping[str, Any]) -> SdkError | None:
    return link if isinstance(link, SdkError) else confluent_failure(link, "apply the rules", where)


def _reason(links: list[BaseException]) -> str:
    """Return the innermost message; Confluent's outer errors are often empty."""
    for link in links:
        words = " ".join(str(link).split())
        if words and words != "None":
            return f"{type(link).__name__}: {words[:300]}"
    return type(links[0]).__name__
