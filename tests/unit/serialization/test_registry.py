"""Finding, registering and fetching schemas."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from sdk.errors import (
    ClosedError,
    ConfigurationError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
)
from sdk.events import EventInfo
from sdk.settings import TlsOptions
from tests.servers.gateway import Answer, Gateway
from tests.unit.serialization.conftest import Connect
from tests.unit.serialization.registry_server import RegistryServer

RULES = {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL"}]}


def contract(name: str, *fields: str, version: int = 1, **more: object) -> EventInfo:
    """Return a contract of a record whose fields are text unless they name a type."""
    types = [each.partition(":")[::2] for each in fields]
    schema = {
        "type": "record",
        "name": name,
        "fields": [{"name": each, "type": kind or "string"} for each, kind in types],
    }
    text = json.dumps(schema)
    return EventInfo(full_name=name, version=version, schema=text, fingerprint="", **more)  # type: ignore[arg-type]


MONEY = contract("shop.Money", "amount")
ORDER = contract("shop.Order", "id", "total:shop.Money", references=(MONEY,))


def test_a_registered_schema_is_found_with_its_id_and_guid(
    server: RegistryServer, connect: Connect
) -> None:
    """The registry's data about a schema under a subject is returned as values."""
    server.add("other", '"string"')
    schema_id = server.add("shop.Money", MONEY.schema)

    version = connect().registered("shop.Money", MONEY)

    assert (version.schema_id, version.version, version.has_rules) == (schema_id, 1, False)
    assert version.guid is not None


def test_a_registry_without_guids_is_served_as_well(connect: Connect) -> None:
    """The GUID is None where the registry gives none."""
    with RegistryServer(guids=False) as old:
        old.add("shop.Money", MONEY.schema)
        assert connect(old.url).registered("shop.Money", MONEY).guid is None


def test_a_missing_schema_is_an_error_that_names_subject_and_remedy(connect: Connect) -> None:
    """Without auto-registration nothing is registered, and the error says what to do."""
    with pytest.raises(SchemaNotFoundError, match="register it before") as caught:
        connect().registered("shop.Money", MONEY)
    assert caught.value.subject == "shop.Money"


def test_only_another_version_being_registered_is_not_enough(
    server: RegistryServer, connect: Connect
) -> None:
    """A subject that holds other schemas does not hold ours."""
    server.add("shop.Money", contract("shop.Money", "sum").schema)
    with pytest.raises(SchemaNotFoundError):
        connect().registered("shop.Money", MONEY)


def test_references_are_registered_first_under_their_full_names(
    server: RegistryServer, connect: Connect
) -> None:
    """A schema's references exist, with their level set, before it is registered itself."""
    connect(auto_register=True).registered("orders-value", ORDER)

    posts = [each for each in server.requests if each.startswith("POST") and "versions" in each]
    assert [each.split("?")[0] for each in posts] == [
        "POST /subjects/shop.Money/versions",
        "POST /subjects/orders-value/versions",
    ]
    assert server.levels == {
        "shop.Money": "BACKWARD_TRANSITIVE",
        "orders-value": "BACKWARD_TRANSITIVE",
    }


def test_a_pin_is_our_version_mapped_to_the_registrys(
    server: RegistryServer, connect: Connect
) -> None:
    """Our version 1 of a shared type may be the registry's version 2; that one is referred to."""
    server.add("shop.Money", contract("shop.Money", "sum").schema)
    connect(auto_register=True).registered("orders", ORDER)

    body = server.version("orders", 1)
    assert body["references"] == [{"name": "shop.Money", "subject": "shop.Money", "version": 2}]


def test_the_level_is_set_once_and_only_where_something_is_registered(
    server: RegistryServer, connect: Connect
) -> None:
    """A subject's level is set in a separate request before its first registration."""
    registry = connect(auto_register=True)
    registry.registered("m", evolve(MONEY, compatibility="FULL"))
    registry.registered("m", contract("shop.Money", "amount", "currency", version=2))
    assert server.levels == {"m": "FULL"}
    assert server.count("PUT /config") == 1


def test_a_readonly_registry_serves_what_is_registered_already(
    server: RegistryServer, connect: Connect
) -> None:
    """Auto-registration changes nothing where nothing is missing, so READONLY does not matter."""
    connect(auto_register=True).registered("orders", ORDER)
    server.mode = "READONLY"

    assert connect(auto_register=True).registered("orders", ORDER).version == 1
    with pytest.raises(RegistryRefusedError, match="read-only mode") as caught:
        connect(auto_register=True).registered("m", contract("shop.Money", "other"))
    assert caught.value.error_code == 42205


def test_each_schema_is_asked_for_once(server: RegistryServer, connect: Connect) -> None:
    """Answers are kept for the life of the client."""
    server.add("shop.Money", MONEY.schema)
    registry = connect()
    first = registry.registered("shop.Money", MONEY)
    asked = len(server.requests)

    assert all(registry.registered("shop.Money", MONEY) is first for _ in range(100))
    assert len(server.requests) == asked


def test_threads_that_ask_at_once_share_one_answer(
    server: RegistryServer, connect: Connect
) -> None:
    """Eight threads that need the same schema cause the requests of one."""
    schema_id = server.add("shop.Money", MONEY.schema)
    registry = connect()
    together = threading.Barrier(8)

    def ask() -> str:
        together.wait(60)
        return registry.fetch(schema_id).text

    with ThreadPoolExecutor(8) as pool:
        texts = {future.result() for future in [pool.submit(ask) for _ in range(8)]}
    assert texts == {MONEY.schema}
    assert server.count("GET /schemas/ids") == 1


def test_threads_that_share_a_failure_do_not_share_its_error(connect: Connect) -> None:
    """Threads that share a failure get separate errors, with their own record's position."""
    with RegistryServer() as gone:
        dead = gone.url
    registry = connect(dead, timeout_ms=500)
    together = threading.Barrier(4)

    def ask() -> BaseException | None:
        together.wait(60)
        with pytest.raises(RegistryUnavailableError) as caught:
            registry.fetch(1)
        return caught.value

    with ThreadPoolExecutor(4) as pool:
        errors = [future.result() for future in [pool.submit(ask) for _ in range(4)]]
    assert len({id(error) for error in errors}) == 4


def test_a_failure_is_not_remembered(server: RegistryServer, connect: Connect) -> None:
    """A missing schema can be registered and is then found by the same client."""
    registry = connect()
    with pytest.raises(SchemaNotFoundError):
        registry.registered("shop.Money", MONEY)
    server.add("shop.Money", MONEY.schema)
    assert registry.registered("shop.Money", MONEY).version == 1


def test_a_version_with_rules_is_known_as_such(server: RegistryServer, connect: Connect) -> None:
    """A version whose schema equals ours but carries rules is the one to write with."""
    server.add("shop.Money", MONEY.schema, ruleSet=RULES)
    version = connect().registered("shop.Money", MONEY)
    assert (version.version, version.has_rules) == (1, True)


@pytest.mark.parametrize("later", [0, 1, 2])
def test_rules_added_later_to_the_same_schema_are_not_passed_over(
    server: RegistryServer, connect: Connect, later: int
) -> None:
    """A plain look-up would answer with version 1, and send in clear what version 2 encrypts."""
    server.add("shop.Money", MONEY.schema)
    ruled = server.add("shop.Money", MONEY.schema, ruleSet=RULES)
    for number in range(later):
        server.add("shop.Money", contract("shop.Money", "amount", f"more{number}").schema)

    version = connect().registered("shop.Money", MONEY)

    assert (version.schema_id, version.version, version.has_rules) == (ruled, 2, True)


def test_rules_of_another_version_are_not_ours(server: RegistryServer, connect: Connect) -> None:
    """Versions with and without rules stand side by side in one subject."""
    second = contract("shop.Money", "amount", "currency", version=2)
    server.add("shop.Money", MONEY.schema, ruleSet=RULES)
    server.add("shop.Money", second.schema)
    registry = connect()

    assert registry.registered("shop.Money", MONEY).has_rules
    assert not registry.registered("shop.Money", second).has_rules


def test_metadata_do_not_hide_a_schema(server: RegistryServer, connect: Connect) -> None:
    """A team that adds an owner to a schema gives it another id; it is still ours."""
    schema_id = server.add("shop.Money", MONEY.schema, metadata={"properties": {"owner": "a"}})
    assert connect().registered("shop.Money", MONEY).schema_id == schema_id


def test_ignored_migration_rules_are_reported(
    server: RegistryServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Versions are resolved as in Avro; ignored migrations are logged."""
    rules = {"migrationRules": [{"name": "m", "kind": "TRANSFORM", "mode": "UPGRADE"}]}
    server.add("shop.Money", MONEY.schema, ruleSet=rules)
    assert not connect().registered("shop.Money", MONEY).has_rules
    assert "migration rules of subject shop.Money" in caplog.text


def test_registering_is_logged(
    server: RegistryServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Our version and the registry's stand side by side."""
    caplog.set_level("INFO", "sdk")
    connect(auto_register=True).registered("m", MONEY)
    assert "registered version 1 of shop.Money: subject m, version 1, id 1" in caplog.text


def test_a_text_printed_differently_is_the_same_schema(
    server: RegistryServer, connect: Connect
) -> None:
    """Registries print schemas in their own way; a version with rules is found by its sense."""
    text = '{"name": "Money", "namespace": "shop", "type": "record", "fields": [\n'
    text += '{"type": {"type": "string"}, "name": "amount"}]}'
    server.add("shop.Money", text, ruleSet=RULES)
    assert connect().registered("shop.Money", MONEY).has_rules


def test_a_schema_with_other_docs_is_another_version(
    server: RegistryServer, connect: Connect
) -> None:
    """A schema that differs only in docs is registered as another one, as in registries."""
    documented = evolve(MONEY, schema=MONEY.schema.replace("{", '{"doc": "What it costs.",', 1))
    registry = connect(auto_register=True)
    registry.registered("m", MONEY)
    registry.registered("m", documented)
    assert server.versions("m") == [MONEY.schema, documented.schema]


def test_references_of_a_fetched_schema_come_in_dependency_order(
    server: RegistryServer, connect: Connect
) -> None:
    """All that a writer's schema refers to is fetched, what is referred to first."""
    order = evolve(ORDER, full_name="shop.Cart")
    line = contract("shop.Line", "cart:shop.Order", "price:shop.Money", references=(ORDER, MONEY))
    registry = connect(auto_register=True)
    schema_id = registry.registered("lines", line).schema_id
    assert order.references == (MONEY,)

    fetched = connect().fetch(schema_id)

    assert fetched.text == line.schema
    assert fetched.references == (MONEY.schema, ORDER.schema)


def test_a_schema_is_fetched_by_its_guid(server: RegistryServer, connect: Connect) -> None:
    """The header mode names schemas by GUID."""
    server.add("shop.Money", MONEY.schema)
    registry = connect()
    guid = registry.registered("shop.Money", MONEY).guid
    assert guid is not None
    assert registry.fetch(guid).text == MONEY.schema


def test_an_unknown_id_is_not_found(connect: Connect) -> None:
    """The registry's error code distinguishes an unknown id from a wrong address."""
    with pytest.raises(SchemaNotFoundError) as caught:
        connect().fetch(99)
    assert (caught.value.status, caught.value.error_code, caught.value.schema_id) == (
        404,
        40403,
        99,
    )


def test_several_urls_fail_over_and_the_living_one_is_asked_first(
    server: RegistryServer, connect: Connect
) -> None:
    """A dead registry costs its failure once; after that the living one is asked directly."""
    with RegistryServer() as gone:
        dead = gone.url
    server.add("shop.Money", MONEY.schema)
    registry = connect(dead, server.url)
    registry.registered("shop.Money", MONEY)

    with RegistryServer() as other:
        other.add("x", '"string"')
        registry = connect(dead, other.url, server.url)
        assert registry.fetch(1).text == '"string"'
        asked = len(server.requests)
        with pytest.raises(SchemaNotFoundError):
            registry.fetch(2)
        assert len(server.requests) == asked


def test_a_registry_that_says_no_is_a_living_one(server: RegistryServer, connect: Connect) -> None:
    """An answer that is a refusal ends the search, and its registry is asked first from then on."""
    with Gateway(server.url) as gateway:
        gateway.always(Answer(status=503))
        registry = connect(gateway.url, server.url)
        for schema_id in (1, 2):
            with pytest.raises(SchemaNotFoundError):
                registry.fetch(schema_id)
        assert len(gateway.requests) == 1


def test_what_others_register_meanwhile_is_seen(server: RegistryServer, connect: Connect) -> None:
    """The newest version is requested again for every look-up."""
    server.add("m", MONEY.schema)
    registry = connect()
    registry.registered("m", MONEY)
    second = contract("shop.Money", "amount", "currency", version=2)
    server.add("m", second.schema, ruleSet=RULES)
    assert registry.registered("m", second).has_rules


def test_an_outage_is_retried_by_the_policy_and_by_nobody_else(
    connect: Connect, waits: list[float]
) -> None:
    """Two retries make three attempts in all, with the policy's waits between them."""
    with RegistryServer() as gone:
        dead = gone.url
    with pytest.raises(
        RegistryUnavailableError, match=rf"at {urlsplit(dead).netloc} cannot be reached"
    ):
        connect(dead, retries=2).fetch(1)
    assert waits == [0.01, 0.02]


def test_a_closed_client_says_so_at_once(connect: Connect, waits: list[float]) -> None:
    """Use after close is a mistake of the caller, not an outage to wait for."""
    registry = connect(retries=5)
    registry.close()
    registry.close()
    with pytest.raises(ClosedError, match="closed"):
        registry.fetch(1)
    assert waits == []


def test_an_unusable_tls_file_is_an_error_of_the_settings(connect: Connect) -> None:
    """A file that is not there is told before the first request."""
    with pytest.raises(ConfigurationError, match=r"registry\.tls"):
        connect("https://localhost", tls=TlsOptions(ca_location="/nowhere/ca.pem"))


def test_the_word_embedded_is_not_taken_for_a_url(connect: Connect) -> None:
    """The embedded registry's address must be given, not the word."""
    with pytest.raises(ConfigurationError, match="embedded"):
        connect("embedded")
