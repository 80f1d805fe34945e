"""Confluent's registry client with our options, and its errors → `sdk.errors`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from sdk.errors import ConfigurationError, RegistryError, SchemaError
from sdk.registry.failures import classified, unreachable
from sdk.registry.proxies import proxy_for
from sdk.settings import RegistryOptions


def confluent_client(options: RegistryOptions) -> SchemaRegistryClient:
    """Return Confluent's client, without its retries and with a timeout."""
    for url in options.url:
        _check_way(url, options)
    settings: dict[str, Any] = {
        "url": ",".join(options.url),
        "timeout": options.timeout_ms / 1000,
        "max.retries": 0,
        **_authentication(options),
        **_encryption(options),
    }
    try:
        return SchemaRegistryClient(settings)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(
            f"the client that applies rules cannot be made: {type(error).__name__}",
            remedy="check the files named in registry.tls: PEM, readable, key and certificate"
            " of one pair",
        ) from None  # its message may repeat a setting


def confluent_failure(
    error: BaseException, doing: str, where: Mapping[str, Any]
) -> RegistryError | SchemaError | None:
    """Return our error if a server behind Confluent's client failed; None for any other reason."""
    if isinstance(error, SchemaRegistryError):
        status = int(error.http_status_code)
        code = error.error_code if isinstance(error.error_code, int) else -1
        words = " ".join(str(error.error_message or "").split())[:300]
        reason = f"HTTP {status}: {words}" if words else f"HTTP {status}"
        return classified(doing, reason, status, code if code > 0 else None, where)
    if isinstance(error, (OSError, *_transport_errors())):
        return unreachable(error, doing, where)
    return None


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the client's HTTP libraries raise for dead servers."""
    found: list[type[Exception]] = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name).TransportError)
        except ImportError:
            continue
    return tuple(found)


def _check_way(url: str, options: RegistryOptions) -> None:
    """Raise an error if a proxy would be used against the settings: this client has no option."""
    parts = urlsplit(url)
    direct = not options.use_proxies or proxy_for(parts) is None
    known = getproxies()
    proxied = (known.get(parts.scheme) or known.get("all")) and not proxy_bypass(parts.netloc)
    if direct and proxied:
        raise ConfigurationError(
            f"rules are applied by Confluent's client, which would reach {parts.hostname} through"
            " the proxy of the environment",
            remedy=f"add {parts.hostname} to NO_PROXY",
        )


def _authentication(options: RegistryOptions) -> dict[str, Any]:
    if options.username is not None:
        return {"basic.auth.user.info": f"{options.username}:{options.password or ''}"}
    if options.bearer_token is None:
        return {}
    # The client's own static token also requires a cluster and a pool of Confluent Cloud.
    fields = {
        "bearer.auth.token": options.bearer_token,
        "bearer.auth.logical.cluster": "",
        "bearer.auth.identity.pool.id": "",
    }
    provider: Callable[[Any], dict[str, str]] = lambda _: fields  # noqa: E731
    return {
        "bearer.auth.credentials.source": "CUSTOM",
        "bearer.auth.custom.provider.function": provider,
        "bearer.auth.custom.provider.config": {},
    }


def _encryption(options: RegistryOptions) -> dict[str, Any]:
    if all(url.startswith("http://") for url in options.url):
        return {"ssl.ca.location": False}  # loading the trusted certificates takes 20 ms
    tls = options.tls
    if tls is None:
        return {}
    known = {
        "ssl.ca.location": tls.ca_location if tls.verify else False,
        "ssl.certificate.location": tls.certificate_location,
        "ssl.key.location": tls.key_location,
        "ssl.key.password": tls.key_password,
    }
    return {key: value for key, value in known.items() if value is not None}
