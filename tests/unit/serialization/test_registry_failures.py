"""Classes of failed requests: outage, refusal, not found, incompatible or invalid."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from sdk.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.events import EventInfo
from sdk.registry.lookup import Registry
from sdk.settings import TlsOptions
from tests.servers.certificates import Authority
from tests.servers.gateway import Answer, Gateway, error_page
from tests.unit.serialization.conftest import Connect
from tests.unit.serialization.registry_server import RegistryServer

CONTRACT = EventInfo(full_name="t.T", version=1, schema='"string"', fingerprint="")


@pytest.fixture
def gateway(server: RegistryServer) -> Iterator[Gateway]:
    """A gateway in front of the registry, which holds one schema."""
    server.add("t.T", '"string"')
    with Gateway(server.url) as running:
        yield running


def told(code: int, message: str, status: int | None = None) -> Answer:
    """Return an error as a registry reports it."""
    body = json.dumps({"error_code": code, "message": message}).encode()
    return Answer(status=status or code // 100, body=body)


def failure(registry: Registry) -> SdkError:
    """Return the error that fetching a schema ends with."""
    with pytest.raises(SdkError) as caught:
        registry.fetch(1)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (told(408, "slow", 408), RegistryUnavailableError),
        (told(429, "too many", 429), RegistryUnavailableError),
        (told(50001, "Error in the backend data store"), RegistryUnavailableError),
        (told(50003, "Error while forwarding to the leader"), RegistryUnavailableError),
        (error_page(502, "Bad Gateway"), RegistryUnavailableError),
        (error_page(503, "Service Unavailable"), RegistryUnavailableError),
        (error_page(404, "Not Found"), RegistryUnavailableError),
        (Answer(status=404), RegistryUnavailableError),
        (Answer(status=200, body=b"<html>Please log in</html>"), RegistryUnavailableError),
        (Answer(status=200, body=b"[1, 2]"), RegistryUnavailableError),
        (Answer(status=200, body=b""), RegistryUnavailableError),
        (Answer(status=200, body=b"null"), RegistryUnavailableError),
        (told(401, "Unauthorized", 401), RegistryRefusedError),
        (error_page(403, "Forbidden"), RegistryRefusedError),
        (told(40301, "User is denied operation"), RegistryRefusedError),
        (told(42205, "Subject is in read-only mode"), RegistryRefusedError),
        (Answer(status=302, headers={"Location": "/login"}), RegistryRefusedError),
        (told(40401, "Subject 's' not found."), SchemaNotFoundError),
        (told(40403, "Schema not found"), SchemaNotFoundError),
        (told(404, "HTTP 404 Not Found", 404), RegistryUnavailableError),
        (told(409, "incompatible", 409), IncompatibleSchemaError),
        (told(40901, "incompatible"), IncompatibleSchemaError),
        (told(42201, "Invalid schema"), InvalidSchemaError),
    ],
)
def test_every_answer_is_classed(
    gateway: Gateway, connect: Connect, answer: Answer, kind: type[SdkError]
) -> None:
    """An error's class says what can be done about it, whatever the answer looks like."""
    gateway.always(answer)
    error = failure(connect(gateway.url))
    assert type(error) is kind
    assert "\n" not in str(error)


def test_a_path_that_the_registry_does_not_know_points_to_its_address(
    gateway: Gateway, connect: Connect
) -> None:
    """A wrong path in the URL is the likeliest cause of a 404 that names nothing."""
    gateway.always(told(404, "HTTP 404 Not Found", 404))
    assert "registry.url" in str(failure(connect(gateway.url)))


@pytest.mark.parametrize("value", ["7", "date"])
def test_retry_after_is_kept_and_waited_for(
    gateway: Gateway, connect: Connect, waits: list[float], value: str
) -> None:
    """A registry that asks for patience, in seconds or by a date, gets it."""
    if value == "date":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=7.9), usegmt=True)
    gateway.next(Answer(status=429, headers={"Retry-After": value}))

    assert connect(gateway.url, retries=1).fetch(1).text == '"string"'
    assert waits == [pytest.approx(5, abs=3)]


def test_an_unreadable_retry_after_is_none(gateway: Gateway, connect: Connect) -> None:
    """Nonsense in the header is ignored."""
    gateway.always(Answer(status=503, headers={"Retry-After": "soon"}))
    error = failure(connect(gateway.url))
    assert isinstance(error, RegistryUnavailableError)
    assert (error.status, error.retry_after) == (503, None)


def test_an_html_page_is_reported_by_its_title(gateway: Gateway, connect: Connect) -> None:
    """A gateway's error page becomes one readable line."""
    gateway.always(error_page(502, "Bad Gateway"))
    assert failure(connect(gateway.url)).message == (
        "cannot fetch a schema: HTTP 502: 502 Bad Gateway"
    )


def test_a_page_without_a_title_is_reported_by_its_text(gateway: Gateway, connect: Connect) -> None:
    """Scripts and tags go, entities are resolved, and long texts are cut."""
    page = b"<p>No &amp; no</p><script>alert(1)</script>\n<p>" + b"x" * 1000
    gateway.always(Answer(status=500, body=page))
    message = failure(connect(gateway.url)).message
    assert message.startswith("cannot fetch a schema: HTTP 500: No & no xxx")
    assert "alert" not in message
    assert len(message) < 400


@pytest.mark.timeout(60)
def test_a_hang_ends_with_the_time_out(gateway: Gateway, connect: Connect) -> None:
    """A registry that never answers is an outage after `timeout_ms`."""
    gateway.always(Answer(hang=600))
    error = failure(connect(gateway.url, timeout_ms=200))
    assert isinstance(error, RegistryUnavailableError)
    assert "timed out" in error.message


def test_a_refused_version_tells_the_reasons_and_no_more(
    gateway: Gateway, connect: Connect
) -> None:
    """Confluent's long account of an incompatibility is cut down to what is wrong."""
    account = (
        'Schema being registered is incompatible with an earlier schema for subject "t.T", '
        "details: [{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'x' at "
        "path '/fields/1' in the new schema has no default value and is missing in the old "
        "schema', additionalInfo:'x'}, {oldSchemaVersion: 3}, {oldSchema: '{\"name\":\"T\"}'}, "
        "{validateFields: 'false', compatibility: 'BACKWARD'}]"
    )
    gateway.next(told(40403, "none"), Answer(status=200, body=_version()))
    gateway.always(told(40901, account))
    with pytest.raises(IncompatibleSchemaError) as caught:
        connect(gateway.url, auto_register=True).registered("t.T", CONTRACT)
    message = str(caught.value)
    assert "incompatible with version 3: READER_FIELD_MISSING_DEFAULT_VALUE" in message
    assert "path '/fields/1' in the new schema has no default value" in message
    assert "oldSchema" not in message
    assert caught.value.subject == "t.T"


def _version() -> bytes:
    other = {"subject": "t.T", "version": 3, "id": 5, "schema": '"bytes"'}
    return json.dumps(other).encode()


def test_an_answer_without_an_id_is_no_answer(gateway: Gateway, connect: Connect) -> None:
    """A successful answer without the expected fields is a RegistryError."""
    gateway.always(Answer(status=200, body=b'{"subject": "t.T"}'))
    with pytest.raises(RegistryError):
        connect(gateway.url).registered("t.T", CONTRACT)


@pytest.mark.parametrize(
    ("asked", "right", "wrong"),
    [
        (
            {"basic": ("alice", "wonder:land")},
            {"username": "alice", "password": "wonder:land"},
            {"username": "alice", "password": "looking-glass"},
        ),
        ({"bearer": "t0ken"}, {"bearer_token": "t0ken"}, {"bearer_token": "st0len"}),
    ],
)
def test_credentials_are_sent_and_never_reported(
    server: RegistryServer,
    connect: Connect,
    asked: dict[str, object],
    right: dict[str, str],
    wrong: dict[str, str],
) -> None:
    """The right ones open the gateway; the wrong ones are refused and not repeated."""
    server.add("t.T", '"string"')
    with Gateway(server.url, prefix="/registry", **asked) as gateway:  # type: ignore[arg-type]
        assert connect(gateway.url, **right).fetch(1).text == '"string"'
        error = failure(connect(gateway.url, **wrong))
        assert isinstance(error, RegistryRefusedError)
        assert "check the credentials" in str(error)
        secret = wrong.get("password", wrong.get("bearer_token", ""))
        echo = base64.b64encode(f"alice:{secret}".encode()).decode()
        gateway.always(Answer(status=400, body=f"bad {secret} {echo} http://u:p@h/".encode()))
        message = str(failure(connect(gateway.url, **wrong)))
        assert "bad ***" in message
        assert "http://h/" in message
        assert secret not in message
        assert "bearer_token" in wrong or echo not in message


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority that no system trusts."""
    return Authority(tmp_path / "ca")


def test_a_private_authority_is_trusted_when_named(
    server: RegistryServer, connect: Connect, authority: Authority
) -> None:
    """The named authority opens the door; without it the error names the settings."""
    server.add("t.T", '"string"')
    with Gateway(server.url, keystore=authority.sign("registry", "localhost")) as gateway:
        trusted = TlsOptions(ca_location=str(authority.certificate))
        assert connect(gateway.url, tls=trusted).fetch(1).text == '"string"'
        assert connect(gateway.url, tls=TlsOptions(verify=False)).fetch(1).text == '"string"'
        error = failure(connect(gateway.url))
        assert isinstance(error, RegistryRefusedError)
        assert "registry.tls" in str(error)


def test_a_certificate_of_another_host_is_refused(
    server: RegistryServer, connect: Connect, authority: Authority
) -> None:
    """A wrong host name is no outage: asking again cannot help."""
    tls = TlsOptions(ca_location=str(authority.certificate))
    with Gateway(server.url, keystore=authority.sign("registry", "elsewhere")) as gateway:
        assert isinstance(failure(connect(gateway.url, tls=tls)), RegistryRefusedError)


def test_mutual_tls_shows_our_certificate(connect: Connect, authority: Authority) -> None:
    """A registry that asks for a certificate takes ours, and refuses us without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.sign("registry", "localhost"))
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    own = str(authority.sign("service", "service"))
    ca = str(authority.certificate)
    with RegistryServer(context=context) as server:
        server.add("t.T", '"string"')
        tls = TlsOptions(ca_location=ca, certificate_location=own, key_location=own)
        assert connect(server.url, tls=tls).fetch(1).text == '"string"'
        error = failure(connect(server.url, tls=TlsOptions(ca_location=ca)))
        assert isinstance(error, RegistryRefusedError)


def test_http_to_a_tls_port_is_reported_as_such(server: RegistryServer, connect: Connect) -> None:
    """TLS to a plain port is a mistake in the URL, not an outage."""
    error = failure(connect(server.url.replace("http:", "https:")))
    assert isinstance(error, RegistryRefusedError)
    assert "check the scheme" in str(error)


def test_a_handshake_that_is_cut_off_is_an_outage(connect: Connect) -> None:
    """A registry that goes down while it is greeted has refused nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            peer, _ = listener.accept()
            peer.recv(1)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
            peer.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        error = failure(connect(f"https://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()
    assert isinstance(error, RegistryUnavailableError)


def test_errors_survive_a_trip_to_another_process(gateway: Gateway, connect: Connect) -> None:
    """Status, code and wait are kept when an error is pickled."""
    import pickle

    gateway.always(Answer(status=429, headers={"Retry-After": "3"}))
    error = pickle.loads(pickle.dumps(failure(connect(gateway.url))))
    assert (error.status, error.retry_after, error.schema_id) == (429, 3.0, 1)


def test_a_long_lived_page_reader_is_not_fooled(gateway: Gateway, connect: Connect) -> None:
    """A body that is neither JSON nor HTML is quoted unchanged."""
    gateway.always(Answer(status=500, body=b"\xff\xfe plain"))
    assert "plain" in failure(connect(gateway.url)).message
