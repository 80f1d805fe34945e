"""One suite for every registry, through Confluent's own client and nothing else.

A subclass gives the fixture ``registry``. Tests use separate subjects and set nothing for the
whole registry, so the suite may run against a registry that others use.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import field, frozen
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.common.schema_registry_client import (
    ConfigCompatibilityLevel,
    ServerConfig,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError

from tests.conformance.registry_differences import (
    CONFLICTS_OF_DELETION,
    CONTEXTS_ARE_PREFIXES,
    DIFFERENCES,
    DOC_IS_IGNORED,
    NO_GUIDS,
    NONE_IS_NO_LEVEL,
    NORMALIZE_IS_IGNORED,
    READONLY_IS_IGNORED,
    UNSET_LEVEL_IS_40401,
)

SECONDS = 20.0
CONFLICTS = (409, 40901)
"""``error_code`` of an incompatible schema, before and from 8.0."""


@frozen
class RegistryUnderTest:
    """A registry and where it differs.

    Attributes:
        name: Key of the table of differences.
        url: Base URL.
        options: Further keys of the client's configuration, such as credentials.
    """

    name: str
    url: str
    options: dict[str, Any] = field(factory=dict)

    def client(self) -> SchemaRegistryClient:
        """Return a new client, with nothing in its caches."""
        return SchemaRegistryClient({"url": self.url, "timeout": SECONDS, **self.options})

    def differs(self, difference: str) -> bool:
        """Whether the table says that this registry differs from Confluent's here."""
        return difference in DIFFERENCES[self.name]


def unique(stem: str) -> str:
    """Return a name that no other test and no earlier run has used."""
    return f"{stem}{uuid.uuid4().hex[:12]}"


def schema(name: str, *fields: str, **more: Any) -> Schema:
    """Return a record of int fields; ``name?`` has a default."""
    made = [
        {"name": field.rstrip("?"), "type": "int"} | ({"default": 0} if field[-1] == "?" else {})
        for field in fields
    ]
    return Schema(json.dumps({"type": "record", "name": name, **more, "fields": made}), "AVRO")


@contextmanager
def refused(*codes: int, status: int | None = None) -> Iterator[None]:
    """Expect one of these error codes."""
    with pytest.raises(SchemaRegistryError) as caught:
        yield
    assert caught.value.error_code in codes
    assert caught.value.http_status_code == (status or int(str(codes[0])[:3]))


class RegistrySuite:
    """The SDK's requirements on a registry."""

    @pytest.fixture
    def client(self, registry: RegistryUnderTest) -> Iterator[SchemaRegistryClient]:
        """A client of the registry."""
        with registry.client() as client:
            yield client

    @pytest.fixture
    def subject(self) -> str:
        """A subject for one test."""
        return unique("subject-")

    def test_a_schema_gets_one_id(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """Registering a schema again, by another client or under another subject, keeps the id."""
        made = schema(unique("R"), "a")
        first = client.register_schema(subject, made)
        with registry.client() as other:
            assert other.register_schema(subject, made) == first
            assert other.register_schema(unique("subject-"), made) == first
            assert json.loads(other.get_schema(first).schema_str) == json.loads(made.schema_str)

    def test_versions_are_numbered(self, client: SchemaRegistryClient, subject: str) -> None:
        """Versions ascend from one, and the latest is the last."""
        name = unique("R")
        ids = [
            client.register_schema(subject, schema(name, *fields)) for fields in ("a", ("a", "b?"))
        ]
        assert client.get_versions(subject) == [1, 2]
        assert [client.get_version(subject, number).schema_id for number in (1, 2)] == ids
        latest = client.get_latest_version(subject)
        assert (latest.subject, latest.version, latest.schema_id) == (subject, 2, ids[1])
        assert subject in client.get_subjects()

    def test_a_schema_is_looked_up(self, client: SchemaRegistryClient, subject: str) -> None:
        """A registered schema is found under its subject; another is 40403, no subject 40401."""
        name = unique("R")
        made = schema(name, "a")
        schema_id = client.register_schema(subject, made)
        found = client.lookup_schema(subject, made)
        assert (found.schema_id, found.version) == (schema_id, 1)
        with refused(40403):
            client.lookup_schema(subject, schema(name, "a", "b?"))
        with refused(40401):
            client.lookup_schema(unique("nowhere-"), made)

    def test_what_is_missing_is_told_apart(
        self, client: SchemaRegistryClient, subject: str
    ) -> None:
        """No subject is 40401, no version 40402, no id 40403."""
        client.register_schema(subject, schema(unique("R"), "a"))
        with refused(40402):
            client.get_version(subject, 9)
        with refused(40401):
            client.get_version(unique("nowhere-"), 1)
        with refused(40401):
            client.get_versions(unique("nowhere-"))
        with refused(40403):
            client.get_schema(2_000_000_000)

    def test_invalid_schemas_are_refused(self, client: SchemaRegistryClient, subject: str) -> None:
        """An invalid Avro schema is 42201."""
        for text in ('{"type":"record"}', '"no_such_type"', "{"):
            with refused(42201):
                client.register_schema(subject, Schema(text, "AVRO"))

    def test_guids(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A schema is found by its GUID."""
        made = schema(unique("R"), "a")
        client.register_schema(subject, made)
        guid = client.lookup_schema(subject, made).guid
        if registry.differs(NO_GUIDS):
            assert guid is None
            return
        assert guid is not None
        with registry.client() as other:
            found = other.get_schema_by_guid(guid).schema_str
        assert json.loads(found) == json.loads(made.schema_str)

    def test_references(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A referenced schema comes back with its user, and cannot be deleted before it."""
        inner, outer = unique("Inner"), unique("Outer")
        used = unique("subject-")
        client.register_schema(used, schema(inner, "a"))
        text = {"type": "record", "name": outer, "fields": [{"name": "x", "type": inner}]}
        with refused(42201):
            client.register_schema(subject, Schema(json.dumps(text), "AVRO"))
        references = [SchemaReference(inner, used, 1)]
        schema_id = client.register_schema(subject, Schema(json.dumps(text), "AVRO", references))
        with registry.client() as other:
            found = other.get_schema(schema_id)
        assert [(each.name, each.subject, each.version) for each in found.references or ()] == [
            (inner, used, 1)
        ]
        assert client.get_referenced_by(used, 1) == [schema_id]
        with refused(42206):
            client.delete_version(used, 1)
        client.delete_subject(subject)
        assert client.delete_version(used, 1) == 1

    @pytest.mark.parametrize(
        ("level", "backward", "forward"),
        [
            ("BACKWARD", False, True),
            ("BACKWARD_TRANSITIVE", False, True),
            ("FORWARD", True, False),
            ("FORWARD_TRANSITIVE", True, False),
            ("FULL", False, False),
            ("FULL_TRANSITIVE", False, False),
            ("NONE", True, True),
        ],
    )
    def test_levels(
        self,
        registry: RegistryUnderTest,
        client: SchemaRegistryClient,
        subject: str,
        level: str,
        backward: bool,
        forward: bool,
    ) -> None:
        """A level accepts what it allows, refuses the rest with 409, and says so when asked."""
        name = unique("R")
        config = ServerConfig(compatibility=ConfigCompatibilityLevel[level])
        if level == "NONE" and registry.differs(NONE_IS_NO_LEVEL):
            with refused(40401):
                client.set_config(subject, config)
            return
        client.set_config(subject, config)
        client.register_schema(subject, schema(name, "a", "b?"))
        for changed, fits in (
            (schema(name, "a", "b?", "c"), backward),  # the new one cannot read the old one
            (schema(name, "b?"), forward),  # the old one cannot read the new one
        ):
            assert client.test_compatibility(subject, changed) is fits
            if not fits:
                with refused(*CONFLICTS):
                    client.register_schema(subject, changed)
        added = schema(name, "a", "b?", "d?")
        assert client.test_compatibility(subject, added)
        client.register_schema(subject, added)

    def test_transitive_levels_look_further_back(
        self, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A change that only the first version forbids is refused by a transitive level alone."""
        name = unique("R")
        for level in ("BACKWARD_TRANSITIVE", "BACKWARD"):
            config = ServerConfig(compatibility=ConfigCompatibilityLevel[level])
            client.set_config(subject, config)
            if level == "BACKWARD_TRANSITIVE":
                client.register_schema(subject, schema(name, "a"))
                client.register_schema(subject, schema(name, "a", "b?"))
                with refused(*CONFLICTS):
                    client.register_schema(subject, schema(name, "a", "b"))
            else:
                client.register_schema(subject, schema(name, "a", "b"))

    def test_levels_are_set_and_unset(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A subject's level is the one that was set; an unset one is 40408."""
        unset = 40401 if registry.differs(UNSET_LEVEL_IS_40401) else 40408
        with refused(unset):
            client.get_config(subject)
        client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
        assert client.get_config(subject).compatibility_level == ConfigCompatibilityLevel.FULL
        client.delete_config(subject)
        with refused(unset):
            client.get_config(subject)

    def test_soft_deletion(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A deleted version is gone from its subject and stays readable by id; it can come back."""
        name = unique("R")
        first = client.register_schema(subject, schema(name, "a"))
        second = client.register_schema(subject, schema(name, "a", "b?"))
        assert client.delete_version(subject, 2) == 2
        assert client.get_versions(subject) == [1]
        assert client.get_versions(subject, deleted=True) == [1, 2]
        with registry.client() as other:
            with refused(40402):
                other.get_version(subject, 2)
            assert other.get_version(subject, 2, deleted=True).schema_id == second
            assert other.get_latest_version(subject).schema_id == first
            assert other.get_schema(second)
            with refused(40406, status=self._deletion_status(registry)):
                other.delete_version(subject, 2)
        with registry.client() as fresh:  # the other one takes what it has fetched as registered
            assert fresh.register_schema(subject, schema(name, "a", "b?")) == second
            assert fresh.get_versions(subject) == [1, 3]

    def test_hard_deletion(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """Only what is softly deleted can be deleted for good, and then its id is gone."""
        schema_id = client.register_schema(subject, schema(unique("R"), "a"))
        with refused(40407, status=self._deletion_status(registry)):
            client.delete_version(subject, 1, permanent=True)
        assert client.delete_subject(subject) == [1]
        with refused(40404):
            client.delete_subject(subject)
        with refused(40401):
            client.get_versions(subject)
        assert subject not in client.get_subjects()
        assert subject in client.get_subjects(deleted=True)
        with registry.client() as other:
            assert other.delete_version(subject, 1, permanent=True) == 1
            with refused(40401):
                other.get_versions(subject, deleted=True)
            with refused(40403):
                other.get_schema(schema_id)

    def test_docs_belong_to_a_schema(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A changed doc is another schema with another id."""
        name = unique("R")
        first = client.register_schema(subject, schema(name, "a"))
        second = client.register_schema(subject, schema(name, "a", doc="said"))
        assert (first == second) is registry.differs(DOC_IS_IGNORED)

    def test_normalization(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """Schemas that differ in the order of properties are one where normalization is asked."""
        name = unique("R")
        one, two = (schema(name, "a", **more) for more in ({"x": 1, "y": 2}, {"y": 2, "x": 1}))
        first = client.register_schema(subject, one, normalize_schemas=True)
        with registry.client() as other:
            second = other.register_schema(subject, two, normalize_schemas=True)
        assert (first != second) is registry.differs(NORMALIZE_IS_IGNORED)

    def test_read_only_mode(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A read-only subject refuses new schemas and still answers for those it has."""
        name = unique("R")
        made = schema(name, "a")
        schema_id = client.register_schema(subject, made)
        try:
            client.update_mode(subject, "READONLY")
        except (SchemaRegistryError, TypeError):  # an answer without a mode
            assert registry.differs(READONLY_IS_IGNORED)
            return
        with registry.client() as other:
            assert other.register_schema(subject, made) == schema_id
            if registry.differs(READONLY_IS_IGNORED):
                other.register_schema(subject, schema(name, "a", "b?"))
            else:
                with refused(42205):
                    other.register_schema(subject, schema(name, "a", "b?"))
        client.update_mode(subject, "READWRITE")

    def test_contexts(self, registry: RegistryUnderTest, client: SchemaRegistryClient) -> None:
        """Contexts number their schemas on their own."""
        context = f".{unique('c')}"
        subject = f":{context}:{unique('subject-')}"
        schema_id = client.register_schema(subject, schema(unique("R"), "a"))
        assert client.get_versions(subject) == [1]
        if registry.differs(CONTEXTS_ARE_PREFIXES):
            return
        assert schema_id == 1
        assert context in client.get_contexts()

    def test_large_schemas(
        self, registry: RegistryUnderTest, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A schema of 900 kB is taken and comes back whole."""
        made = schema(unique("R"), "a", doc="x" * 900_000)
        schema_id = client.register_schema(subject, made)
        with registry.client() as other:
            assert json.loads(other.get_schema(schema_id).schema_str)["doc"] == "x" * 900_000

    @staticmethod
    def _deletion_status(registry: RegistryUnderTest) -> int:
        return 409 if registry.differs(CONFLICTS_OF_DELETION) else 404
