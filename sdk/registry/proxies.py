"""The proxy to use for a registry, if any."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

from sdk.errors import ConfigurationError


@frozen(kw_only=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    origin: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the proxy itself reads."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def proxy_for(url: SplitResult) -> Proxy | None:
    """Return the proxy that the environment specifies for a URL; None to connect directly.

    Follows the variables ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, and the
    system's settings where Python knows them. Local addresses are never reached through a proxy.
    """
    if is_loopback(url.hostname or ""):
        return None
    # Costs 20 ms, which a registry on this machine need not pay.
    from urllib.request import getproxies, proxy_bypass

    known = getproxies()
    address = known.get(url.scheme) or known.get("all")
    if not address or proxy_bypass(url.netloc):
        return None
    return _parse(address, _origin(url.scheme, os.environ), url.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is local."""
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _origin(scheme: str, environ: Mapping[str, str]) -> str:
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if environ.get(variable):
                return variable
    return "the system's proxy settings"


def _parse(address: str, origin: str, host: str) -> Proxy:
    remedy = f"correct {origin}, add {host} to NO_PROXY, or set registry.use_proxies = false"
    url = urlsplit(address if "://" in address else f"http://{address}")
    if url.scheme != "http":
        raise ConfigurationError(
            f"{origin} names a {url.scheme}:// proxy, and registries are reached through"
            " http:// proxies only",
            remedy=remedy,
        )
    try:
        port = url.port or 80
    except ValueError:
        port = 0
    if not url.hostname or not port:
        raise ConfigurationError(f"{origin} is not the URL of a proxy", remedy=remedy)
    authorization = None
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host=url.hostname, port=port, origin=origin, authorization=authorization)
