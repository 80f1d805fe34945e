"""What a failed registry request means: outage, refusal, not found, incompatible or invalid."""

from __future__ import annotations

import ast
import re
import ssl
import time
import traceback
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryError

from sdk.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaError,
    SchemaNotFoundError,
)
from sdk.redaction import hide

_LONGEST = 300
_NOT_FOUND = range(40401, 40500)
_INVALID = {42201, 42209}
_UNKNOWN = "Unknown Schema Registry Error: "


def registry_failure(
    error: Exception,
    doing: str,
    *,
    secrets: Iterable[str] = (),
    outer: BaseException | None = None,
    **where: Any,
) -> RegistryError | SchemaError:
    """Return our error for what the registry client raised.

    Args:
        error: An exception that a request through the client ended with.
        doing: What was asked for, to follow "cannot", such as ``look up the schema``.
        secrets: Texts that no message may contain.
        outer: What the caller was handling when the request began; no cause of ``error``.
        **where: Context of the error, such as ``subject`` or ``schema_id``.
    """
    if isinstance(error, SchemaRegistryError):
        failure = _of_answer(error, doing, where)
    elif any(map(_is_tls_failure, causes(error, outer))):
        failure = RegistryRefusedError(
            f"cannot {doing}: no TLS connection to the registry: {_one_line(str(error))}",
            remedy="check the scheme of registry.url and the files named in registry.tls",
            **where,
        )
    elif isinstance(error, ValueError | TypeError | LookupError | AttributeError):
        failure = RegistryUnavailableError(
            f"cannot {doing}: the answer is none of a schema registry's",
            remedy="check registry.url and its path; a gateway may have answered instead",
            **where,
        )
    else:
        reason = _one_line(str(error)) or type(error).__name__
        failure = RegistryUnavailableError(
            f"cannot {doing}: the registry cannot be reached: {reason}",
            remedy="check registry.url and the network",
            **where,
        )
    failure.message = hide(failure.message, secrets)
    failure.args = (failure.message,)
    return failure


def _of_answer(
    error: SchemaRegistryError, doing: str, where: dict[str, Any]
) -> RegistryError | SchemaError:
    """Class an answer by its HTTP status and the registry's own code."""
    status = int(error.http_status_code)
    code = error.error_code if isinstance(error.error_code, int) else -1
    text = f"cannot {doing}: {_reason(error, status)}"
    told: dict[str, Any] = {**where, "status": status, "error_code": code if code > 0 else None}
    if status in {408, 425, 429} or status >= 500:
        return RegistryUnavailableError(text, retry_after=_retry_after(error), **told)
    if status == 409 and code in {409, 40901}:
        return IncompatibleSchemaError(
            f"cannot {doing}: {_incompatibilities(error.error_message)}",
            remedy="make the change compatible, or register it under another subject",
            **where,
        )
    if code in _NOT_FOUND:
        return SchemaNotFoundError(text, **told)
    if status == 404 and code == 404:  # no such path here; some registries mean no such schema
        return SchemaNotFoundError(text, remedy="check registry.url and its path", **told)
    if code in _INVALID:
        return InvalidSchemaError(text, **where)
    if status == 404:
        return RegistryUnavailableError(
            text, remedy="check registry.url and its path; this is no registry's answer", **told
        )
    return RegistryRefusedError(text, remedy=_remedy(status, code), **told)


def _remedy(status: int, code: int) -> str | None:
    if status in {401, 403, 407}:
        return "check the credentials in the registry table and what they are allowed to do"
    if code == 42205:
        return "the registry, or this subject, is in a mode that takes no changes"
    if status < 400:
        return "check registry.url: it redirects elsewhere"
    return None


def _reason(error: SchemaRegistryError, status: int) -> str:
    """Return the answer's own words in one line; of an HTML page, its title."""
    message = str(error.error_message or "")
    if message.startswith(_UNKNOWN):
        message = _page_text(_literal(message[len(_UNKNOWN) :]))
    words = _one_line(message)
    return f"HTTP {status}: {words}" if words else f"HTTP {status}"


def _literal(text: str) -> str:
    """Undo the ``b'…'`` into which the client puts a body that is not JSON."""
    try:
        body = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)


def _page_text(body: str) -> str:
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1\s*>", body, re.IGNORECASE | re.DOTALL)
    text = (
        title[2] if title else re.sub(r"<(script|style).*?</\1\s*>", " ", body, flags=re.S | re.I)
    )
    return unescape(re.sub(r"<[^>]*>", " ", text))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _incompatibilities(message: str | None) -> str:
    """Shorten the registry's account of a refused version to the reasons themselves."""
    text = str(message or "the schema is incompatible with an earlier version")
    reasons = re.findall(
        r"errorType\s*:\s*['\"]?(\w+)['\"]?\s*,\s*description\s*:\s*(['\"])(.*?)\2\s*(?:,|})",
        text,
        re.DOTALL,
    )
    if not reasons:
        return _one_line(text)
    against = re.search(r"oldSchemaVersion\s*:\s*(\d+)", text)
    head = f"incompatible with version {against[1]}" if against else "incompatible"
    return _one_line(f"{head}: " + "; ".join(f"{kind}: {why}" for kind, _, why in reasons))


def causes(error: BaseException, outer: BaseException | None = None) -> list[BaseException]:
    """Return an error and what led to it, but for ``outer``, which was being handled before."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link is not outer and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _is_tls_failure(link: BaseException) -> bool:
    """Tell whether a TLS handshake was refused; a connection merely cut off is none."""
    return isinstance(link, ssl.SSLError) and not isinstance(link, ssl.SSLEOFError)


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds of the answer's Retry-After header (RFC 9110, 10.2.3).

    The client's error leaves the headers out, but the frame that raised it still has the answer.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        headers = getattr(frame.f_locals.get("response"), "headers", None)
        value = headers.get("retry-after") if headers is not None else None
        if value:
            return _seconds(str(value))
    return None


def _seconds(value: str) -> float | None:
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
