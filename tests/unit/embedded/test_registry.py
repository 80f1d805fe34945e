"""The embedded registry as a server, and behind Confluent's own client."""

from __future__ import annotations

import http.client
import json
import logging
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from sdk.embedded import EmbeddedRegistry
from sdk.embedded.registry.service import RegistryService
from sdk.errors import ConfigurationError
from tests.unit.embedded.steps import Client, Refused, get, post

ADDRESS = '{"type":"record","name":"Address","namespace":"shop","fields":[]}'
ORDER = (
    '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"to","type":"Address"}]}'
)


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    """An empty registry."""
    with EmbeddedRegistry() as registry:
        yield registry


@pytest.fixture
def client(registry: EmbeddedRegistry) -> Iterator[SchemaRegistryClient]:
    """Confluent's client."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def connection(registry: EmbeddedRegistry) -> http.client.HTTPConnection:
    """Open a bare connection."""
    return http.client.HTTPConnection(urllib.parse.urlsplit(registry.url).netloc, timeout=60)


def registered_guid(client: SchemaRegistryClient, subject: str, schema: Schema) -> str:
    """Register a schema and ask for its GUID, which clients before 2.13 do not get at once."""
    client.register_schema(subject, schema)
    guid = client.lookup_schema(subject, schema).guid
    assert guid is not None
    return guid


def test_guids_are_given_and_found(client: SchemaRegistryClient) -> None:
    """Looking up and reading return the same GUID, which finds the schema."""
    guid = registered_guid(client, "s", Schema(ADDRESS, "AVRO"))
    assert client.get_version("s", 1).guid == guid
    assert client.get_schema_by_guid(guid).schema_str == ADDRESS
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_schema_by_guid("00000000-0000-0000-0000-000000000000")
    assert caught.value.error_code == 40403


def test_guids_tell_schemas_apart(client: SchemaRegistryClient) -> None:
    """References and metadata are part of a schema's identity, the subject is not."""
    client.register_schema("address", Schema(ADDRESS, "AVRO"))
    client.register_schema("address2", Schema(ADDRESS, "AVRO"))
    guids = {
        registered_guid(
            client, "order", Schema(ORDER, "AVRO", [SchemaReference("shop.Address", subject, 1)])
        )
        for subject in ("address", "address2")
    }
    same = {registered_guid(client, subject, Schema(ADDRESS, "AVRO")) for subject in ("one", "two")}
    assert (len(guids), len(same)) == (2, 1)


def test_a_guid_is_stable_over_processes() -> None:
    """The GUID depends on the schema alone: MD5 of its text, written as a UUID."""
    with EmbeddedRegistry() as registry, SchemaRegistryClient({"url": registry.url}) as client:
        guid = registered_guid(client, "s", Schema('"int"', "AVRO"))
    assert guid == "ef524ea1-b91e-7317-3d93-8ade36c1db32"


def test_connections_are_kept_open(registry: EmbeddedRegistry) -> None:
    """Many requests share one connection, whatever their answers are."""
    client = connection(registry)
    client.request("GET", "/subjects")
    client.getresponse().read()
    socket = client.sock
    for path in ("/nope", "/subjects", "/schemas/ids/1/schema", "/subjects"):
        client.request("GET", path)
        client.getresponse().read()
        assert client.sock is socket
    client.request("DELETE", "/contexts/.ctx")
    answer = client.getresponse()
    assert (answer.status, answer.read()) == (204, b"")
    assert client.sock is socket
    client.close()


def test_bodies_may_come_in_chunks(registry: EmbeddedRegistry) -> None:
    """A client that streams its body is understood."""
    client = connection(registry)
    body = json.dumps({"schema": '"int"'}).encode()
    client.request(
        "POST",
        "/subjects/s/versions",
        iter((body[:5], body[5:])),
        {"Content-Type": "application/json"},
        encode_chunked=True,
    )
    assert json.loads(client.getresponse().read()) == {"id": 1}
    client.close()


def test_head_and_options_are_answered(registry: EmbeddedRegistry) -> None:
    """HEAD has the header of GET, OPTIONS lists the methods."""
    client = connection(registry)
    client.request("HEAD", "/subjects")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Content-Length"), answer.read()) == (200, "2", b"")
    client.request("OPTIONS", "/subjects/s")
    answer = client.getresponse()
    answer.read()
    assert answer.getheader("Allow") == "DELETE,OPTIONS,POST"
    client.close()


@pytest.mark.parametrize(
    ("accept", "served"),
    [
        (None, "application/vnd.schemaregistry.v1+json"),
        ("*/*", "application/vnd.schemaregistry.v1+json"),
        ("application/json", "application/json"),
        (
            "application/json, application/vnd.schemaregistry+json",
            "application/vnd.schemaregistry+json",
        ),
        ("application/json;q=0.9, application/*;q=0.1", "application/json"),
    ],
)
def test_the_media_type_is_the_one_asked_for(
    registry: EmbeddedRegistry, accept: str | None, served: str
) -> None:
    """Answers come as the best type that the client accepts."""
    client = connection(registry)
    client.request("GET", "/subjects", headers={"Accept": accept} if accept else {})
    answer = client.getresponse()
    answer.read()
    assert answer.getheader("Content-Type") == served
    client.close()


def test_oversized_requests_are_refused(registry: EmbeddedRegistry) -> None:
    """A body beyond any schema's size is refused unread."""
    client = connection(registry)
    client.putrequest("POST", "/subjects/s/versions")
    client.putheader("Content-Length", str(10**12))
    client.endheaders()
    answer = client.getresponse()
    assert (answer.status, json.loads(answer.read())["error_code"]) == (413, 413)
    client.close()


def test_threads_register_each_schema_once(registry: EmbeddedRegistry) -> None:
    """Threads that register the same schemas at once agree on their ids."""
    ids: list[list[int]] = []

    def register() -> None:
        with SchemaRegistryClient({"url": registry.url}) as client:
            ids.append(
                [
                    client.register_schema(f"s{number}", Schema(_numbered(number), "AVRO"))
                    for number in range(20)
                ]
            )

    threads = [threading.Thread(target=register) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert all(each == ids[0] for each in ids)
    assert sorted(ids[0]) == list(range(1, 21))


def _numbered(number: int) -> str:
    return f'{{"type":"fixed","name":"F{number}","size":{number + 1}}}'


def test_a_taken_port_is_an_error(registry: EmbeddedRegistry) -> None:
    """The port of another server cannot be had."""
    port = urllib.parse.urlsplit(registry.url).port
    assert port is not None
    with pytest.raises(ConfigurationError, match="cannot be used"):
        EmbeddedRegistry(port)


def test_a_port_can_be_used_again() -> None:
    """After close the same port serves a new, empty registry; open connections are dropped."""
    with EmbeddedRegistry() as first:
        port = urllib.parse.urlsplit(first.url).port
        assert port is not None
        client = connection(first)
        client.request("POST", "/subjects/s/versions", '{"schema":"\\"int\\""}')
        client.getresponse().read()
    with EmbeddedRegistry(port) as second:
        client.close()
        client = connection(second)
        client.request("GET", "/subjects")
        assert json.loads(client.getresponse().read()) == []
        client.close()


def test_nothing_is_written_to_standard_error() -> None:
    """Requests, refusals and broken connections leave no trace unless logging is set up."""
    code = (
        "import socket, urllib.parse, urllib.request, urllib.error\n"
        "from sdk.embedded import EmbeddedRegistry\n"
        "with EmbeddedRegistry() as registry:\n"
        "    address = urllib.parse.urlsplit(registry.url)\n"
        "    broken = b'POST /subjects/s HTTP/1.1\\r\\nContent-Length: 9\\r\\n\\r\\n{'\n"
        "    for text in (b'', b'GET', broken):\n"
        "        with socket.create_connection((address.hostname, address.port)) as client:\n"
        "            client.sendall(text)\n"
        "    for path in ('/subjects', '/nope', '/schemas/ids/1/schema'):\n"
        "        try:\n"
        "            urllib.request.urlopen(registry.url + path).read()\n"
        "        except urllib.error.HTTPError as error:\n"
        "            error.close()\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_requests_can_be_logged(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are logged at DEBUG."""
    with caplog.at_level(logging.DEBUG, logger="sdk.embedded"):
        client = connection(registry)
        client.request("GET", "/subjects")
        client.getresponse().read()
        client.close()
    assert "GET /subjects" in caplog.text


def test_registry_can_be_out_of_order() -> None:
    """While it is unavailable every request is refused with 503, and nothing is forgotten."""
    service = RegistryService()
    with EmbeddedRegistry(service=service) as registry:
        client = Client(registry.url)
        client.check(post("/subjects/s/versions", {"schema": '"int"'}, {"id": 1}))
        service.available = False
        client.check(get("/subjects", Refused(503, 503)))
        service.available = True
        client.check(get("/subjects", ["s"]))
        client.close()
