"""The way to a registry: proxies of the environment, and what is never sent through one."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sdk.errors import ConfigurationError, RegistryRefusedError, RegistryUnavailableError
from sdk.settings import TlsOptions
from tests.servers.certificates import Authority
from tests.servers.gateway import Gateway
from tests.unit.serialization.conftest import Connect
from tests.unit.serialization.registry_server import RegistryServer

HOST = "registry.example.com"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets proxy variables; there are no others."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


class TunnelProxy:
    """A proxy that answers CONNECT with a line, and leads elsewhere than it was asked to."""

    def __init__(self, port: int, status: str) -> None:
        self.asked: list[str] = []
        self._port, self._status = port, status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections, and wait until those that there are have ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError), ThreadPoolExecutor() as pool:
            while True:
                pool.submit(self._lead, self._listener.accept()[0])

    def _lead(self, client: socket.socket) -> None:
        with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.asked.append(head.decode())
            client.sendall(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
            if self._status.startswith("200"):
                with socket.create_connection(("127.0.0.1", self._port)) as server:
                    back = threading.Thread(target=_pump, args=(server, client))
                    back.start()
                    _pump(client, server)
                    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tunnel(port: int, status: str = "200 Connection established") -> Iterator[TunnelProxy]:
    """Run a proxy that leads to a port of this machine."""
    proxy = TunnelProxy(port, status)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.mark.parametrize("known", [None, "other.example.com"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_this_machine_is_never_reached_through_a_proxy(
    server: RegistryServer,
    connect: Connect,
    environment: Callable[..., None],
    known: str | None,
    proxy: str,
) -> None:
    """Proxies of the environment are for the world outside, whatever they speak."""
    environment(HTTP_PROXY=proxy, ALL_PROXY=proxy)
    if known is not None:
        environment(NO_PROXY=known)
    schema_id = server.add("s", '"string"')
    for url in (server.url, server.url.replace("localhost", "127.0.0.1")):
        assert connect(url).fetch(schema_id).text == '"string"'


def test_a_plain_request_goes_through_the_proxy(
    server: RegistryServer, connect: Connect, environment: Callable[..., None]
) -> None:
    """An http:// registry is asked for by its whole URL, which is what a proxy reads."""
    server.add("s", '"string"')
    with Gateway(server.url) as proxy:
        environment(HTTP_PROXY=proxy.url)
        with pytest.raises(RegistryUnavailableError):  # the gateway does not know such a path
            connect(f"http://{HOST}/base").fetch(1)
        assert proxy.requests == [f"GET http://{HOST}/base/schemas/ids/1"]


def test_a_tls_request_goes_through_a_tunnel(
    server: RegistryServer, connect: Connect, environment: Callable[..., None], tmp_path: Path
) -> None:
    """The certificate is checked against the registry's name, and credentials stay inside."""
    schema_id = server.add("s", '"string"')
    authority = Authority(tmp_path / "ca")
    with Gateway(
        server.url, keystore=authority.sign("registry", HOST), basic=("u", "p")
    ) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        with tunnel(port) as proxy:
            environment(HTTPS_PROXY=f"http://alice:wonder%20land@{proxy.address}")
            tls = TlsOptions(ca_location=str(authority.certificate))
            registry = connect(f"https://{HOST}:8443", tls=tls, username="u", password="p")
            assert registry.fetch(schema_id).text == '"string"'
            registry.close()
            expected = base64.b64encode(b"alice:wonder land").decode()
            assert proxy.asked == [
                f"CONNECT {HOST}:8443 HTTP/1.1\r\nHost: {HOST}:8443\r\n"
                f"Proxy-Authorization: Basic {expected}\r\n\r\n"
            ]


def test_a_refusal_of_the_proxy_is_reported_as_the_proxys(
    connect: Connect, environment: Callable[..., None]
) -> None:
    """A proxy's 407 is about its own credentials, not about the registry's."""
    with tunnel(9, "407 Proxy Authentication Required") as proxy:
        environment(HTTPS_PROXY=f"http://alice:wonderland@{proxy.address}")
        with pytest.raises(RegistryRefusedError) as caught:
            connect(f"https://{HOST}").fetch(1)
    text = str(caught.value)
    assert f"the proxy {proxy.address} answers HTTP 407" in text
    assert "HTTPS_PROXY" in text
    assert "wonderland" not in text
    assert "registry table" not in text


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "socks4://p", "https://p:1"])
def test_a_proxy_of_another_protocol_is_named_with_its_variable(
    connect: Connect, environment: Callable[..., None], value: str
) -> None:
    """Only HTTP proxies are spoken to, and the error says which variable to correct."""
    environment(ALL_PROXY=value)
    with pytest.raises(ConfigurationError) as caught:
        connect(f"https://{HOST}")
    text = str(caught.value)
    assert "ALL_PROXY names a" in text
    assert f"add {HOST} to NO_PROXY" in text
    assert "registry.use_proxies = false" in text


@pytest.mark.parametrize("variables", [{"NO_PROXY": HOST}, {"NO_PROXY": ".example.com"}, {}])
def test_exceptions_and_the_setting_lead_past_the_proxy(
    connect: Connect, environment: Callable[..., None], variables: dict[str, str]
) -> None:
    """NO_PROXY excepts hosts, and `use_proxies = false` all of them."""
    environment(ALL_PROXY="socks5://127.0.0.1:9", **variables)
    connect(f"https://{HOST}", use_proxies=bool(variables))
