"""Confluent's registry client made from our options."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import SchemaRegistryClient

from sdk.errors import ConfigurationError
from sdk.settings import RegistryOptions

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_environment_lock: Final = threading.Lock()


def registry_client(options: RegistryOptions, urls: Iterable[str]) -> SchemaRegistryClient:
    """Return Confluent's client for ``urls``; its own retries are off, its time-out is on.

    Raises:
        ConfigurationError: The options do not make a client.
    """
    if options.embedded:
        raise ConfigurationError(
            "registry.url is 'embedded' and no embedded registry runs",
            remedy="use sdk.connect, which starts it, or give the URL of a registry",
        )
    addresses = list(urls)
    settings: dict[str, Any] = {
        "url": ",".join(addresses),
        "timeout": options.timeout_ms / 1000,
        "max.retries": 0,
        **_authentication(options),
        **_encryption(options, addresses),
    }
    try:
        with _no_proxy_on_this_machine(addresses):
            return SchemaRegistryClient(settings)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(
            f"no registry client can be made of the settings: {type(error).__name__}: {error}",
            remedy="check the files named in registry.tls: PEM, readable, key and certificate"
            " of one pair",
        ) from error


@contextmanager
def _no_proxy_on_this_machine(urls: list[str]) -> Iterator[None]:
    """Let a client be made that reaches this machine directly.

    The client's HTTP library takes proxies from the environment, when it is made, and does not
    except the local host by itself. The client has no setting against it.
    """
    local = [host for host in map(_host, urls) if host in _LOOPBACK]
    if not local:
        yield
        return
    names = ("NO_PROXY", "no_proxy")
    with _environment_lock:
        before = {name: os.environ.get(name) for name in names}
        known = before["no_proxy"] or before["NO_PROXY"]
        os.environ.update(dict.fromkeys(names, ",".join([*local, known] if known else local)))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _authentication(options: RegistryOptions) -> dict[str, Any]:
    if options.username is not None:
        return {"basic.auth.user.info": f"{options.username}:{options.password or ''}"}
    if options.bearer_token is None:
        return {}
    # The client's own static token demands a Confluent Cloud cluster and pool besides.
    fields = {
        "bearer.auth.token": options.bearer_token,
        "bearer.auth.logical.cluster": "",
        "bearer.auth.identity.pool.id": "",
    }
    return {
        "bearer.auth.credentials.source": "CUSTOM",
        "bearer.auth.custom.provider.function": lambda _: fields,
        "bearer.auth.custom.provider.config": {},
    }


def _encryption(options: RegistryOptions, urls: list[str]) -> dict[str, Any]:
    if all(url.startswith("http://") for url in urls):
        # There is no certificate to check, and loading those that are trusted takes 20 ms.
        return {"ssl.ca.location": False}
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


def registry_secrets(options: RegistryOptions) -> tuple[str, ...]:
    """Return the texts that no message may contain."""
    pair = f"{options.username}:{options.password}"
    basic = base64.b64encode(pair.encode()).decode()
    known = [options.password, options.bearer_token, basic, *options.rules.values()]
    if options.tls is not None:
        known.append(options.tls.key_password)
    return tuple(secret for secret in known if secret)
