"""Classifies failed requests to a registry: outage, refusal, not found, incompatible, invalid."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Final

from sdk.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaError,
    SchemaNotFoundError,
)
from sdk.registry.http import Answer

NO_SUBJECT: Final = 40401
UNKNOWN_CODES: Final = range(40401, 40404)
"""The registry's codes for a subject, version or schema that does not exist."""

_LONGEST: Final = 300
_NOT_FOUND: Final = range(40401, 40500)
_INVALID: Final = frozenset({42201, 42209})


def refused(answer: Answer, doing: str, where: Mapping[str, Any]) -> RegistryError | SchemaError:
    """Return our error for an answer that is not a success."""
    if answer.proxy is not None:
        return RegistryRefusedError(
            f"cannot {doing}: the proxy {answer.proxy.host}:{answer.proxy.port} answers"
            f" HTTP {answer.status}",
            status=answer.status,
            remedy=f"check the proxy's address and credentials in {answer.proxy.origin}",
            **where,
        )
    code, words = _code_and_message(answer)
    reason = f"HTTP {answer.status}: {words}" if words else f"HTTP {answer.status}"
    retry_after = _seconds(answer.headers.get("retry-after"))
    return classified(doing, reason, answer.status, code, where, retry_after)


def classified(
    doing: str,
    reason: str,
    status: int,
    code: int | None,
    where: Mapping[str, Any],
    retry_after: float | None = None,
) -> RegistryError | SchemaError:
    """Return our error for an HTTP status and the registry's own code, if it gave one."""
    text = f"cannot {doing}: {reason}"
    context: dict[str, Any] = {**where, "status": status, "error_code": code}
    if status in {408, 425, 429} or status >= 500:
        return RegistryUnavailableError(text, retry_after=retry_after, **context)
    if status == 409 and code in {409, 40901}:
        return IncompatibleSchemaError(
            f"cannot {doing}: {_incompatibilities(reason)}",
            remedy="make the change compatible, or register it under another subject",
            **where,
        )
    if code in _NOT_FOUND:
        return SchemaNotFoundError(text, **context)
    if code in _INVALID:
        return InvalidSchemaError(text, **where)
    if status == 404 and code == 404:  # no such path; in some registries, no such schema
        return SchemaNotFoundError(text, remedy="check registry.url and its path", **context)
    if status == 404:
        return RegistryUnavailableError(
            text,
            remedy="check registry.url and its path; this is not a registry's answer",
            **context,
        )
    return RegistryRefusedError(text, remedy=_remedy(status, code), **context)


def unreachable(
    error: BaseException, doing: str, where: Mapping[str, Any], address: str = ""
) -> RegistryError:
    """Return our error for a request that got no answer."""
    reason = _one_line(str(error)) or type(error).__name__
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return RegistryRefusedError(
            f"cannot {doing}: no TLS connection to the registry: {reason}",
            remedy="check the scheme of registry.url and the files named in registry.tls",
            **where,
        )
    return RegistryUnavailableError(
        f"cannot {doing}: the registry {address and f'at {address} '}cannot be reached: {reason}",
        remedy="check registry.url and the network",
        **where,
    )


def unusable(doing: str, where: Mapping[str, Any]) -> RegistryUnavailableError:
    """Return our error for an answer that no schema registry gives."""
    return RegistryUnavailableError(
        f"cannot {doing}: the answer is not a schema registry's",
        remedy="check registry.url and its path; a gateway may have answered instead",
        **where,
    )


def _remedy(status: int, code: int | None) -> str | None:
    if status in {401, 403}:
        return "check the credentials in the registry table and their permissions"
    if code == 42205:
        return "the registry, or this subject, is in a read-only mode"
    if status < 400:
        return "check registry.url: it redirects elsewhere"
    return None


def _code_and_message(answer: Answer) -> tuple[int | None, str]:
    """Return the registry's own code and words; of an HTML page, its title."""
    text = answer.body.decode(errors="replace")
    try:
        body = json.loads(text)
        code, words = body["error_code"], str(body.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, _one_line(_page_text(text))
    return code if type(code) is int and code > 0 else None, _one_line(words, 4 * _LONGEST)


def _page_text(body: str) -> str:
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1\s*>", body, re.IGNORECASE | re.DOTALL)
    text = (
        title[2] if title else re.sub(r"<(script|style).*?</\1\s*>", " ", body, flags=re.S | re.I)
    )
    return unescape(re.sub(r"<[^>]*>", " ", text))


def _one_line(text: str, longest: int = _LONGEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _incompatibilities(message: str) -> str:
    """Shorten the registry's message about a rejected version to the reasons."""
    reasons = re.findall(
        r"errorType\s*:\s*['\"]?(\w+)['\"]?\s*,\s*description\s*:\s*(['\"])(.*?)\2\s*(?:,|})",
        message,
    )
    if not reasons:
        return _one_line(message)
    against = re.search(r"oldSchemaVersion\s*:\s*(\d+)", message)
    head = f"incompatible with version {against[1]}" if against else "incompatible"
    return _one_line(f"{head}: " + "; ".join(f"{kind}: {why}" for kind, _, why in reasons))


def _seconds(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
