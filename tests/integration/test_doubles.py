"""The doubles of the fault tests do what they say: the proxy, the gateway, the certificates."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.gateway import Answer, Gateway, error_page
from tests.servers.proxy import TcpProxy
from tests.servers.target import Target


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=send_back, args=(connection,), daemon=True).start()

        def send_back(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(1000):
                        connection.sendall(data)
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_proxy_forwards_and_delays(echo: int) -> None:
    """Bytes come back unchanged, later by the delay of both directions."""
    with TcpProxy(echo) as proxy, _connected(proxy) as client:
        client.sendall(b"ping")
        assert client.recv(10) == b"ping"
        proxy.delay = 0.2
        started = time.monotonic()
        client.sendall(b"pong")
        assert client.recv(10) == b"pong"
        assert time.monotonic() - started >= 0.4


def test_proxy_holds_and_releases(echo: int) -> None:
    """A held connection stays open and silent; what was sent arrives after the release."""
    with TcpProxy(echo) as proxy, _connected(proxy) as client:
        proxy.hold()
        client.sendall(b"ping")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        proxy.release()
        client.settimeout(60)
        assert client.recv(10) == b"ping"


def test_proxy_cuts_and_refuses(echo: int) -> None:
    """A cut resets what is open, and, when asked, what comes next."""
    with TcpProxy(echo) as proxy:
        with _connected(proxy) as client:
            proxy.cut(refuse=True)
            with pytest.raises(ConnectionResetError):
                client.recv(10)
        with pytest.raises(ConnectionError), _connected(proxy) as client:
            client.recv(10)
        proxy.release()
        with _connected(proxy) as client:
            client.sendall(b"ping")
            assert client.recv(10) == b"ping"


def test_gateway_serves_a_registry_below_its_prefix(registry: Target) -> None:
    """The registry answers below the prefix; elsewhere there is the gateway's own 404 page."""
    with Gateway(registry.address, prefix="/apis/registry") as gateway:
        assert isinstance(_json(gateway.url + "/subjects"), list)
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            _json(gateway.url.removesuffix("/apis/registry") + "/subjects")
        assert b"<h1>" in raised.value.read()
    assert gateway.requests == ["GET /apis/registry/subjects", "GET /subjects"]


def test_gateway_asks_for_credentials(registry: Target) -> None:
    """Without the right header there is a 401 page."""
    with Gateway(registry.address, basic=("alice", "secret")) as gateway:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _json(gateway.url + "/subjects")
        assert isinstance(_json(gateway.url + "/subjects", "Basic YWxpY2U6c2VjcmV0"), list)


def test_gateway_gives_its_own_answers(registry: Target) -> None:
    """An answer for the next request, and one for all until it is taken back."""
    with Gateway(registry.address) as gateway:
        gateway.next(Answer(status=429, headers={"Retry-After": "1"}))
        with pytest.raises(urllib.error.HTTPError, match="429"):
            _json(gateway.url + "/subjects")
        gateway.always(error_page(503, "Service Unavailable"))
        with pytest.raises(urllib.error.HTTPError, match="503"):
            _json(gateway.url + "/subjects")
        gateway.always(None)
        assert isinstance(_json(gateway.url + "/subjects"), list)


@pytest.mark.parametrize(
    ("hosts", "expired", "defect"),
    [
        (("localhost",), False, None),
        (("localhost",), True, "certificate has expired"),
        (("elsewhere.test",), False, "Hostname mismatch"),
    ],
)
def test_certificates_have_the_defects_that_were_asked_for(
    registry: Target, tmp_path: Path, hosts: tuple[str, ...], expired: bool, defect: str | None
) -> None:
    """A good certificate is trusted; an expired or misnamed one is refused for that reason."""
    authority = Authority(tmp_path)
    keystore = authority.sign("server", *hosts, expired=expired)
    context = ssl.create_default_context(cafile=authority.certificate)
    with Gateway(registry.address, keystore=keystore) as gateway:
        if defect is None:
            assert isinstance(_json(gateway.url + "/subjects", context=context), list)
        else:
            with pytest.raises(urllib.error.URLError, match=defect):
                _json(gateway.url + "/subjects", context=context)


def _connected(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def _json(
    url: str, authorization: str | None = None, context: ssl.SSLContext | None = None
) -> object:
    request = urllib.request.Request(url)
    if authorization:
        request.add_header("Authorization", authorization)
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return json.load(answer)
