"""Obstacles between us and a registry in practice: gateways, credentials, TLS, outages.

The registry behind is a real one; the gateway in front of it is the double in `tests.servers`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdk.errors import (
    IncompatibleSchemaError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.events import EventInfo
from sdk.registry.lookup import Registry
from sdk.retry import RetryPolicyFactory
from sdk.settings import RegistryOptions, RetryOptions, TlsOptions
from tests.servers.certificates import Authority
from tests.servers.gateway import Answer, Gateway, error_page
from tests.servers.process import free_port
from tests.servers.target import Target


class Once:
    """A retry policy that makes one attempt, so that each answer is seen by itself."""

    def call(self, function: Callable[[], Any], *, name: str | None = None) -> Any:
        """Return the result of the function."""
        return function()


@pytest.fixture
def contract(unique: Callable[[str], str]) -> EventInfo:
    """An event that no registry knows yet."""
    return _version(unique("Thing").replace("-", "_"), 1, '{"name": "id", "type": "string"}')


def test_a_path_prefix_is_kept(registry: Target, contract: EventInfo) -> None:
    """Every request goes below the path of the URL, with and without a slash at its end."""
    with Gateway(registry.address, prefix="/kafka/registry") as gateway:
        for url in (gateway.url, gateway.url + "/"):
            with _client(url, auto_register=True) as client:
                assert client.registered(contract.full_name, contract).schema_id > 0
    assert all(" /kafka/registry/" in request for request in gateway.requests)


@pytest.mark.parametrize(
    ("asked", "given", "secret"),
    [
        ({"basic": ("alice", "wonder")}, {"username": "alice", "password": "looking"}, "looking"),
        ({"basic": ("alice", "wonder")}, {}, "wonder"),
        ({"bearer": "token-1"}, {"bearer_token": "token-2"}, "token-2"),
    ],
)
def test_wrong_credentials_read_as_a_refusal(
    registry: Target, contract: EventInfo, asked: dict[str, Any], given: dict[str, str], secret: str
) -> None:
    """A 401 page becomes one readable line without secrets."""
    with Gateway(registry.address, **asked) as gateway, _client(gateway.url, **given) as client:
        error = _refused(client, contract, RegistryRefusedError)
    assert "401" in str(error)
    assert secret not in str(error)
    _reads_in_one_line(error)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"basic": ("alice", "won:der")}, {"username": "alice", "password": "won:der"}),
        ({"bearer": "token-1"}, {"bearer_token": "token-1"}),
    ],
)
def test_right_credentials_are_accepted(
    registry: Target, contract: EventInfo, asked: dict[str, Any], given: dict[str, str]
) -> None:
    """Basic and bearer authentication reach the registry."""
    with (
        Gateway(registry.address, **asked) as gateway,
        _client(gateway.url, auto_register=True, **given) as client,
    ):
        assert client.registered(contract.full_name, contract).schema_id > 0


def test_a_private_authority_is_trusted_when_named(
    registry: Target, contract: EventInfo, tmp_path: Path
) -> None:
    """TLS works with the authority's certificate from the settings, and also unverified."""
    authority = Authority(tmp_path)
    keystore = authority.sign("registry", "localhost")
    misnamed = authority.sign("other", "elsewhere.test")
    trusted = TlsOptions(ca_location=str(authority.certificate))
    for served, tls in ((keystore, trusted), (misnamed, TlsOptions(verify=False))):
        with (
            Gateway(registry.address, keystore=served) as gateway,
            _client(gateway.url, auto_register=True, tls=tls) as client,
        ):
            assert client.registered(contract.full_name, contract).schema_id > 0


@pytest.mark.parametrize("defect", ["unknown authority", "expired", "wrong host name"])
def test_a_certificate_that_must_not_be_trusted_is_refused(
    registry: Target, contract: EventInfo, tmp_path: Path, defect: str
) -> None:
    """The error says that TLS failed and where to look; it is no outage to be waited out."""
    authority = Authority(tmp_path / "ours")
    trusted = Authority(tmp_path / "theirs") if defect == "unknown authority" else authority
    host = "elsewhere.test" if defect == "wrong host name" else "localhost"
    keystore = authority.sign("registry", host, expired=defect == "expired")
    tls = TlsOptions(ca_location=str(trusted.certificate))
    with (
        Gateway(registry.address, keystore=keystore) as gateway,
        _client(gateway.url, tls=tls) as client,
    ):
        error = _refused(client, contract, RegistryRefusedError)
    assert "TLS" in str(error)
    assert "registry.tls" in str(error)


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (error_page(502, "Bad Gateway"), RegistryUnavailableError, "502 Bad Gateway"),
        (error_page(503, "Service Unavailable"), RegistryUnavailableError, "503"),
        (error_page(504, "Gateway Time-out"), RegistryUnavailableError, "504"),
        (error_page(404, "Not Found"), RegistryUnavailableError, "registry.url"),
        (error_page(403, "Forbidden"), RegistryRefusedError, "403 Forbidden"),
        (error_page(200, "Welcome"), RegistryUnavailableError, "registry.url"),
        (Answer(status=500), RegistryUnavailableError, "500"),
        (Answer(status=302, headers={"Location": "/login"}), RegistryRefusedError, "redirects"),
    ],
)
def test_answers_of_a_gateway_are_told_in_one_line(
    registry: Target,
    contract: EventInfo,
    answer: Answer,
    expected: type[SdkError],
    told: str,
) -> None:
    """A page that is no registry's answer is an outage or a refusal, never "schema not found"."""
    with Gateway(registry.address) as gateway, _client(gateway.url) as client:
        gateway.always(answer)
        error = _refused(client, contract, expected)
    assert told in str(error)
    _reads_in_one_line(error)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (422, 42205, RegistryRefusedError),
        (409, 409, IncompatibleSchemaError),
        (409, 40901, IncompatibleSchemaError),
        (404, 40403, SchemaNotFoundError),
        (429, 42901, RegistryUnavailableError),
        (500, 50001, RegistryUnavailableError),
    ],
)
def test_codes_of_the_registry_are_classed(
    registry: Target, contract: EventInfo, status: int, code: int, expected: type[SdkError]
) -> None:
    """Outage, refusal, not found and incompatible are told apart by the registry's own code."""
    body = json.dumps({"error_code": code, "message": "as the registry says"}).encode()
    answer = Answer(status=status, body=body, headers={"Content-Type": "application/json"})
    with Gateway(registry.address) as gateway, _client(gateway.url, auto_register=True) as client:
        gateway.always(answer)
        _refused(client, contract, expected)


def test_too_many_requests_tell_when_to_come_back(registry: Target, contract: EventInfo) -> None:
    """The wait requested by the answer reaches the retry policy."""
    with Gateway(registry.address) as gateway, _client(gateway.url) as client:
        gateway.next(Answer(status=429, headers={"Retry-After": "7"}))
        error = _refused(client, contract, RegistryUnavailableError)
    assert error.retry_after == 7


def test_what_passes_is_tried_again(registry: Target, contract: EventInfo) -> None:
    """With the SDK's own policy 429, 503 and a gateway's page end in success, later."""
    policy = RetryPolicyFactory(RetryOptions(retry_count=4, base_delay_ms=20)).create()
    with Gateway(registry.address) as gateway:
        gateway.next(
            Answer(status=429, headers={"Retry-After": "1"}),
            error_page(503, "Service Unavailable"),
            error_page(502, "Bad Gateway"),
        )
        client = Registry(RegistryOptions(url=(gateway.url,), auto_register=True), policy)
        with closing(client):
            started = time.monotonic()
            assert client.registered(contract.full_name, contract).schema_id > 0
            assert time.monotonic() - started >= 1, "Retry-After was not waited for"


def test_a_silent_registry_is_an_outage_within_the_timeout(
    registry: Target, contract: EventInfo
) -> None:
    """A hang of 30 s ends at the time-out of the settings."""
    with Gateway(registry.address) as gateway, _client(gateway.url, timeout_ms=500) as client:
        gateway.always(Answer(hang=30))
        started = time.monotonic()
        _refused(client, contract, RegistryUnavailableError)
        assert time.monotonic() - started < 25


def test_a_second_url_takes_over(registry: Target, contract: EventInfo) -> None:
    """A registry that refuses connections, or fails, is passed over, and the next one is kept."""
    dead = f"http://127.0.0.1:{free_port()}"
    with Gateway(registry.address) as failing, Gateway(registry.address) as good:
        failing.always(error_page(503, "Service Unavailable"))
        with _client(dead, failing.url, good.url, auto_register=True) as client:
            assert client.registered(contract.full_name, contract).schema_id > 0
    assert len(failing.requests) == 1
    assert len(good.requests) > 1


def test_all_urls_out_of_order_is_an_outage(registry: Target, contract: EventInfo) -> None:
    """When no registry answers, the error says so of the last one."""
    with _client(*(f"http://127.0.0.1:{free_port()}" for _ in range(2))) as client:
        error = _refused(client, contract, RegistryUnavailableError)
    _reads_in_one_line(error)


def test_a_missing_schema_is_told_with_its_remedy(registry: Target, contract: EventInfo) -> None:
    """With explicit registration, the error names event, version, subject and what to do."""
    with _client(registry.address) as client:
        error = _refused(client, contract, SchemaNotFoundError)
    assert contract.full_name in str(error)
    assert "register" in str(error)


def test_an_incompatible_version_is_refused_by_the_registry(
    registry: Target, contract: EventInfo
) -> None:
    """A required new field cannot be read from old data, and the registry's refusal says why."""
    fields = '{"name": "id", "type": "string"}, {"name": "more", "type": "int"}'
    second = _version(contract.name, 2, fields)
    with _client(registry.address, auto_register=True) as client:
        client.registered(contract.full_name, contract)
        error = _refused(client, second, IncompatibleSchemaError)
    assert error.subject == contract.full_name
    _reads_in_one_line(error)


def test_an_unknown_id_is_not_found(registry: Target) -> None:
    """A message that names an id the registry has not is told apart from an outage."""
    with _client(registry.address) as client, pytest.raises(SchemaNotFoundError) as raised:
        client.fetch(2_000_000_000)
    assert raised.value.schema_id == 2_000_000_000


def _version(name: str, version: int, fields: str) -> EventInfo:
    return EventInfo(
        full_name=f"practice.{name}",
        version=version,
        schema=f'{{"type": "record", "name": "practice.{name}", "fields": [{fields}]}}',
        fingerprint="0" * 16,
        compatibility="BACKWARD",
    )


@contextmanager
def _client(*urls: str, **options: Any) -> Iterator[Registry]:
    client = Registry(RegistryOptions(url=urls, **options), Once())
    try:
        yield client
    finally:
        client.close()


def _refused(client: Registry, contract: EventInfo, expected: type[SdkError]) -> Any:
    with pytest.raises(expected) as raised:
        client.registered(contract.full_name, contract)
    return raised.value


def _reads_in_one_line(error: SdkError) -> None:
    text = str(error)
    assert "\n" not in text
    assert "<" not in text
    assert len(text) < 500
